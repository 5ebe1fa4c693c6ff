"""Sending with the real SDK."""

import asyncio
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from azure.servicebus import ServiceBusMessage, ServiceBusMessageBatch
from azure.servicebus.aio import ServiceBusClient, ServiceBusSender
from azure.servicebus.amqp import AmqpAnnotatedMessage
from azure.servicebus.exceptions import (
    MessageSizeExceededError,
    ServiceBusAuthenticationError,
    ServiceBusServerBusyError,
)

from emulator.servicebus.messages import LockedMessage
from emulator.servicebus.rows import MAX_MESSAGE_BYTES
from emulator.wire.amqp.performatives import DISPOSITION
from tests.wire.sdk import HeardFrame, Keep, heard_of, take
from tests.wire.wire_endpoints import Wire

pytestmark = pytest.mark.asyncio(loop_scope="session")

NOW = datetime(2026, 5, 4, 3, 2, 1, 987_000, tzinfo=UTC)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def sender(client: ServiceBusClient, kept: Keep) -> ServiceBusSender:
    return kept(client.get_queue_sender("sending"))


async def arrived(shared: Wire) -> list[LockedMessage]:
    """What the sender sent, taken out of its queue."""
    messages = await shared.bus.receive("sending", 1000, "test")
    await shared.bus.complete("sending", [message.lock_token for message in messages])
    return messages


def fill(batch: ServiceBusMessageBatch, fields: dict[str, Any]) -> None:
    while True:
        try:
            batch.add_message(ServiceBusMessage(b"x", **fields))
        except MessageSizeExceededError:
            return


async def test_a_message_has_the_fields_with_which_it_was_sent(
    shared: Wire, sender: ServiceBusSender
) -> None:
    await sender.send_messages(
        ServiceBusMessage(
            b"\x00body\xff",
            message_id="id",
            session_id="session",
            correlation_id="correlation",
            subject="subject",
            content_type="application/json",
            to="to",
            reply_to="reply to",
            reply_to_session_id="reply session",
            time_to_live=timedelta(seconds=90),
            application_properties={"text": "tëxt", "number": 70000, "yes": True, "none": None, "half": 0.5},
        )
    )
    (message,) = await arrived(shared)
    assert message.body == b"\x00body\xff"
    assert (message.message_id, message.session_id, message.subject) == ("id", "session", "subject")
    assert (message.correlation_id, message.content_type) == ("correlation", "application/json")
    assert (message.to, message.reply_to, message.reply_to_session_id) == ("to", "reply to", "reply session")
    assert message.expires_at == pytest.approx(message.enqueued_at + 90)
    assert message.properties == {"text": "tëxt", "number": 70000, "yes": True, "none": None, "half": 0.5}


async def test_a_list_and_a_batch_arrive_whole_and_in_order(shared: Wire, sender: ServiceBusSender) -> None:
    await sender.send_messages(
        [ServiceBusMessage(f"list {number}", message_id=f"{number}") for number in range(5)]
    )
    batch = await sender.create_message_batch()
    for number in range(100):
        batch.add_message(ServiceBusMessage(f"batch {number}", application_properties={"n": number}))
    await sender.send_messages(batch)
    messages = await arrived(shared)
    expected = [f"list {number}" for number in range(5)] + [f"batch {number}" for number in range(100)]
    assert [message.body.decode() for message in messages] == expected
    assert [message.message_id for message in messages[:5]] == ["0", "1", "2", "3", "4"]
    assert [message.properties for message in messages[5:]] == [{"n": number} for number in range(100)]


async def test_what_is_sent_is_answered_as_by_its_receiver(
    shared: Wire, sender: ServiceBusSender, heard: list[HeardFrame]
) -> None:
    await sender.send_messages(ServiceBusMessage("opens the link"))
    heard.clear()
    await sender.send_messages(ServiceBusMessage("x"))
    assert len(await arrived(shared)) == 2
    ((role, first, last, settled, state, *_),) = heard_of(heard, DISPOSITION)
    assert (role, first == last, settled) == (True, True, True)
    assert "accepted" in state


async def test_a_message_of_many_frames_arrives_whole(shared: Wire, sender: ServiceBusSender) -> None:
    body = bytes(range(256)) * 1000
    await sender.send_messages(ServiceBusMessage(body))
    (message,) = await arrived(shared)
    assert message.body == body


async def test_what_is_too_large_is_refused_and_the_sender_goes_on(
    shared: Wire, sender: ServiceBusSender
) -> None:
    async with asyncio.timeout(5):  # an error of two fields is never told: the SDK reads a third
        with pytest.raises(MessageSizeExceededError):
            await sender.send_messages(ServiceBusMessage(b"x" * 262_144))
    batch = await sender.create_message_batch()
    for _ in range(8):
        batch.add_message(ServiceBusMessage(b"x" * 30_000))
    with pytest.raises(MessageSizeExceededError):
        batch.add_message(ServiceBusMessage(b"x" * 30_000))
    await sender.send_messages(batch)
    assert len(await arrived(shared)) == 8


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"message_id": "m" * 128, "session_id": "s" * 128, "partition_key": "s" * 128},
        {"application_properties": {str(number): uuid.UUID(int=number) for number in range(20)}},
        {"application_properties": {"quoted": '"' * 500}},
    ],
    ids=["plain", "long ids", "ids as properties", "quotes"],
)
async def test_a_batch_that_the_sdk_has_filled_to_the_limit_is_taken(
    shared: Wire, sender: ServiceBusSender, fields: dict[str, Any]
) -> None:
    """Whatever its messages are: the SDK counts their AMQP bytes, and none of the envelope's properties."""
    batch = await sender.create_message_batch()
    assert batch.max_size_in_bytes == MAX_MESSAGE_BYTES
    fill(batch, fields)
    await sender.send_messages(batch)
    taken = 0
    while messages := await arrived(shared):
        taken += len(messages)
    assert taken == len(batch)


async def test_a_scheduled_message_comes_when_it_is_due(shared: Wire, sender: ServiceBusSender) -> None:
    due = datetime.now(UTC) + timedelta(seconds=0.5)
    await sender.send_messages(ServiceBusMessage("later", scheduled_enqueue_time_utc=due))
    assert await arrived(shared) == []
    deadline = asyncio.get_running_loop().time() + 5
    while not (messages := await arrived(shared)):
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.05)
    assert messages[0].enqueued_at >= due.timestamp() - 0.001


async def test_a_topics_message_is_copied_to_the_subscriptions_that_take_it(
    shared: Wire, client: ServiceBusClient, kept: Keep
) -> None:
    sender = kept(client.get_topic_sender("events"))
    urgent = ServiceBusMessage("1", application_properties={"urgent": "yes"})
    await sender.send_messages([urgent, ServiceBusMessage("2", application_properties={"urgent": "no"})])
    assert shared.held("events/Subscriptions/all")[-2:] == ["1", "2"]
    assert shared.held("events/Subscriptions/urgent")[-1:] == ["1"]


async def test_a_message_that_was_received_can_be_sent_on(
    shared: Wire, client: ServiceBusClient, kept: Keep, sender: ServiceBusSender, queue: str
) -> None:
    await shared.put(queue, "moved", subject="kept")
    receiver = kept(client.get_queue_receiver(queue))
    (received,) = await take(receiver)
    await sender.send_messages(received)
    (message,) = await arrived(shared)
    assert (message.body, message.subject, message.message_id) == (b"moved", "kept", "moved")


async def test_every_type_of_property_and_body_comes_back_as_it_was_sent(
    client: ServiceBusClient, kept: Keep, queue: str
) -> None:
    properties = {
        "text": "text",
        "small": 1,
        "large": -(2**31),
        "half": 0.5,
        "no": False,
        "none": None,
        "uuid": uuid.UUID(int=7),
        "time": NOW,
    }
    values = AmqpAnnotatedMessage(
        value_body={"a": [1, "x", None]},
        application_properties=properties,
        annotations={"x-mine": "kept", "x-number": 5},
        properties={"message_id": "id", "content_encoding": "gzip", "user_id": b"user", "group_sequence": 3},
    )
    sequence = AmqpAnnotatedMessage(sequence_body=[[1, 2], ["a"]])
    sender, receiver = kept(client.get_queue_sender(queue)), kept(client.get_queue_receiver(queue))
    await sender.send_messages([values, sequence])
    received = await take(receiver, 2)
    first, second = (message.raw_amqp_message for message in received)
    assert list(first.body) == [(b"a", [1, b"x", None])] or first.body == {b"a": [1, b"x", None]}
    assert [list(part) for part in second.body] == [[1, 2], [b"a"]]
    timestamp = int(NOW.timestamp() * 1000)
    assert first.application_properties == {
        **{key.encode(): value for key, value in properties.items()},
        b"text": b"text",
        b"time": timestamp,
    }
    assert (first.annotations[b"x-mine"], first.annotations[b"x-number"]) == (b"kept", 5)
    assert (first.properties.content_encoding, first.properties.user_id) == (b"gzip", b"user")
    assert first.properties.group_sequence == 3


async def test_a_throttled_send_fails_as_busy_and_changes_nothing(
    shared: Wire, sender: ServiceBusSender
) -> None:
    shared.bus.fail_until(shared.engines.clock.time() + 60)
    try:
        async with asyncio.timeout(5):
            with pytest.raises(ServiceBusServerBusyError):
                await sender.send_messages(ServiceBusMessage("x"))
    finally:
        shared.bus.fail_until(0)
    assert await arrived(shared) == []
    await sender.send_messages(ServiceBusMessage("y"))
    assert len(await arrived(shared)) == 1


async def test_what_is_sent_twice_within_the_window_is_taken_once(
    shared: Wire, client: ServiceBusClient, kept: Keep
) -> None:
    sender = kept(client.get_queue_sender("once"))
    await sender.send_messages(ServiceBusMessage("first", message_id="same"))
    await sender.send_messages(ServiceBusMessage("second", message_id="same"))
    await sender.send_messages(
        [ServiceBusMessage("third", message_id=each) for each in ("same", "other", "other")]
    )
    await sender.send_messages([ServiceBusMessage("named by the SDK") for _ in range(2)])
    messages = await shared.bus.receive_and_delete("once", 10)
    assert [each.body for each in messages] == [b"first", b"third", b"named by the SDK", b"named by the SDK"]


async def test_sections_that_are_written_after_the_body_are_read(
    shared: Wire, sender: ServiceBusSender
) -> None:
    """The SDK writes delivery annotations after the footer, which is not the order of the specification."""
    await sender.send_messages(
        AmqpAnnotatedMessage(
            data_body=b"body",
            delivery_annotations={"x-delivery": 1},
            footer={"x-footer": 1},
            annotations={"x-mine": 1},
            application_properties={"n": 1},
        )
    )
    (message,) = await arrived(shared)
    assert (message.body, message.properties) == (b"body", {"n": 1})


async def test_a_sender_that_was_given_no_credit_is_served(
    shared: Wire, client: ServiceBusClient, kept: Keep, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK sends all the same."""
    monkeypatch.setattr("emulator.wire.amqp.incoming._CREDIT", 0)
    sender = kept(client.get_queue_sender(queue))
    for number in range(3):
        await sender.send_messages(ServiceBusMessage(f"{number}"))
    assert shared.held(queue) == ["0", "1", "2"]


async def test_a_wrong_key_is_refused(shared: Wire, queue: str) -> None:
    wrong = shared.connection_string.replace(shared.keys.servicebus_key, "d3Jvbmc=")
    async with ServiceBusClient.from_connection_string(wrong, retry_total=0) as client:
        with pytest.raises(ServiceBusAuthenticationError):
            await client.get_queue_sender(queue).send_messages(ServiceBusMessage("x"))
    assert shared.held(queue) == []
