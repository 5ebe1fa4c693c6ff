"""Messages of the engine from their AMQP form (part 3.2 of the specification).

A message goes out as it came in: the sections that the broker does not write are kept in bytes
(`Message.amqp`), all but a body that is one data section, which is the engine's `body`. The engine's fields
are what filters, duplicate detection and a hosted function look at.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from types import NoneType
from typing import Final, cast
from uuid import UUID, uuid4

from emulator.servicebus.messages import Message, PropertyValue
from emulator.wire.amqp.decoding import decode, list_fields, skip
from emulator.wire.amqp.encoding import encode, encode_described, encode_list, encode_string
from emulator.wire.amqp.message_encoding import EPOCH, PLAIN, encode_data
from emulator.wire.amqp.sections import (
    ANNOTATIONS,
    APPLICATION_PROPERTIES,
    DATA,
    DESCRIPTOR_SIZE,
    FOOTER,
    HEADER,
    PARTITION_KEY,
    PROPERTIES,
    SCHEDULED_TIME,
    SEQUENCE,
    VALUE,
    section_code,
    texts,
)
from emulator.wire.amqp.values import DecodeError, Symbol, Timestamp, Value

BATCH_FORMAT: Final = 0x80013700
"""The message format of an envelope whose data sections are whole messages."""

_BROKERS: Final = frozenset(
    {
        "x-opt-sequence-number",
        "x-opt-enqueued-time",
        "x-opt-locked-until",
        "x-opt-enqueue-sequence-number",
        "x-opt-message-state",
        "x-opt-lock-token",
        "x-opt-deadletter-source",
    }
)
"""Annotations that the broker writes: what a sender says there, by sending on what it got, is dropped."""

_LAST_MS: Final = 253_402_300_799_999
_TEXT: Final = frozenset({str})
_TEXT_PROPERTIES: Final = {
    2: "to",
    3: "subject",
    4: "reply-to",
    6: "content-type",
    10: "group-id",
    12: "reply-to-group-id",
}
_TEXT_OR_NONE: Final = frozenset({str, Symbol, NoneType})


def decode_batch(data: bytes) -> list[Message]:
    """The messages of an envelope, whose other sections say nothing. Raises DecodeError."""
    messages = []
    at = 0
    while at < len(data):
        code = section_code(data, at)
        if code == DATA:
            message, at = _binary(data, at + DESCRIPTOR_SIZE)
            messages.append(decode_message(message))
        else:
            at = skip(data, at + DESCRIPTOR_SIZE)
    return messages


def decode_message(data: bytes) -> Message:
    """Its sections may come in any order: the Python SDK writes delivery annotations last.

    Raises DecodeError.
    """
    bodies: list[bytes] = []
    others: list[tuple[bytes, bytes]] = []
    properties: list[Value] = []
    application: dict[str, PropertyValue] = {}
    annotations: dict[Value, Value] = {}
    ttl_s: float | None = None
    seldom = properties_section = application_section = b""
    at = 0
    while at < len(data):
        begin, code = at, section_code(data, at)
        at += DESCRIPTOR_SIZE
        if code == DATA:
            body, at = _binary(data, at)
            bodies.append(body)
        elif code == PROPERTIES:
            properties, at = _list(data, at, "properties")
            properties_section = data[begin:at]
        elif code == APPLICATION_PROPERTIES:
            named, at = _map(data, at, "application properties")
            application = _application_properties(named)
            application_section = data[begin:at]
        elif code == ANNOTATIONS:
            annotations, at = _map(data, at, "message annotations")
            section = data[begin:at]
            if not _BROKERS.isdisjoint(texts(annotations)):
                annotations = {key: value for key, value in annotations.items() if key not in _BROKERS}
                section = encode_described(ANNOTATIONS, encode(annotations))
            seldom += section
        elif code in {SEQUENCE, VALUE}:
            value, at = decode(data, at)
            others.append((data[begin:at], _body_of(value)))
        elif code == HEADER:
            header, at = _list(data, at, "header")
            ttl_s = _time_to_live(header)
        else:
            at = skip(data, at)
            if code == FOOTER:
                seldom += data[begin:at]
    if bodies and others:
        raise DecodeError("a message has a body of data or of values, not both")
    if len(bodies) != 1:
        seldom += b"".join(map(encode_data, bodies))
        seldom += b"".join(section for section, _ in others)
    body = b"".join(bodies) or b"".join(text for _, text in others)
    kept = (seldom or PLAIN) + _with_id(properties, properties_section) + application_section
    return _message(body, properties, application, annotations, ttl_s, kept)


def _message(
    body: bytes,
    properties: list[Value],
    application: Mapping[str, PropertyValue],
    annotations: dict[Value, Value],
    ttl_s: float | None,
    kept: bytes,
) -> Message:
    properties += [None] * (13 - len(properties))
    if not _TEXT_OR_NONE.issuperset(map(type, properties)):
        _check(properties)
    scheduled = annotations.get(SCHEDULED_TIME)
    partition_key = annotations.get(PARTITION_KEY)
    if scheduled is not None and not (isinstance(scheduled, Timestamp) and scheduled <= _LAST_MS):
        raise DecodeError(f"{SCHEDULED_TIME} must be a timestamp before the year 10000")
    if partition_key is not None and not isinstance(partition_key, str):
        raise DecodeError(f"{PARTITION_KEY} must be a string")
    texts = cast("list[str | None]", properties)
    return Message(
        body=body,
        message_id=texts[0] or "",
        subject=texts[3],
        correlation_id=texts[5],
        content_type=texts[6],
        session_id=texts[10],
        to=texts[2],
        reply_to=texts[4],
        reply_to_session_id=texts[12],
        partition_key=partition_key,
        properties=application,
        time_to_live_s=ttl_s,
        scheduled_for=None if scheduled is None else scheduled / 1000,
        amqp=kept,
    )


def _binary(data: bytes, at: int) -> tuple[bytes, int]:
    """This and the next two: also where it ends."""
    value, end = decode(data, at)
    if not isinstance(value, bytes):
        raise DecodeError("a data section must be binary")
    return value, end


def _list(data: bytes, at: int, what: str) -> tuple[list[Value], int]:
    value, end = decode(data, at)
    if not isinstance(value, list):
        raise DecodeError(f"the {what} must be a list")
    return value, end


def _map(data: bytes, at: int, what: str) -> tuple[dict[Value, Value], int]:
    value, end = decode(data, at)
    if not isinstance(value, dict):
        raise DecodeError(f"the {what} must be a map")
    return value, end


def _time_to_live(header: list[Value]) -> float | None:
    ttl = header[2] if len(header) > 2 else None
    if ttl is None:
        return None
    if type(ttl) is not int or ttl < 0:
        raise DecodeError("the header's ttl must be an unsigned integer")
    return ttl / 1000


def _application_properties(values: dict[Value, Value]) -> dict[str, PropertyValue]:
    if _TEXT.issuperset(map(type, (*values, *values.values()))):  # as they nearly always are
        return cast("dict[str, PropertyValue]", values)
    properties: dict[str, PropertyValue] = {}
    for key, value in values.items():
        if not isinstance(key, str):
            raise DecodeError("an application property's name must be a string")
        if isinstance(value, Timestamp):
            try:
                properties[key] = EPOCH + timedelta(milliseconds=value)
            except OverflowError:
                raise DecodeError(f"application property {key!r} is a time out of range") from None
        elif isinstance(value, Symbol):
            properties[key] = str(value)
        elif value is None or isinstance(value, (str, int, float, bytes, UUID)):
            properties[key] = value
        else:
            raise DecodeError(f"application property {key!r} is of a type that is not served")
    return properties


def _body_of(value: Value) -> bytes:
    """What a hosted function sees of a body that is no data: text and binary, of the rest nothing."""
    if isinstance(value, str):
        return value.encode()
    return value if isinstance(value, bytes) else b""


def _with_id(properties: list[Value], section: bytes) -> bytes:
    """The service names what has no name: the JavaScript SDK sends none, and settles nothing without."""
    if properties and properties[0] not in (None, ""):
        return section
    fields = list_fields(section, DESCRIPTOR_SIZE) if section else []
    properties[:1], fields[:1] = [id := uuid4().hex], [encode_string(id)]
    return encode_described(PROPERTIES, encode_list(fields))


def _check(properties: list[Value]) -> None:
    """Makes texts of both ids. Raises DecodeError for another property that should be text and is not."""
    for place, what in _TEXT_PROPERTIES.items():
        if not (properties[place] is None or isinstance(properties[place], str)):
            raise DecodeError(f"the property {what} must be a string")
    properties[0] = _id(properties[0], "message-id")
    properties[5] = _id(properties[5], "correlation-id")


def _id(value: Value, what: str) -> str | None:
    """A message id is text, a number, a UUID or binary; the engine knows text.

    The Python SDK sends the text as binary when it sends on what it received.
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, (int, UUID)):
        return str(value)
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value.hex()
    raise DecodeError(f"the property {what} must be a string")
