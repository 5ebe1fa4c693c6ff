"""What the real SDK asks of `$management`: locks, peeking, deferred and scheduled messages."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from azure.servicebus import (
    ServiceBusMessage,
    ServiceBusMessageState,
    ServiceBusReceiveMode,
)
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver, ServiceBusSender
from azure.servicebus.exceptions import MessageLockLostError, MessageNotFoundError

from tests.wire.sdk import Keep, take
from tests.wire.wire_endpoints import DEAD, LOCK_S, Wire

pytestmark = pytest.mark.asyncio(loop_scope="session")

QUEUE = "managing"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def opened(client: ServiceBusClient, kept: Keep) -> ServiceBusReceiver:
    return kept(client.get_queue_receiver(QUEUE))


@pytest_asyncio.fixture(loop_scope="session")
async def receiver(opened: ServiceBusReceiver, shared: Wire) -> AsyncIterator[ServiceBusReceiver]:
    """Of the queue of this file, which each test leaves empty."""
    yield opened
    for message in shared.bus.peek(QUEUE, 0, 100):
        assert message.body == b"left"
        if message.state == "deferred":
            await shared.bus.receive_and_delete_deferred(QUEUE, [message.sequence_number])
    await shared.bus.receive_and_delete(QUEUE, 100)
    assert shared.held(QUEUE) == []


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def sender(client: ServiceBusClient, kept: Keep) -> ServiceBusSender:
    return kept(client.get_queue_sender(QUEUE))


async def deferred(receiver: ServiceBusReceiver, shared: Wire, body: str) -> int:
    await shared.put(QUEUE, body)
    (message,) = await take(receiver)
    await receiver.defer_message(message)
    assert message.sequence_number is not None
    return message.sequence_number


async def test_a_lock_is_renewed(shared: Wire, receiver: ServiceBusReceiver) -> None:
    await shared.put(QUEUE, "a")
    (message,) = await take(receiver)
    until = message.locked_until_utc
    assert until is not None
    await asyncio.sleep(0.05)
    renewed = await receiver.renew_message_lock(message)
    assert until < renewed <= datetime.now(UTC) + timedelta(seconds=LOCK_S)
    assert message.locked_until_utc == renewed
    await receiver.complete_message(message)


async def test_a_lock_that_is_lost_is_not_renewed(shared: Wire, receiver: ServiceBusReceiver) -> None:
    await shared.put(QUEUE, "left")
    (message,) = await take(receiver)
    await shared.bus.release(QUEUE, [str(message.lock_token)])
    with pytest.raises(MessageLockLostError):
        await receiver.renew_message_lock(message)
    assert shared.held(QUEUE) == ["left"]


async def test_peeking_shows_messages_in_every_state(shared: Wire, receiver: ServiceBusReceiver) -> None:
    number = await deferred(receiver, shared, "left")
    await shared.put(QUEUE, "left", message_id="locked", properties={"half": 0.5, "raw": b"\x00"})
    (locked,) = await take(receiver)
    later = datetime.now(UTC) + timedelta(hours=1)
    await shared.put(QUEUE, "left", message_id="later", scheduled_for=later.timestamp())
    peeked = await receiver.peek_messages(10, sequence_number=number)
    assert [(each.message_id, each.state) for each in peeked] == [
        ("left", ServiceBusMessageState.DEFERRED),
        ("locked", ServiceBusMessageState.ACTIVE),
        ("later", ServiceBusMessageState.SCHEDULED),
    ]
    assert peeked[1].application_properties == {b"half": 0.5, b"raw": b"\x00"}
    assert peeked[2].scheduled_enqueue_time_utc == later.replace(microsecond=later.microsecond // 1000 * 1000)
    sequence = peeked[2].sequence_number
    assert sequence is not None
    assert await receiver.peek_messages(10, sequence_number=sequence + 1) == []
    await shared.bus.cancel_scheduled(QUEUE, [sequence])
    await receiver.abandon_message(locked)


async def test_a_deferred_message_comes_by_its_number_and_is_completed(
    shared: Wire, receiver: ServiceBusReceiver
) -> None:
    first, second = [await deferred(receiver, shared, body) for body in ("a", "b")]
    messages = await receiver.receive_deferred_messages([second, first])
    assert [bytes(next(iter(each.body))) for each in messages] == [b"b", b"a"]
    assert {each.state for each in messages} == {ServiceBusMessageState.DEFERRED}
    assert {each.delivery_count for each in messages} == {1}
    await receiver.renew_message_lock(messages[0])
    for message in messages:
        await receiver.complete_message(message)
    assert shared.held(QUEUE) == []


async def test_a_number_that_is_not_deferred_is_not_found(shared: Wire, receiver: ServiceBusReceiver) -> None:
    number = await deferred(receiver, shared, "left")
    with pytest.raises(MessageNotFoundError, match=f"no deferred and unlocked message.*{2**40}"):
        await receiver.receive_deferred_messages([number, 2**40])
    (message,) = await receiver.receive_deferred_messages(number)
    await receiver.abandon_message(message)


async def test_a_deferred_message_is_dead_lettered_with_its_reason(
    shared: Wire, receiver: ServiceBusReceiver
) -> None:
    number = await deferred(receiver, shared, "a")
    (message,) = await receiver.receive_deferred_messages(number)
    await receiver.dead_letter_message(message, reason="Broken", error_description="no such field")
    (dead,) = await shared.bus.receive_and_delete(QUEUE + DEAD, 10)
    assert (dead.dead_letter_reason, dead.dead_letter_description) == ("Broken", "no such field")


async def test_a_deferred_message_that_is_abandoned_or_deferred_again_stays_deferred(
    shared: Wire, receiver: ServiceBusReceiver
) -> None:
    number = await deferred(receiver, shared, "a")
    (message,) = await receiver.receive_deferred_messages(number)
    await receiver.abandon_message(message)
    (message,) = await receiver.receive_deferred_messages(number)
    assert message.delivery_count == 2
    await shared.bus.release(QUEUE, [str(message.lock_token)])
    (message,) = await receiver.receive_deferred_messages(number)
    await receiver.defer_message(message)
    (dead,) = await shared.bus.receive_and_delete(QUEUE + DEAD, 10)
    assert dead.dead_letter_reason == "MaxDeliveryCountExceeded", "to set it aside is a delivery that failed"


async def test_a_deferred_message_settled_elsewhere_has_lost_its_lock(
    shared: Wire, receiver: ServiceBusReceiver
) -> None:
    number = await deferred(receiver, shared, "a")
    (message,) = await receiver.receive_deferred_messages(number)
    await shared.bus.complete(QUEUE, [str(message.lock_token)])
    with pytest.raises(MessageLockLostError):
        await receiver.complete_message(message)


async def test_a_receiver_that_deletes_takes_deferred_messages_without_a_lock(
    shared: Wire, receiver: ServiceBusReceiver, client: ServiceBusClient, kept: Keep
) -> None:
    number = await deferred(receiver, shared, "a")
    mode = ServiceBusReceiveMode.RECEIVE_AND_DELETE
    deleting = kept(client.get_queue_receiver(QUEUE, receive_mode=mode))
    (message,) = await deleting.receive_deferred_messages(number)
    assert bytes(next(iter(message.body))) == b"a"
    assert shared.held(QUEUE) == []


async def test_scheduled_messages_come_at_their_time_unless_they_are_cancelled(
    shared: Wire, receiver: ServiceBusReceiver, sender: ServiceBusSender
) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=0.3)
    later = datetime.now(UTC) + timedelta(hours=1)
    (_,) = await sender.schedule_messages(ServiceBusMessage("soon"), soon)
    numbers = await sender.schedule_messages([ServiceBusMessage("b"), ServiceBusMessage("c")], later)
    assert len(set(numbers)) == 2
    (message,) = await take(receiver)
    assert bytes(next(iter(message.body))) == b"soon"
    assert datetime.now(UTC) >= soon
    await receiver.complete_message(message)
    assert sorted(shared.held(QUEUE)) == ["b", "c"]
    await sender.cancel_scheduled_messages(numbers[0])
    assert shared.held(QUEUE) == ["c"]
    with pytest.raises(MessageNotFoundError):
        await sender.cancel_scheduled_messages(numbers)
    await sender.cancel_scheduled_messages(numbers[1])
    assert shared.held(QUEUE) == []


async def test_a_scheduled_message_gets_another_number_when_it_becomes_active(
    shared: Wire, receiver: ServiceBusReceiver, sender: ServiceBusSender
) -> None:
    """https://learn.microsoft.com/azure/service-bus-messaging/message-sequencing#scheduled-messages"""
    soon = datetime.now(UTC) + timedelta(seconds=0.2)
    (number,) = await sender.schedule_messages(ServiceBusMessage("soon"), soon)
    (peeked,) = await receiver.peek_messages(sequence_number=number)
    assert (peeked.sequence_number, peeked.state) == (number, ServiceBusMessageState.SCHEDULED)
    (message,) = await take(receiver)
    assert message.sequence_number > number
    assert message.state is ServiceBusMessageState.ACTIVE
    with pytest.raises(MessageNotFoundError):
        await sender.cancel_scheduled_messages(number)
    await receiver.complete_message(message)


async def test_a_topic_schedules_and_its_subscription_is_peeked(
    shared: Wire, client: ServiceBusClient, kept: Keep
) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    sender = kept(client.get_topic_sender("events"))
    receiver = kept(client.get_subscription_receiver("events", "all"))
    numbers = await sender.schedule_messages(ServiceBusMessage("later"), later)
    assert shared.held("events") == ["later"]
    await sender.cancel_scheduled_messages(numbers)
    assert shared.held("events") == []
    await shared.put("events", "now")
    last = shared.bus.peek("events/Subscriptions/all", 0, 10_000)[-1]
    (peeked,) = await receiver.peek_messages(sequence_number=last.sequence_number)
    assert bytes(next(iter(peeked.body))) == b"now"
    for subscription in ("all", "urgent"):
        await shared.bus.receive_and_delete(f"events/Subscriptions/{subscription}", 10)
