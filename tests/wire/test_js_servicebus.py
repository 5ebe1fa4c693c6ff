"""The AMQP endpoint judged by another SDK, Microsoft's for JavaScript. Its script is peers/servicebus.mjs."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from azure.servicebus import ServiceBusMessage, ServiceBusReceivedMessage, ServiceBusReceiveMode
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.amqp import AmqpAnnotatedMessage, AmqpMessageBodyType

from emulator.servicebus.topology import Queue, Settlement, Topology
from tests.wire.peer_scripts import Scenarios, run
from tests.wire.wire_endpoints import LOCK_S, MAX_DELIVERIES, QUEUES, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

NAMES = (
    "sending",
    "scheduling",
    "settling",
    "changing",
    "dead-lettering",
    "deferring",
    "peeking",
    "streaming",
    "iterating",
    "to-python",
    "from-python",
)
BRIEF_LOCK_S = 1.0
_USUAL = Settlement(LOCK_S, MAX_DELIVERIES, None, dead_letter_expired=True)
TOPOLOGY = Topology(
    queues=(
        *(Queue(name, _USUAL, None) for name in NAMES),
        Queue("brief", Settlement(BRIEF_LOCK_S, 10, None, dead_letter_expired=True), None),
        Queue("once", _USUAL, duplicate_window_s=60),
    ),
    topics=QUEUES.topics,
)
WHEN = datetime(2026, 5, 4, 3, 2, 1, 987_000, tzinfo=UTC)
ID = uuid.UUID("01020304-0506-0708-090a-0b0c0d0e0f10")


@dataclass
class Judged:
    """What the script saw, and the messages that it sent for Python to see."""

    seen: Scenarios
    received: list[ServiceBusReceivedMessage]

    def __getitem__(self, scenario: str) -> Any:
        return self.seen[scenario]


async def send_to_javascript(client: ServiceBusClient) -> None:
    async with client.get_queue_sender("from-python") as sender:
        await sender.send_messages(
            ServiceBusMessage(
                b'{"text":"t\xc3\xabxt"}',
                message_id="id",
                correlation_id="correlation",
                subject="subject",
                content_type="application/json",
                to="to",
                reply_to="reply to",
                reply_to_session_id="reply session",
                session_id="session",
                time_to_live=timedelta(seconds=90),
                application_properties={
                    "text": "tëxt",
                    "empty": "",
                    "int": -7,
                    "half": 0.5,
                    "yes": True,
                    "no": False,
                    "none": None,
                    "when": WHEN,
                    "uuid": ID,
                },
            )
        )
        await sender.send_messages(ServiceBusMessage(b"\x00\xff"))
        await sender.send_messages(
            AmqpAnnotatedMessage(value_body={"a": [1, "b", None]}, annotations={"x-mine": "m"})
        )
        await sender.send_messages(AmqpAnnotatedMessage(sequence_body=[[1, 2], ["x"]]))
        await sender.send_messages(AmqpAnnotatedMessage(data_body=[b"one", b"two"]))


async def received_from_javascript(client: ServiceBusClient) -> list[ServiceBusReceivedMessage]:
    messages: list[ServiceBusReceivedMessage] = []
    mode = ServiceBusReceiveMode.RECEIVE_AND_DELETE
    async with client.get_queue_receiver("to-python", receive_mode=mode) as receiver:
        while more := await receiver.receive_messages(10, max_wait_time=0.5):
            messages += more
    return messages


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def judged(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Judged]:
    async with (
        serving(tmp_path_factory.mktemp("judged"), topology=TOPOLOGY) as wire,
        ServiceBusClient.from_connection_string(wire.connection_string, retry_total=0) as client,
    ):
        await send_to_javascript(client)
        seen = await run("servicebus.mjs", wire.connection_string)
        yield Judged(seen, await received_from_javascript(client))


def code_of(error: Any) -> str:
    assert error["name"] == "ServiceBusError", error
    return str(error["code"])


async def test_single_messages_lists_and_batches_arrive_whole_and_in_order(judged: Judged) -> None:
    seen = judged["sending"]
    numbered = [{"n": n} for n in range(4, 104)]
    assert seen["bodies"] == ["single", "list 1", "list 2", "list 3", *numbered]
    assert seen["ids"] == [str(n) for n in range(105)]
    assert seen["large"]
    assert seen["empty"]


async def test_what_is_too_large_is_refused_by_batch_and_by_endpoint(judged: Judged) -> None:
    seen = judged["sending"]
    assert seen["maxBatchBytes"] == 262_144
    assert seen["fits"] == [True, True, False]
    assert code_of(seen["tooLarge"]) == "MessageSizeExceeded"


async def test_scheduled_messages_wait_and_can_be_cancelled(judged: Judged) -> None:
    seen = judged["scheduling"]
    assert seen["waiting"] == [{"body": "due", "state": "scheduled"}]
    assert seen["body"] == "due"
    assert seen["early"] <= 1
    # A message is numbered anew when it becomes active: see message-sequencing in Microsoft's documentation.
    assert not seen["sameNumber"]
    assert seen["empty"]
    assert seen["byProperty"] == {"state": "scheduled", "exact": True}


async def test_a_message_is_completed_once(judged: Judged) -> None:
    assert "already settled" in judged["settling"]["twice"]["message"]


async def test_an_abandoned_message_counts_its_deliveries_and_is_dead_lettered(judged: Judged) -> None:
    seen = judged["settling"]
    assert seen["counts"] == list(range(MAX_DELIVERIES))
    assert seen["empty"]
    assert seen["dead"]["body"] == "abandoned"
    assert seen["dead"]["reason"] == "MaxDeliveryCountExceeded"
    assert seen["dead"]["description"]


async def test_changed_properties_are_refused_and_the_message_stays(judged: Judged) -> None:
    seen = judged["changing"]
    for operation in ("abandoning", "deferring", "deadLettering"):
        assert code_of(seen[operation]) == "GeneralError"
        assert "to change properties in settling a message is not served" in seen[operation]["message"]
    assert seen["left"] == [[1, "active"], [2, "active"], [3, "active"]]


async def test_a_dead_letter_keeps_its_content_and_has_its_reason(judged: Judged) -> None:
    assert judged["deadLettering"] == {
        "empty": True,
        "body": "bad",
        "reason": "unreadable",
        "description": "it has no id",
        "properties": {
            "kept": 1,
            "DeadLetterReason": "unreadable",
            "DeadLetterErrorDescription": "it has no id",
        },
    }


async def test_deferred_messages_are_received_by_number_only(judged: Judged) -> None:
    seen = judged["deferring"]
    assert seen["empty"]
    assert seen["states"] == ["deferred", "deferred"]
    assert seen["bodies"] == ["first", "second"]
    assert code_of(seen["gone"]) == "MessageNotFound"
    assert seen["left"] == 0


async def test_a_lock_is_renewed_and_when_it_ends_it_is_lost(judged: Judged) -> None:
    seen = judged["locking"]
    assert seen["prolonged"] > 50
    assert seen["comesAgain"]["count"] == 1
    assert seen["comesAgain"]["afterItsLock"] >= BRIEF_LOCK_S * 1000 - 1
    assert code_of(seen["lost"]) == code_of(seen["lostRenewal"]) == "MessageLockLost"
    assert seen["empty"]


async def test_peeking_goes_on_where_it_ended_and_from_any_number(judged: Judged) -> None:
    assert judged["peeking"] == {"first": [0, 1], "next": [2, 3], "all": 4, "end": 0}


async def test_a_stream_gives_each_message_once_and_an_abandoned_one_again(judged: Judged) -> None:
    seen = judged["streaming"]
    assert sorted(seen["seen"]) == sorted([*range(60), 7])
    assert seen["errors"] == ["seven fails once"]
    assert 1 < seen["most"] <= 5


async def test_an_iterator_gives_one_message_after_another(judged: Judged) -> None:
    assert judged["iterating"] == {"seen": [1, 2, 3]}


async def test_subscriptions_have_what_their_filters_take_and_dead_letters_of_their_own(
    judged: Judged,
) -> None:
    assert judged["subscribing"] == {
        "all": ["plain", "urgent"],
        "urgent": "urgent",
        "empty": [True, True],
        "dead": ["urgent", "read"],
    }


async def test_a_duplicate_is_taken_and_dropped(judged: Judged) -> None:
    assert judged["duplicates"] == {"bodies": [1, 3], "empty": True}


async def test_sessions_and_rules_are_refused(judged: Judged) -> None:
    seen = judged["sessions"]
    # Of a session with a name this SDK reports its own finding, not the endpoint's error.
    assert code_of(seen["named"]) == "SessionCannotBeLocked"
    assert "does not require sessions" in seen["next"]["message"]
    assert seen["next"]["message"].startswith("InvalidOperationError")
    assert "remove-rule" in seen["rules"]["message"]


async def test_a_wrong_key_and_unknown_entities_are_refused(judged: Judged) -> None:
    seen = judged["refused"]
    for operation in ("keySending", "keyReceiving"):
        assert code_of(seen[operation]) == "UnauthorizedAccess"
    for operation in ("sending", "receiving", "subscription", "peeking"):
        assert code_of(seen[operation]) == "MessagingEntityNotFound"


async def test_python_sees_what_javascript_sent(judged: Judged) -> None:
    full = judged.received[0]
    assert list(full.body) == ['{"text":"tëxt"}'.encode()]
    assert (full.message_id, full.correlation_id, full.subject) == ("id", "correlation", "subject")
    assert (full.content_type, full.to, full.reply_to) == ("application/json", "to", "reply to")
    assert (full.session_id, full.reply_to_session_id) == ("session", "reply session")
    assert full.partition_key == "session"
    assert full.time_to_live == timedelta(seconds=90)
    properties = {
        b"text": "tëxt".encode(),
        b"empty": b"",
        b"int": -7,
        b"large": 2**40,
        b"half": 0.5,
        b"yes": True,
        b"no": False,
        b"none": None,
        b"when": 1_700_000_000_123,
    }
    assert full.application_properties == properties
    assert {name: type(value) for name, value in properties.items()} == {
        name: type(value) for name, value in full.application_properties.items()
    }


async def test_python_sees_bodies_of_every_kind(judged: Judged) -> None:
    _, *datas, value, sequence, annotated = judged.received
    assert [list(message.body) for message in datas] == [[b"\x00\xff"], [b'"string"'], [b"5"], [b"null"]]
    assert value.body_type == AmqpMessageBodyType.VALUE
    assert value.body == {b"a": [1, b"b", None]}
    assert sequence.body_type == AmqpMessageBodyType.SEQUENCE
    assert [list(part) for part in sequence.body] == [[[1, 2], [b"x"]]]
    assert list(annotated.body) == [b"data"]
    assert annotated.raw_amqp_message.annotations[b"x-mine"] == b"m"
    assert annotated.raw_amqp_message.footer == {b"sum": 9}


async def test_a_message_without_an_id_is_given_one(judged: Judged) -> None:
    ids = [message.message_id for message in judged.received[1:]]
    assert all(isinstance(id, str) and len(id) == 32 for id in ids)
    assert len(set(ids)) == len(ids)


async def test_javascript_sees_what_python_sent(judged: Judged) -> None:
    seen = judged["fromPython"]
    texts = {
        "body": {"text": "tëxt"},
        "messageId": "id",
        "correlationId": "correlation",
        "subject": "subject",
        "contentType": "application/json",
        "to": "to",
        "replyTo": "reply to",
        "replyToSessionId": "reply session",
        "sessionId": "session",
    }
    assert {name: seen[name] for name in texts} == texts
    assert seen["timeToLive"] == seen["expires"] == 90_000
    assert seen["properties"] == {
        "text": "tëxt",
        "empty": "",
        "int": -7,
        "half": 0.5,
        # Booleans in AMQP's form of one octet: rhea, on which this SDK stands, reads numbers.
        "yes": 1,
        "no": 0,
        "none": None,
        "when": round(WHEN.timestamp() * 1000),
        "uuid": {str(place): byte for place, byte in enumerate(ID.bytes)},
    }


async def test_javascript_sees_bodies_of_every_kind(judged: Judged) -> None:
    binary, value, sequence, parts = judged["fromPython"]["others"]
    assert binary == {"type": "data", "body": {"bytes": "00ff"}}
    assert value == {"type": "value", "body": {"a": [1, "b", None]}, "annotation": "m"}
    assert sequence == {"type": "sequence", "body": [[1, 2], ["x"]]}
    assert [bytes(part["data"]) for part in parts["body"]] == [b"one", b"two"]
