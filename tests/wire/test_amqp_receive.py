"""Receiving and settling with the real SDK."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from azure.servicebus import (
    ServiceBusMessage,
    ServiceBusMessageState,
    ServiceBusReceiveMode,
    ServiceBusSubQueue,
)
from azure.servicebus.aio import AutoLockRenewer, ServiceBusClient, ServiceBusReceiver, ServiceBusSender
from azure.servicebus.exceptions import (
    AutoLockRenewFailed,
    MessageAlreadySettled,
    MessageLockLostError,
    ServiceBusError,
)

from emulator.wire.amqp.performatives import DISPOSITION, TRANSFER
from tests.wire.sdk import HeardFrame, Keep, heard_of, nothing_comes, take
from tests.wire.wire_endpoints import DEAD, LOCK_S, MAX_DELIVERIES, SHORT_LOCK_S, Wire

pytestmark = pytest.mark.asyncio(loop_scope="session")


QUEUE = "receiving"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def opened(client: ServiceBusClient, kept: Keep) -> ServiceBusReceiver:
    """Of QUEUE."""
    return kept(client.get_queue_receiver(QUEUE))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def sender(client: ServiceBusClient, kept: Keep) -> ServiceBusSender:
    """To QUEUE."""
    return kept(client.get_queue_sender(QUEUE))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def dead(client: ServiceBusClient, kept: Keep) -> ServiceBusReceiver:
    """Of the dead letters of QUEUE."""
    return kept(client.get_queue_receiver(QUEUE, sub_queue=ServiceBusSubQueue.DEAD_LETTER))


@pytest_asyncio.fixture(loop_scope="session")
async def receiver(shared: Wire, opened: ServiceBusReceiver) -> ServiceBusReceiver:
    """As `opened`; the queue is empty."""
    assert shared.held(QUEUE) == [], "what the test before has left"
    return opened


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
    shared: Wire, receiver: ServiceBusReceiver, dead: ServiceBusReceiver
) -> None:
    await shared.put(QUEUE, "again")
    for deliveries in range(MAX_DELIVERIES):
        (message,) = await take(receiver)
        assert message.delivery_count == deliveries
        await receiver.abandon_message(message)
    (message,) = await take(dead)
    assert str(message) == "again"
    assert message.dead_letter_reason == "MaxDeliveryCountExceeded"
    assert f"{MAX_DELIVERIES} delivery attempts" in (message.dead_letter_error_description or "")
    await dead.complete_message(message)


async def test_a_dead_lettered_message_says_why_and_what_it_said_before(
    shared: Wire, receiver: ServiceBusReceiver, sender: ServiceBusSender, dead: ServiceBusReceiver
) -> None:
    await sender.send_messages(ServiceBusMessage("bad", application_properties={"kept": 1}))
    (message,) = await take(receiver)
    await receiver.dead_letter_message(message, reason="rëason", error_description="description")
    assert shared.held(QUEUE) == []
    (message,) = await take(dead)
    assert (message.dead_letter_reason, message.dead_letter_error_description) == ("rëason", "description")
    assert message.application_properties == {
        b"kept": 1,
        b"DeadLetterReason": "rëason".encode(),
        b"DeadLetterErrorDescription": b"description",
    }
    assert message.dead_letter_source is None
    await dead.complete_message(message)
    assert shared.held(QUEUE + DEAD) == []


async def test_a_dead_letter_cannot_be_dead_lettered(
    shared: Wire, client: ServiceBusClient, kept: Keep, queue: str
) -> None:
    await shared.put(queue, "1")
    (held,) = await shared.bus.receive(queue, 1, "test")
    await shared.bus.dead_letter(queue, [held.lock_token], "first", "")
    receiver = kept(client.get_queue_receiver(queue, sub_queue=ServiceBusSubQueue.DEAD_LETTER))
    (message,) = await take(receiver)
    with pytest.raises(ServiceBusError, match="amqp:not-allowed"):
        await receiver.dead_letter_message(message, reason="second")
    (left,) = shared.bus.peek(queue + DEAD, 0, 9)
    assert left.dead_letter_reason == "first"


async def test_a_message_that_expired_is_dead_lettered_with_that_reason(
    receiver: ServiceBusReceiver, sender: ServiceBusSender, dead: ServiceBusReceiver
) -> None:
    await sender.send_messages(ServiceBusMessage("old", time_to_live=timedelta(milliseconds=100)))
    (message,) = await take(dead)
    assert (str(message), message.dead_letter_reason) == ("old", "TTLExpiredException")
    assert message.time_to_live is None
    await dead.complete_message(message)
    assert await nothing_comes(receiver)


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
async def brief(client: ServiceBusClient, kept: Keep) -> ServiceBusReceiver:
    """Of a queue whose locks end soon."""
    return kept(client.get_queue_receiver("brief"))


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
    shared: Wire, client: ServiceBusClient, kept: Keep, queue: str, heard: list[HeardFrame]
) -> None:
    await shared.put(queue, "1", "2", "3")
    mode = ServiceBusReceiveMode.RECEIVE_AND_DELETE
    receiver = kept(client.get_queue_receiver(queue, receive_mode=mode))
    messages = await take(receiver, 2)
    assert [str(message) for message in messages] == ["1", "2"]
    assert shared.held(queue) == ["3"]
    *_, first, second = heard_of(heard, TRANSFER)
    assert (first[4], second[4]) == (True, True), "settled"
    with pytest.raises(ValueError, match="RECEIVE_AND_DELETE"):
        await receiver.complete_message(messages[0])


async def test_subscriptions_are_received_from_apart(
    shared: Wire, client: ServiceBusClient, kept: Keep
) -> None:
    await shared.put("events", "copied", properties={"urgent": "yes"})
    for name in ("all", "urgent"):
        receiver = kept(client.get_subscription_receiver("events", name))
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
    free = []
    async with asyncio.timeout(5):  # it does not wait for an answer
        while len(free) < 4:
            free += await shared.bus.receive(queue, 10, "test")
            await asyncio.sleep(0.01)
    assert [(message.body, message.delivery_count) for message in free] == [
        (b"%d" % number, 0) for number in range(1, 5)
    ]


async def test_peeking_neither_locks_nor_counts(shared: Wire, receiver: ServiceBusReceiver) -> None:
    await shared.put(QUEUE, "1", "2")
    assert [str(message) for message in await receiver.peek_messages(1)] == ["1"]
    assert [str(message) for message in await receiver.peek_messages(5)] == ["2"]
    assert [str(message) for message in await receiver.peek_messages(5, sequence_number=1)] == ["1", "2"]
    messages = await take(receiver, 2)
    assert [message.delivery_count for message in messages] == [0, 0]
    for message in messages:
        await receiver.complete_message(message)


async def test_a_receiver_that_asks_again_is_given_what_it_asks_for_now_and_no_more(
    shared: Wire, client: ServiceBusClient, kept: Keep, queue: str
) -> None:
    """The first receive ends before its credit is used up."""
    receiver = kept(client.get_queue_receiver(queue))
    await shared.put(queue, "1")
    assert [str(each) for each in await receiver.receive_messages(5, max_wait_time=5)] == ["1"]
    waiting = asyncio.create_task(receiver.receive_messages(1, max_wait_time=5))
    async with asyncio.timeout(5):
        while receiver._handler._link.current_link_credit != 1:  # noqa: ASYNC110  (the SDK has no event)
            await asyncio.sleep(0.01)
    await shared.put(queue, "2", "3", "4")
    assert [str(each) for each in await waiting] == ["2"]
    free = await shared.bus.receive(queue, 10, "test")
    assert [each.body for each in free] == [b"3", b"4"]


async def test_each_of_many_that_are_settled_at_once_is_answered_by_itself(
    shared: Wire, receiver: ServiceBusReceiver, heard: list[HeardFrame]
) -> None:
    """A frame that speaks of several would wake one of those that wait for it; the others wait on."""
    await shared.put(QUEUE, *(f"{number}" for number in range(100)))
    messages = await take(receiver, 100)
    async with asyncio.timeout(10):
        await asyncio.gather(*(receiver.complete_message(message) for message in messages))
    answers = heard_of(heard, DISPOSITION)
    assert [(first, settled) for _, first, _, settled, *_ in answers] == [
        (first, True) for first in sorted(message._delivery_id for message in messages)
    ]
    assert all(role is False and first == last for role, first, last, *_ in answers)


async def test_an_auto_renewer_keeps_a_lock_and_tells_of_one_that_is_lost(
    shared: Wire, receiver: ServiceBusReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its clock is moved to where it renews: within the last ten seconds of a lock."""
    await shared.put(QUEUE, "long")
    (message,) = await take(receiver)
    until = message.locked_until_utc
    failed: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    async def tell(_: object, error: Exception | None) -> None:
        failed.set_result(error)

    renewer = AutoLockRenewer(on_lock_renew_failure=tell)
    renewer._sleep_time = 0.05
    monkeypatch.setattr(
        "azure.servicebus.aio._async_auto_lock_renewer.utc_now",
        lambda: datetime.now(UTC) + timedelta(seconds=LOCK_S - 5),
    )
    renewer.register(receiver, message)
    async with asyncio.timeout(5):
        while message.locked_until_utc == until:  # noqa: ASYNC110  (the SDK has no event)
            await asyncio.sleep(0.01)
        await shared.bus.complete(QUEUE, [str(message.lock_token)])
        error = await failed
    assert isinstance(error, AutoLockRenewFailed)
    assert isinstance(error.inner_exception, MessageLockLostError)
    await renewer.close()
