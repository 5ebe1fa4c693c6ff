"""Messages as the Service Bus trigger hands them to the worker: a body, and metadata beside it.

Which fields there are: https://learn.microsoft.com/azure/azure-functions/functions-bindings-service-bus-trigger
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import SimpleNamespace
from uuid import UUID

import orjson
from azure.functions.servicebus import ServiceBusMessage, ServiceBusMessageInConverter
from azure_functions_runtime.bindings.datumdef import Datum

from emulator.servicebus.messages import LockedMessage, PropertyValue

type Metadata = Mapping[str, Datum]

_WHOLE = "emulator.message"
"""Type of a datum that carries a message as it is; see `install_fast_decoding`."""
_TEXTS: tuple[tuple[str, str], ...] = (
    ("MessageId", "message_id"),
    ("LockToken", "lock_token"),
    ("ContentType", "content_type"),
    ("CorrelationId", "correlation_id"),
    ("Subject", "subject"),
    ("Label", "subject"),
    ("SessionId", "session_id"),
    ("To", "to"),
    ("ReplyTo", "reply_to"),
    ("ReplyToSessionId", "reply_to_session_id"),
    ("PartitionKey", "partition_key"),
    ("DeadLetterReason", "dead_letter_reason"),
    ("DeadLetterErrorDescription", "dead_letter_description"),
)
_TIMES: tuple[tuple[str, str], ...] = (
    ("EnqueuedTimeUtc", "enqueued_at"),
    ("ExpiresAtUtc", "expires_at"),
    ("LockedUntil", "locked_until"),
)


def one(message: LockedMessage) -> tuple[Datum, Metadata]:
    """For cardinality one. What a message does not have is left out."""
    return Datum(message.body, "bytes"), _metadata(message)


def one_as_it_is(message: LockedMessage) -> tuple[Datum, Metadata]:
    """As `one`, once `install_fast_decoding` was called."""
    return Datum(message, _WHOLE), {}


def many(messages: Sequence[LockedMessage]) -> tuple[Datum, Metadata]:
    """For cardinality many: the n-th entry of each array is the n-th message's."""
    properties = _json([message.properties for message in messages])
    metadata = {
        "UserPropertiesArray": properties,
        "ApplicationPropertiesArray": properties,
        "DeliveryCountArray": _numbers([message.delivery_count + 1 for message in messages]),
        "SequenceNumberArray": _numbers([message.sequence_number for message in messages]),
        "EnqueuedSequenceNumberArray": _numbers([message.enqueue_sequence_number for message in messages]),
        "StateArray": _numbers([0 for _ in messages]),
    }
    for name, attribute in _TEXTS:
        metadata[f"{name}Array"] = _texts([getattr(message, attribute) for message in messages])
    for name, attribute in _TIMES:
        moments = [getattr(message, attribute) for message in messages]
        metadata[f"{name}Array"] = _texts([None if moment is None else _iso(moment) for moment in moments])
    bodies = SimpleNamespace(bytes=[message.body for message in messages])
    return Datum(bodies, "collection_bytes"), metadata


def install_fast_decoding() -> Callable[[], None]:
    """Let the library's converter build a message from a LockedMessage, without a detour over metadata.

    The detour costs 300 us a message, most of it for trying a dozen formats on each timestamp. What the
    function gets is the same. Returns what undoes it.
    """
    original = ServiceBusMessageInConverter.decode

    def decode(data: Datum, *, trigger_metadata: Metadata) -> ServiceBusMessage | list[ServiceBusMessage]:
        if data is not None and data.type == _WHOLE:
            return _decoded(data.value)
        return original(data, trigger_metadata=trigger_metadata)

    def undo() -> None:
        ServiceBusMessageInConverter.decode = original  # type: ignore[method-assign]

    ServiceBusMessageInConverter.decode = staticmethod(decode)  # type: ignore[method-assign]
    return undo


def _decoded(message: LockedMessage) -> ServiceBusMessage:
    expires_at = message.expires_at
    return ServiceBusMessage(
        body=message.body,
        trigger_metadata=_LaterMetadata(message),
        application_properties=_as_from_json(message.properties),
        user_properties=_as_from_json(message.properties),
        content_type=message.content_type,
        correlation_id=message.correlation_id,
        dead_letter_error_description=message.dead_letter_description,
        dead_letter_reason=message.dead_letter_reason,
        delivery_count=message.delivery_count + 1,
        enqueued_sequence_number=message.enqueue_sequence_number,
        enqueued_time_utc=datetime.fromtimestamp(message.enqueued_at, UTC),
        expires_at_utc=None if expires_at is None else datetime.fromtimestamp(expires_at, UTC),
        label=message.subject,
        locked_until=datetime.fromtimestamp(message.locked_until, UTC),
        lock_token=message.lock_token,
        message_id=message.message_id,
        partition_key=message.partition_key,
        reply_to=message.reply_to,
        reply_to_session_id=message.reply_to_session_id,
        sequence_number=message.sequence_number,
        session_id=message.session_id,
        state=0,
        subject=message.subject,
        to=message.to,
    )


class _LaterMetadata(Mapping[str, Datum]):
    """A message's metadata, made only when the function asks for it."""

    __slots__ = ("_made", "_message")

    def __init__(self, message: LockedMessage) -> None:
        self._message = message
        self._made: Metadata | None = None

    def __getitem__(self, name: str) -> Datum:
        return self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def _all(self) -> Metadata:
        if self._made is None:
            self._made = _metadata(self._message)
        return self._made


@dataclass(frozen=True, slots=True)
class _Texts:
    """In the shape of the protobuf message that the worker expects here."""

    string: list[str | None]


@dataclass(frozen=True, slots=True)
class _Numbers:
    sint64: list[int]


def _metadata(message: LockedMessage) -> dict[str, Datum]:
    properties = _json(message.properties)
    metadata = {
        "UserProperties": properties,
        "ApplicationProperties": properties,
        "DeliveryCount": Datum(message.delivery_count + 1, "int"),
        "SequenceNumber": Datum(message.sequence_number, "int"),
        "EnqueuedSequenceNumber": Datum(message.enqueue_sequence_number, "int"),
        "State": Datum(0, "int"),
    }
    for name, attribute in _TEXTS:
        text = getattr(message, attribute)
        if text is not None:
            metadata[name] = Datum(text, "string")
    for name, attribute in _TIMES:
        moment = getattr(message, attribute)
        if moment is not None:
            metadata[name] = Datum(_iso(moment), "string")
    return metadata


def _json(properties: object) -> Datum:
    """A time is ISO 8601, bytes are base64, a UUID is its text: JSON has nothing else for them."""
    return Datum(orjson.dumps(properties, default=_base64).decode(), "json")


def _base64(value: object) -> str:
    if isinstance(value, bytes):
        return b64encode(value).decode()
    raise TypeError


def _as_from_json(properties: Mapping[str, PropertyValue]) -> dict[str, object]:
    if any(isinstance(value, bytes | datetime | UUID) for value in properties.values()):
        read: dict[str, object] = orjson.loads(_json(properties).value)
        return read
    return dict(properties)


def _texts(values: list[str | None]) -> Datum:
    return Datum(_Texts(values), "collection_string")


def _numbers(values: list[int]) -> Datum:
    return Datum(_Numbers(values), "collection_sint64")


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat().replace("+00:00", "Z")
