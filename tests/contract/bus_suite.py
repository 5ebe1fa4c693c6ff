"""What every adapter of `core.bus.Bus` must do. Subclass it and say how to look behind the port."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from core.bus import (
    MAX_MESSAGE_BYTES,
    Bus,
    EntityNotFound,
    MessageLockLost,
    MessageTooLarge,
    OutgoingMessage,
)

QUEUE = "payments"
SUBSCRIPTION = "order-events/Subscriptions/notifications"


def message(number: int = 1, body: bytes = b'{"amount":7}') -> OutgoingMessage:
    return OutgoingMessage(
        body=body,
        message_id=f"ord-1:payments.charge/{number}",
        subject="payments.charge",
        correlation_id="ord-1",
        properties={"traceparent": "00-0123", "reason": "naïve"},
    )


class BusSuite(ABC):
    @pytest.fixture
    @abstractmethod
    def bus(self) -> Bus:
        """A bus on the entities of `topology/servicebus.json`, all of them empty."""

    @abstractmethod
    async def arrived(self, bus: Bus, queue: str) -> Sequence[OutgoingMessage]:
        """What a receiver of the queue would get now, in order."""

    @abstractmethod
    async def put_dead_letter(
        self, bus: Bus, path: str, message: OutgoingMessage, reason: str, description: str
    ) -> None:
        """Bring the message into the dead-letter queue of a queue or subscription."""

    async def test_a_message_arrives_as_it_was_sent(self, bus: Bus) -> None:
        await bus.send(QUEUE, [message()])
        assert await self.arrived(bus, QUEUE) == [message()]

    async def test_a_body_that_is_not_json_arrives_untouched(self, bus: Bus) -> None:
        await bus.send("parked", [message(body=b"\x00\xff{")])
        assert [each.body for each in await self.arrived(bus, "parked")] == [b"\x00\xff{"]

    async def test_messages_of_one_call_arrive_in_order(self, bus: Bus) -> None:
        await bus.send(QUEUE, [message(number) for number in range(5)])
        await bus.send(QUEUE, [message(5)])
        assert await self.arrived(bus, QUEUE) == [message(number) for number in range(6)]

    async def test_as_many_messages_as_a_change_feed_brings_go_in_one_call(self, bus: Bus) -> None:
        await bus.send(QUEUE, [message(number) for number in range(100)])
        assert await self.arrived(bus, QUEUE) == [message(number) for number in range(100)]

    async def test_sends_that_are_under_way_at_once_arrive_once_each(self, bus: Bus) -> None:
        await asyncio.gather(*(bus.send(QUEUE, [message(number)]) for number in range(100)))
        arrived = await self.arrived(bus, QUEUE)
        assert sorted(each.message_id for each in arrived) == sorted(
            message(number).message_id for number in range(100)
        )

    async def test_all_that_a_message_says_of_itself_arrives(self, bus: Bus) -> None:
        full = replace(
            message(),
            session_id="ord-1",
            content_type="application/cloudevents+json; charset=utf-8",
            properties={"naïve": "", "original_message_id": "ord-1:payments.charge/1"},
        )
        bare = OutgoingMessage(body=b"", message_id="bare", subject="")
        await bus.send(QUEUE, [full, bare])
        assert await self.arrived(bus, QUEUE) == [full, bare]

    async def test_one_send_that_is_refused_leaves_the_next_alone(self, bus: Bus) -> None:
        await bus.send(QUEUE, [message(1)])
        with pytest.raises(MessageTooLarge):
            await bus.send(QUEUE, [message(2, body=b"x" * (MAX_MESSAGE_BYTES + 1))])
        await bus.send(QUEUE, [message(3)])
        assert await self.arrived(bus, QUEUE) == [message(1), message(3)]

    async def test_a_refused_send_among_others_is_the_only_one_refused(self, bus: Bus) -> None:
        sends = [message(1), message(2, body=b"x" * (MAX_MESSAGE_BYTES + 1)), message(3)]
        outcomes = await asyncio.gather(*(bus.send(QUEUE, [each]) for each in sends), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [type(None), MessageTooLarge, type(None)]
        arrived = await self.arrived(bus, QUEUE)
        assert {each.message_id for each in arrived} == {message(1).message_id, message(3).message_id}

    async def test_a_command_that_is_sent_again_arrives_again(self, bus: Bus) -> None:
        await bus.send(QUEUE, [message()])
        await bus.send(QUEUE, [message()])
        assert len(await self.arrived(bus, QUEUE)) == 2

    async def test_sending_no_messages_sends_nothing(self, bus: Bus) -> None:
        await bus.send(QUEUE, [])
        assert await self.arrived(bus, QUEUE) == []

    async def test_a_message_scheduled_for_later_has_not_arrived(self, bus: Bus) -> None:
        later = datetime(2100, 1, 1, tzinfo=UTC) + timedelta(hours=1)
        await bus.send(
            QUEUE,
            [OutgoingMessage(body=b"{}", message_id="later", subject="payments.charge", scheduled_for=later)],
        )
        assert await self.arrived(bus, QUEUE) == []

    async def test_an_unknown_entity_is_named(self, bus: Bus) -> None:
        with pytest.raises(EntityNotFound, match="no-such-queue"):
            await bus.send("no-such-queue", [message()])
        with pytest.raises(EntityNotFound, match="no-such-queue"):
            await bus.receive_dead_letters("no-such-queue", 1)

    async def test_a_topic_has_no_dead_letters_of_its_own(self, bus: Bus) -> None:
        with pytest.raises(EntityNotFound, match="order-events"):
            await bus.receive_dead_letters("order-events", 1)

    async def test_a_subscription_cannot_be_sent_to(self, bus: Bus) -> None:
        with pytest.raises(EntityNotFound, match="Subscriptions"):
            await bus.send(SUBSCRIPTION, [message()])

    async def test_a_message_of_nearly_the_greatest_size_arrives(self, bus: Bus) -> None:
        large = message(body=b"x" * (MAX_MESSAGE_BYTES - 1024))
        await bus.send(QUEUE, [large])
        assert await self.arrived(bus, QUEUE) == [large]

    async def test_a_message_that_is_too_large_keeps_back_all_of_its_call(self, bus: Bus) -> None:
        with pytest.raises(MessageTooLarge):
            await bus.send(QUEUE, [message(1), message(2, body=b"x" * (MAX_MESSAGE_BYTES + 1))])
        assert await self.arrived(bus, QUEUE) == []

    async def test_messages_that_are_too_large_together_are_kept_back(self, bus: Bus) -> None:
        """What is sent at once, all or nothing, is one AMQP transfer, with the limit of one message."""
        half = b"x" * (MAX_MESSAGE_BYTES // 2)
        with pytest.raises(MessageTooLarge):
            await bus.send(QUEUE, [message(1, half), message(2, half)])
        assert await self.arrived(bus, QUEUE) == []

    async def test_a_dead_letter_tells_what_it_was_and_why(self, bus: Bus) -> None:
        await self.put_dead_letter(bus, QUEUE, message(), "MaxDeliveryCountExceeded", "20 attempts")
        [dead] = await bus.receive_dead_letters(QUEUE, 10)
        sent = message()
        assert (dead.body, dead.message_id, dead.subject) == (sent.body, sent.message_id, sent.subject)
        assert (dead.correlation_id, dead.content_type) == (sent.correlation_id, sent.content_type)
        assert {name: dead.properties[name] for name in sent.properties} == sent.properties
        assert (dead.reason, dead.description) == ("MaxDeliveryCountExceeded", "20 attempts")
        assert dead.enqueued_at.tzinfo is not None

    async def test_no_dead_letters_are_answered_at_once(self, bus: Bus) -> None:
        assert list(await bus.receive_dead_letters(QUEUE, 10)) == []

    async def test_no_more_dead_letters_are_given_than_were_asked_for(self, bus: Bus) -> None:
        for number in range(3):
            await self.put_dead_letter(bus, QUEUE, message(number), "reason", "")
        first = await bus.receive_dead_letters(QUEUE, 2)
        second = await bus.receive_dead_letters(QUEUE, 2)
        ids = [dead.message_id for dead in (*first, *second)]
        assert ids == [message(number).message_id for number in range(3)]

    async def test_a_locked_dead_letter_is_not_given_twice(self, bus: Bus) -> None:
        await self.put_dead_letter(bus, QUEUE, message(), "reason", "")
        assert len(await bus.receive_dead_letters(QUEUE, 10)) == 1
        assert list(await bus.receive_dead_letters(QUEUE, 10)) == []

    async def test_a_completed_dead_letter_is_gone(self, bus: Bus) -> None:
        await self.put_dead_letter(bus, QUEUE, message(), "reason", "")
        [dead] = await bus.receive_dead_letters(QUEUE, 10)
        await bus.complete_dead_letter(QUEUE, dead.lock)
        assert list(await bus.receive_dead_letters(QUEUE, 10)) == []
        with pytest.raises(MessageLockLost):
            await bus.complete_dead_letter(QUEUE, dead.lock)

    async def test_an_abandoned_dead_letter_comes_again_under_another_lock(self, bus: Bus) -> None:
        await self.put_dead_letter(bus, QUEUE, message(), "reason", "")
        [dead] = await bus.receive_dead_letters(QUEUE, 10)
        await bus.abandon_dead_letter(QUEUE, dead.lock)
        [again] = await bus.receive_dead_letters(QUEUE, 10)
        assert again.message_id == dead.message_id
        with pytest.raises(MessageLockLost):
            await bus.complete_dead_letter(QUEUE, dead.lock)
        await bus.complete_dead_letter(QUEUE, again.lock)

    async def test_a_lock_that_never_was_is_refused(self, bus: Bus) -> None:
        for settle in (bus.complete_dead_letter, bus.abandon_dead_letter):
            with pytest.raises(MessageLockLost):
                await settle(QUEUE, "7b0e0000-0000-0000-0000-000000000001")

    async def test_a_subscription_has_dead_letters_too(self, bus: Bus) -> None:
        await self.put_dead_letter(bus, SUBSCRIPTION, message(), "reason", "")
        assert list(await bus.receive_dead_letters(QUEUE, 10)) == []
        [dead] = await bus.receive_dead_letters(SUBSCRIPTION, 10)
        await bus.complete_dead_letter(SUBSCRIPTION, dead.lock)
