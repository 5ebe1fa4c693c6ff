"""Messages between AMQP and the engine: what is kept, what the broker adds, what is refused."""

import uuid
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.servicebus.messages import LockedMessage, Message, StoredMessage
from emulator.wire.amqp.encoding import encode, encode_described
from emulator.wire.amqp.message_decoding import decode_batch, decode_message
from emulator.wire.amqp.message_encoding import encode_message
from emulator.wire.amqp.sections import (
    ANNOTATIONS,
    APPLICATION_PROPERTIES,
    DATA,
    DELIVERY_ANNOTATIONS,
    FOOTER,
    HEADER,
    PROPERTIES,
    SEQUENCE,
    VALUE,
)
from emulator.wire.amqp.values import Decimal, DecodeError, Long, Symbol, Timestamp, Ubyte, Uint, Ulong
from tests.wire.raw_peer import message, section, sections_of

NOW = 1_790_000_000.125
STORED: dict[str, Any] = {
    "sequence_number": 7,
    "enqueue_sequence_number": 6,
    "enqueued_at": NOW,
    "expires_at": None,
    "delivery_count": 2,
    "dead_letter_reason": None,
    "dead_letter_description": None,
    "state": "active",
    "scheduled_for": None,
}


def stored(sent: Message, **changes: Any) -> StoredMessage:
    """As the engine would give it back."""
    shared = StoredMessage.__dataclass_fields__.keys() & Message.__dataclass_fields__.keys()
    content = {name: getattr(sent, name) for name in shared}
    return StoredMessage(**{**STORED, **content, **changes})


def there_and_back(data: bytes, **changes: Any) -> dict[int, Any]:
    return sections_of(encode_message(stored(decode_message(data), **changes)))


def test_the_fields_of_a_message_are_those_that_filters_and_functions_see() -> None:
    fields = [
        "id",
        None,
        "to",
        "subject",
        "reply",
        "corr",
        Symbol("text/plain"),
        None,
        None,
        None,
        "group",
        None,
        "rg",
    ]
    sent = decode_message(
        section(HEADER, [True, None, Uint(90_000)])
        + section(
            ANNOTATIONS,
            {Symbol("x-opt-partition-key"): "p", Symbol("x-opt-scheduled-enqueue-time"): Timestamp(5)},
        )
        + section(PROPERTIES, fields)
        + section(APPLICATION_PROPERTIES, {"n": 1, "s": Symbol("sym"), "t": Timestamp(1000), "b": b"x"})
        + section(DATA, b"body")
    )
    assert (sent.message_id, sent.to, sent.subject, sent.reply_to) == ("id", "to", "subject", "reply")
    assert (sent.correlation_id, sent.content_type, sent.session_id) == ("corr", "text/plain", "group")
    assert (sent.reply_to_session_id, sent.partition_key) == ("rg", "p")
    assert (sent.time_to_live_s, sent.scheduled_for, sent.body) == (90, 0.005, b"body")
    assert sent.properties == {"n": 1, "s": "sym", "t": datetime.fromtimestamp(1, UTC), "b": b"x"}
    assert type(sent.properties["s"]) is str


@pytest.mark.parametrize(
    ("id", "text"),
    [("a", "a"), (Ulong(7), "7"), (uuid.UUID(int=1), str(uuid.UUID(int=1))), (b"x", "x"), (b"\xff", "ff")],
)
def test_a_message_id_of_any_type_is_text_inside_and_itself_outside(id: Any, text: str) -> None:
    data = section(PROPERTIES, [id]) + section(DATA, b"")
    assert decode_message(data).message_id == text
    assert there_and_back(data)[PROPERTIES] == [id]


@pytest.mark.parametrize("fields", [None, [], [None], [None, None, "to"]])
def test_a_message_without_an_id_gets_one_that_its_receiver_sees(fields: list[Any] | None) -> None:
    data = (b"" if fields is None else section(PROPERTIES, fields)) + section(DATA, b"")
    sent = decode_message(data)
    assert sent.message_id != decode_message(data).message_id
    seen = sections_of(encode_message(stored(sent)))[PROPERTIES]
    assert seen == [sent.message_id, *(fields or [])[1:]]


@pytest.mark.parametrize(
    ("kept", "body", "seen"),
    [
        (section(APPLICATION_PROPERTIES, {"a": 1}) + section(PROPERTIES, ["id"]), b"body", {DATA: b"body"}),
        (section(PROPERTIES, ["id"]) + section(VALUE, "text"), b"text", {VALUE: "text"}),
    ],
)
def test_what_an_earlier_version_of_the_store_kept_goes_out_as_it_came(
    kept: bytes, body: bytes, seen: dict[int, Any]
) -> None:
    found = sections_of(encode_message(stored(Message(body=body, message_id="id", amqp=kept))))
    assert {code: found[code] for code in (DATA, VALUE) if code in found} == seen
    assert found[PROPERTIES] == ["id"]


def test_sections_may_come_in_any_order() -> None:
    parts = [
        section(DATA, b"body"),
        section(PROPERTIES, ["id"]),
        section(FOOTER, {Symbol("f"): 1}),
        section(HEADER, [None, None, Uint(5)]),
        section(DELIVERY_ANNOTATIONS, {Symbol("d"): 1}),
    ]
    assert decode_message(b"".join(parts)) == decode_message(
        b"".join((parts[0], *parts[3:], parts[1], parts[2]))
    )


BARE = st.tuples(
    st.dictionaries(
        st.text(max_size=5),
        st.one_of(
            st.booleans(),
            st.integers(-(2**31), 2**31 - 1),
            st.integers(0, 2**64 - 1).map(Ulong),
            st.integers(0, 255).map(Ubyte),
            st.integers(-(2**63), 2**63 - 1).map(Long),
            st.floats(allow_nan=False),
            st.text(max_size=20),
            st.binary(max_size=20),
            st.uuids(),
            st.integers(-(2**40), 2**40).map(Timestamp),
            st.none(),
        ),
        max_size=4,
    ),
    st.dictionaries(st.sampled_from(["x-a", "x-b"]).map(Symbol), st.integers(0, 9), max_size=2),
    st.one_of(
        st.binary(max_size=300).map(lambda body: section(DATA, body)),
        st.just(section(DATA, b"a") + section(DATA, b"b")),
        st.just(section(VALUE, {"deep": [1, None]})),
        st.just(section(VALUE, "text")),
        st.just(section(SEQUENCE, [1]) + section(SEQUENCE, ["a"])),
    ),
)


@settings(max_examples=150, deadline=None)
@given(BARE)
def test_what_was_sent_goes_out_byte_by_byte(parts: tuple[dict[str, Any], dict[Symbol, int], bytes]) -> None:
    properties, annotations, body = parts
    bare = section(PROPERTIES, ["id"]) + section(APPLICATION_PROPERTIES, properties)
    data = section(ANNOTATIONS, annotations) + bare + body + section(FOOTER, {Symbol("f"): 1})
    out = encode_message(stored(decode_message(data)))
    assert out.endswith(bare + body + section(FOOTER, {Symbol("f"): 1}))
    assert sections_of(out)[ANNOTATIONS].items() >= annotations.items()


def test_a_batch_is_its_messages_and_nothing_of_its_envelope() -> None:
    envelope = (
        section(PROPERTIES, ["envelope"])
        + section(DATA, message(b"1", "one"))
        + section(DATA, message(b"2", "two"))
    )
    assert [(each.message_id, each.body) for each in decode_batch(envelope)] == [("one", b"1"), ("two", b"2")]


def test_the_broker_says_what_it_knows() -> None:
    locked = LockedMessage(
        **{
            name: getattr(stored(decode_message(message())), name)
            for name in StoredMessage.__dataclass_fields__
        },
        lock_token=str(uuid.uuid4()),
        locked_until=NOW + 30,
    )
    found = sections_of(encode_message(locked))
    assert found[HEADER] == [True, None, None, None, 2]
    assert found[ANNOTATIONS] == {
        "x-opt-sequence-number": 7,
        "x-opt-enqueue-sequence-number": 6,
        "x-opt-enqueued-time": round(NOW * 1000),
        "x-opt-message-state": 0,
        "x-opt-locked-until": round((NOW + 30) * 1000),
    }


@pytest.mark.parametrize(("state", "number"), [("active", 0), ("deferred", 1), ("scheduled", 2)])
def test_the_state_is_a_number(state: str, number: int) -> None:
    assert there_and_back(message(), state=state)[ANNOTATIONS]["x-opt-message-state"] == number


@pytest.mark.parametrize(("lives_s", "told"), [(90, 90_000), (0.0001, 0), (10**9, 2**32 - 1)])
def test_the_time_to_live_is_told_in_milliseconds(lives_s: float, told: int) -> None:
    assert there_and_back(message(), expires_at=NOW + lives_s)[HEADER][2] == told


def test_what_a_sender_says_in_the_brokers_name_is_dropped() -> None:
    data = section(
        ANNOTATIONS,
        {Symbol("x-opt-sequence-number"): Long(99), Symbol("x-opt-lock-token"): "x", Symbol("x-mine"): 1},
    )
    annotations = there_and_back(data + message())[ANNOTATIONS]
    assert annotations["x-opt-sequence-number"] == 7
    assert annotations["x-mine"] == 1
    assert "x-opt-lock-token" not in annotations


@pytest.mark.parametrize("before", [None, {}, {"kept": Ulong(5)}, {"DeadLetterReason": "old", "kept": 1}])
def test_a_dead_letter_says_why_beside_what_it_said_before(before: dict[str, Any] | None) -> None:
    data = message() + (b"" if before is None else section(APPLICATION_PROPERTIES, before))
    why = {"dead_letter_reason": "reason", "dead_letter_description": "description"}
    assert there_and_back(data, **why)[APPLICATION_PROPERTIES] == {
        **(before or {}),
        "DeadLetterReason": "reason",
        "DeadLetterErrorDescription": "description",
    }


def test_a_dead_letter_without_a_reason_says_none() -> None:
    nothing = {"dead_letter_reason": "", "dead_letter_description": ""}
    assert APPLICATION_PROPERTIES not in there_and_back(message(), **nothing)


def test_a_message_that_did_not_come_over_the_wire_is_written_from_its_fields() -> None:
    moment = datetime(2026, 5, 4, tzinfo=UTC)
    sent = Message(
        b"body",
        "id",
        subject="subject",
        correlation_id="corr",
        content_type="tëxt",
        session_id="session",
        to="to",
        reply_to="reply",
        reply_to_session_id="rs",
        partition_key="p",
        properties={"n": 2**40, "u": uuid.UUID(int=1), "t": moment, "b": b"x", "f": 0.5, "none": None},
    )
    found = sections_of(encode_message(stored(sent, state="scheduled", scheduled_for=NOW)))
    assert found[DATA] == b"body"
    assert found[PROPERTIES] == [
        *("id", None, "to", "subject", "reply", "corr", "t?xt", None, None, None, "session", None, "rs")
    ]
    assert found[APPLICATION_PROPERTIES] == {**sent.properties, "t": Timestamp(moment.timestamp() * 1000)}
    assert found[ANNOTATIONS]["x-opt-partition-key"] == "p"
    assert found[ANNOTATIONS]["x-opt-scheduled-enqueue-time"] == round(NOW * 1000)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x00\x53\x75", "section"),
        (b"x", "section"),
        (section(0x79, b""), "section"),
        (section(DATA, "text"), "binary"),
        (section(PROPERTIES, {}), "list"),
        (section(APPLICATION_PROPERTIES, []), "map"),
        (section(APPLICATION_PROPERTIES, {1: 1}), "name"),
        (section(APPLICATION_PROPERTIES, {"a": [1]}), "'a'"),
        (section(APPLICATION_PROPERTIES, {"a": Decimal(0x74, b"1234")}), "'a'"),
        (section(APPLICATION_PROPERTIES, {"a": Timestamp(2**60)}), "range"),
        (section(PROPERTIES, ["id", None, 5]), "to"),
        (section(HEADER, [None, None, "5"]), "ttl"),
        (section(ANNOTATIONS, {Symbol("x-opt-scheduled-enqueue-time"): 5}), "timestamp"),
        (section(ANNOTATIONS, {Symbol("x-opt-scheduled-enqueue-time"): Timestamp(2**62)}), "year"),
        (section(ANNOTATIONS, {Symbol("x-opt-partition-key"): 5}), "string"),
        (section(DATA, b"") + section(VALUE, 1), "both"),
        (encode_described(DATA, encode(b"x"))[:-1], "ends"),
    ],
)
def test_a_malformed_message_is_refused_with_what_is_wrong(data: bytes, reason: str) -> None:
    with pytest.raises(DecodeError, match=reason):
        decode_message(data)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_message_with_changed_bytes_is_refused_or_can_be_given_back(data: st.DataObject) -> None:
    changed = bytearray(
        section(HEADER, [True, None, Uint(5)])
        + message(b"body", scheduled_enqueue_time=Timestamp(5))
        + section(APPLICATION_PROPERTIES, {"a": 1, "b": "x"})
        + section(FOOTER, {Symbol("f"): 1})
    )
    for _ in range(data.draw(st.integers(1, 3))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    with suppress(DecodeError):
        sent = decode_message(bytes(changed))
        again = decode_message(encode_message(stored(sent, dead_letter_reason="r")))
        assert (again.body, again.subject, again.scheduled_for) == (
            sent.body,
            sent.subject,
            sent.scheduled_for,
        )
