"""Receiving and settling with the real SDK."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
import pytest_asyncio
from azure.servicebus import (
    ServiceBusMessage,
    ServiceBusMessageState,
    ServiceBusReceivedMessage,
    ServiceBusReceiveMode,
    ServiceBusSubQueue,
)
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver
from azure.servicebus.exceptions import (
    MessageAlreadySettled,
    MessageLockLostError,
    MessagingEntityNotFoundError,
    ServiceBusError,
)

from tests.wire.wire_endpoints import DEAD, LOCK_S, MAX_DELIVERIES, SHORT_LOCK_S, Wire

pytestmark = pytest.mark.asyncio(loop_scope="session")


QUEUE = "queue-38"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def opened(client: ServiceBusClient) -> AsyncIterator[ServiceBusReceiver]:
    """Of QUEUE. To open one and close it takes the SDK a second."""
    async with client.get_queue_receiver(QUEUE) as receiver:
        yield receiver


@pytest_asyncio.fixture(loop_scope="session")
async def receiver(shared: Wire, opened: ServiceBusReceiver) -> ServiceBusReceiver:
    """As `opened`; the queue is empty."""
    assert shared.held(QUEUE) == [], "what the test before has left"
    return opened


async def take(receiver: ServiceBusReceiver, count: int = 1) -> list[ServiceBusReceivedMessage]:
    """Exactly so many: a receive may return with fewer."""
    messages: list[ServiceBusReceivedMessage] = []
    while len(messages) < count:
        more = await receiver.receive_messages(count - len(messages), max_wait_time=5)
        assert more, f"{len(messages)} of {count} came"
        messages += more
    return messages


async def nothing_comes(receiver: ServiceBusReceiver) -> bool:
    return await receiver.receive_messages(1, max_wait_time=0.3) == []


async def test_a_message_says_what_the_broker_knows_of_it(shared: Wire, receiver: ServiceBusReceiver) -> None:
    before = datetime.now(UTC)
    properties = {"text": "tëxt", "number": 5, "half": 0.5, "yes": True}
    await shared.put(
        QUEUE,
        "body",
        subject="subject",
        correlation_id="correlation",
        content_type="application/json",
        session_id="session",
        to="to",
        reply_to="reply",
        reply_to_session_id="reply session",
        partition_key="partition",
        properties=properties,
        time_to_live_s=90,
    )
    (message,) = await take(receiver)
    (stored,) = shared.bus.peek(QUEUE, 0, 10)
    assert str(message) == "body"
    assert (message.message_id, message.subject, message.correlation_id) == (
        "body",
        "subject",
        "correlation",
    )
    assert (message.content_type, message.session_id, message.to) == ("application/json", "session", "to")
    assert (message.reply_to, message.reply_to_session_id) == ("reply", "reply session")
    assert message.partition_key == "partition"
    assert message.application_properties == {
        key.encode(): value.encode() if isinstance(value, str) else value for key, value in properties.items()
    }
    assert message.sequence_number == message.enqueued_sequence_number == stored.sequence_number
    assert message.delivery_count == 0
    assert message.state is ServiceBusMessageState.ACTIVE
    assert (
        before.timestamp() - 0.001 <= message.enqueued_time_utc.timestamp() <= datetime.now(UTC).timestamp()
    )
    assert message.time_to_live.total_seconds() == 90
    assert (message.expires_at_utc - message.enqueued_time_utc).total_seconds() == pytest.approx(90)
    locked_for = (message.locked_until_utc - before).total_seconds()
    assert 0 < locked_for - LOCK_S < 5
    await receiver.complete_message(message)


async def test_a_completed_message_is_gone(shared: Wire, receiver: ServiceBusReceiver) -> None:
    await shared.put(QUEUE, "1", "2", "3")
    messages = await take(receiver, 3)
    assert [str(message) for message in messages] == ["1", "2", "3"]
    await receiver.complete_message(messages[1])
    assert shared.held(QUEUE) == ["1", "3"]
    await asyncio.gather(*(receiver.complete_message(message) for message in messages[::2]))
    assert shared.held(QUEUE) == []
    with pytest.raises(MessageAlreadySettled):
        await receiver.complete_message(messages[0])


async def test_an_abandoned_message_comes_again_until_it_is_dead_lettered(
    shared: Wire, receiver: ServiceBusReceiver
) -> None:
    await shared.put(QUEUE, "again")
    for deliveries in range(MAX_DELIVERIES):
        (message,) = await take(receiver)
        assert message.delivery_count == deliveries
        await receiver.abandon_message(message)
    (dead,) = await shared.bus.receive(QUEUE + DEAD, 10, "test")
    await shared.bus.complete(QUEUE + DEAD, [dead.lock_token])
    assert (dead.body, dead.dead_letter_reason) == (b"again", "MaxDeliveryCountExceeded")


async def test_a_dead_lettered_message_says_why_and_what_it_said_before(
    shared: Wire, client: ServiceBusClient, receiver: ServiceBusReceiver
) -> None:
    async with client.get_queue_sender(QUEUE) as sender:
        await sender.send_messages(ServiceBusMessage("bad", application_properties={"kept": 1}))
    (message,) = await take(receiver)
    await receiver.dead_letter_message(message, reason="rëason", error_description="description")
    assert shared.held(QUEUE) == []
    async with client.get_queue_receiver(QUEUE, sub_queue=ServiceBusSubQueue.DEAD_LETTER) as dead:
        (message,) = await take(dead)
        assert (message.dead_letter_reason, message.dead_letter_error_description) == (
            "rëason",
            "description",
        )
        assert message.application_properties[b"kept"] == 1
        await dead.complete_message(message)
    assert shared.held(QUEUE + DEAD) == []


async def test_a_deferred_message_is_received_by_its_number_only(
    shared: Wire, receiver: ServiceBusReceiver
) -> None:
    await shared.put(QUEUE, "later")
    (message,) = await take(receiver)
    await receiver.defer_message(message)
    assert await nothing_comes(receiver)
    number = message.sequence_number
    (deferred,) = await receiver.receive_deferred_messages(number)
    assert (str(deferred), deferred.sequence_number) == ("later", number)
    assert deferred.state is ServiceBusMessageState.DEFERRED
    await receiver.complete_message(deferred)
    assert shared.held(QUEUE) == []


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def brief(client: ServiceBusClient) -> AsyncIterator[ServiceBusReceiver]:
    """Of a queue whose locks end soon."""
    async with client.get_queue_receiver("brief") as receiver:
        yield receiver


async def test_a_lock_that_ended_is_lost_and_the_message_comes_again(
    shared: Wire, brief: ServiceBusReceiver
) -> None:
    await shared.put("brief", "slow")
    (message,) = await take(brief)
    (again,) = await take(brief)
    assert again.delivery_count == message.delivery_count + 1
    with pytest.raises(MessageLockLostError):
        await brief.complete_message(message)
    await shared.bus.abandon("brief", [str(again.lock_token)])  # behind the SDK's back
    with pytest.raises(MessageLockLostError):
        await brief.complete_message(again)
    (last,) = await take(brief)
    await brief.complete_message(last)


async def test_a_renewed_lock_is_kept(shared: Wire, brief: ServiceBusReceiver) -> None:
    await shared.put("brief", "long")
    loop = asyncio.get_running_loop()
    (message,) = await take(brief)
    until = loop.time() + 2 * SHORT_LOCK_S
    while loop.time() < until:
        locked_until = await brief.renew_message_lock(message)
        assert locked_until > datetime.now(UTC)
        await asyncio.sleep(SHORT_LOCK_S / 6)
    await brief.complete_message(message)
    assert shared.held("brief") == []


async def test_received_and_deleted_messages_are_gone_at_once(
    shared: Wire, client: ServiceBusClient, queue: str
) -> None:
    await shared.put(queue, "1", "2", "3")
    mode = ServiceBusReceiveMode.RECEIVE_AND_DELETE
    async with client.get_queue_receiver(queue, receive_mode=mode) as receiver:
        messages = await take(receiver, 2)
        assert [str(message) for message in messages] == ["1", "2"]
        assert shared.held(queue) == ["3"]


async def test_subscriptions_are_received_from_apart(shared: Wire, client: ServiceBusClient) -> None:
    await shared.put("events", "copied", properties={"urgent": "yes"})
    async with (
        client.get_subscription_receiver("events", "all") as everything,
        client.get_subscription_receiver("events", "urgent") as urgent,
    ):
        for receiver in (everything, urgent):
            while str((await take(receiver))[0]) != "copied":  # another test's
                pass


async def test_a_waiting_receiver_gets_a_message_as_soon_as_it_is_there(
    shared: Wire, receiver: ServiceBusReceiver
) -> None:
    loop = asyncio.get_running_loop()
    waiting = asyncio.create_task(receiver.receive_messages(1, max_wait_time=10))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    sent = loop.time()
    await shared.put(QUEUE, "now")
    (message,) = await waiting
    assert loop.time() - sent < 2
    await receiver.complete_message(message)


async def test_large_messages_and_many_come_whole_and_in_order(
    shared: Wire, receiver: ServiceBusReceiver
) -> None:
    bodies = [f"{number}:" + "x" * 200_000 for number in range(3)] + [f"{number}" for number in range(300)]
    for body in bodies:
        await shared.put(QUEUE, body, message_id="id")
    messages = await take(receiver, len(bodies))
    assert [len(str(message)) for message in messages] == [len(body) for body in bodies]
    assert [str(message)[:10] for message in messages] == [body[:10] for body in bodies]
    for message in messages:
        await receiver.complete_message(message)
    assert shared.held(QUEUE) == []


async def test_what_a_receiver_gave_back_on_closing_is_free_for_the_next(
    shared: Wire, client: ServiceBusClient, queue: str
) -> None:
    await shared.put(queue, *(f"{number}" for number in range(5)))
    async with client.get_queue_receiver(queue, prefetch_count=5) as receiver:
        (message,) = await take(receiver)
        await receiver.complete_message(message)
    free = await shared.bus.receive(queue, 10, "test")
    assert [(message.body, message.delivery_count) for message in free] == [
        (b"%d" % number, 0) for number in range(1, 5)
    ]


async def test_peeking_neither_locks_nor_counts(shared: Wire, receiver: ServiceBusReceiver) -> None:
    await shared.put(QUEUE, "1", "2")
    assert [str(message) for message in await receiver.peek_messages(5)] == ["1", "2"]
    messages = await take(receiver, 2)
    assert [message.delivery_count for message in messages] == [0, 0]
    for message in messages:
        await receiver.complete_message(message)


async def test_a_session_receiver_is_refused(client: ServiceBusClient, queue: str) -> None:
    with pytest.raises(ServiceBusError, match="sessions"):
        await client.get_queue_receiver(queue, session_id="one").receive_messages(max_wait_time=1)


async def test_a_receiver_of_what_is_not_there_is_told_so(client: ServiceBusClient) -> None:
    with pytest.raises(MessagingEntityNotFoundError, match="nowhere"):
        await client.get_queue_receiver("nowhere").receive_messages(max_wait_time=1)
