"""Messages of the engine in their AMQP form (part 3.2 of the specification).

A message goes out as it came in (message_decoding.py); one that did not come over the wire is written from
the engine's fields.
"""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta
from typing import Final

from emulator.servicebus.messages import LockedMessage, PropertyValue, StoredMessage
from emulator.wire.amqp.encoding import (
    encode,
    encode_binary,
    encode_described,
    encode_list,
    encode_map,
    encode_string,
    encode_symbol,
)
from emulator.wire.amqp.sections import (
    ANNOTATIONS,
    APPLICATION_PROPERTIES,
    DATA,
    PARTITION_KEY,
    PROPERTIES,
    SCHEDULED_TIME,
    Sections,
)
from emulator.wire.amqp.values import Timestamp, Value

PLAIN: Final = b"\x01"
"""Before kept sections that are the properties and the application properties, in this order, and no more: as
they nearly always are, and then go out again without a look at them. A section begins with another byte."""

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_STATES: Final = {"active": 0, "deferred": 1, "scheduled": 2}
_MAX_UINT: Final = 2**32 - 1


def encode_message(message: StoredMessage) -> bytes:
    """With what the broker says of it; that it is locked when it is."""
    kept = message.amqp
    has_died = message.dead_letter_reason or message.dead_letter_description
    if kept is not None and kept.startswith(PLAIN) and not has_died:
        return b"".join(
            (_header(message), _annotations(message), kept[len(PLAIN) :], encode_data(message.body))
        )
    sections = _sections_from_fields(message) if kept is None else Sections(kept.removeprefix(PLAIN))
    if has_died:
        dead_letter = {
            "DeadLetterReason": message.dead_letter_reason,
            "DeadLetterErrorDescription": message.dead_letter_description,
        }
        sections.add_application_properties({key: text for key, text in dead_letter.items() if text})
    return b"".join(
        (
            _header(message),
            _annotations(message, sections.annotations, sections.annotations_count),
            sections.properties,
            sections.application_properties,
            sections.body or encode_data(message.body),
            sections.footer,
        )
    )


_DATA_HEAD: Final = encode_described(DATA, b"")
_ANNOTATIONS_HEAD: Final = encode_described(ANNOTATIONS, b"")


def encode_data(body: bytes) -> bytes:
    return _DATA_HEAD + encode_binary(body)


def _sections_from_fields(message: StoredMessage) -> Sections:
    sections = Sections(b"")
    fields = (
        _text(message.message_id),
        b"\x40",
        _text(message.to),
        _text(message.subject),
        _text(message.reply_to),
        _text(message.correlation_id),
        b"\x40" if message.content_type is None else _ascii_symbol(message.content_type),
        b"\x40",
        b"\x40",
        b"\x40",
        _text(message.session_id),
        b"\x40",
        _text(message.reply_to_session_id),
    )
    sections.properties = encode_described(PROPERTIES, encode_list(fields))
    if message.properties:
        content = b"".join(
            encode_string(key) + encode(_amqp(value)) for key, value in message.properties.items()
        )
        sections.application_properties = encode_described(
            APPLICATION_PROPERTIES, encode_map(content, 2 * len(message.properties))
        )
    if message.partition_key is not None:
        sections.annotations = encode_symbol(PARTITION_KEY) + encode_string(message.partition_key)
        sections.annotations_count = 2
    return sections


_TTL_HEADER = struct.Struct(">9sI2sI")
_PLAIN_HEADER = struct.Struct(">11sI")


def _header(message: StoredMessage) -> bytes:
    """Durable, no priority, the time to live, no first-acquirer, the failed deliveries."""
    if message.expires_at is None:
        return _PLAIN_HEADER.pack(b"\x00\x53\x70\xc0\x0a\x05\x41\x40\x40\x40\x70", message.delivery_count)
    ttl = min(max(round((message.expires_at - message.enqueued_at) * 1000), 0), _MAX_UINT)
    head = b"\x00\x53\x70\xc0\x0e\x05\x41\x40\x70"
    return _TTL_HEADER.pack(head, ttl, b"\x40\x70", message.delivery_count)


_NUMBERS_COUNT: Final = 8
_SEQUENCE_NUMBER: Final = encode_symbol("x-opt-sequence-number") + b"\x81"
_ENQUEUED_TIME: Final = encode_symbol("x-opt-enqueued-time") + b"\x83"
_ENQUEUE_SEQUENCE_NUMBER: Final = encode_symbol("x-opt-enqueue-sequence-number") + b"\x81"
_STATE: Final = encode_symbol("x-opt-message-state") + b"\x54"
_LOCKED_UNTIL: Final = encode_symbol("x-opt-locked-until") + b"\x83"
_SCHEDULED: Final = encode_symbol(SCHEDULED_TIME) + b"\x83"
_NUMBERS: Final = struct.Struct(
    f">{len(_SEQUENCE_NUMBER)}sq{len(_ENQUEUED_TIME)}sq{len(_ENQUEUE_SEQUENCE_NUMBER)}sq{len(_STATE)}sB"
)


def _annotations(message: StoredMessage, senders: bytes = b"", senders_count: int = 0) -> bytes:
    content = (
        _NUMBERS.pack(
            _SEQUENCE_NUMBER,
            message.sequence_number,
            _ENQUEUED_TIME,
            round(message.enqueued_at * 1000),
            _ENQUEUE_SEQUENCE_NUMBER,
            message.enqueue_sequence_number,
            _STATE,
            _STATES[message.state],
        )
        + senders
    )
    count = _NUMBERS_COUNT + senders_count
    if isinstance(message, LockedMessage):
        content += _LOCKED_UNTIL + _milliseconds(message.locked_until)
        count += 2
    if message.scheduled_for is not None and message.amqp is None:
        content += _SCHEDULED + _milliseconds(message.scheduled_for)
        count += 2
    return _ANNOTATIONS_HEAD + encode_map(content, count)


def _milliseconds(epoch_s: float) -> bytes:
    return round(epoch_s * 1000).to_bytes(8)


def _amqp(value: PropertyValue) -> Value:
    return Timestamp((value - EPOCH) // timedelta(milliseconds=1)) if isinstance(value, datetime) else value


def _text(text: str | None) -> bytes:
    return b"\x40" if text is None else encode_string(text)


def _ascii_symbol(text: str) -> bytes:
    return encode_symbol(text if text.isascii() else text.encode("ascii", "replace").decode())
