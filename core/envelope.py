"""The one envelope of commands, replies and events, with CloudEvents attribute names.

On Service Bus: CorrelationId = order id, Subject = type, ContentType = application/json, `traceparent` also
in the application properties. Ids come from business keys, never drawn at random.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from core.bus import OutgoingMessage
from core.contracts import InvalidContract, contract_name, contract_version, decode, encode
from core.json import JsonObject
from core.telemetry import child_traceparent

ORDER_REPLIES = "order-replies"
"""The queue that every service answers to."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """`data` is an instance of the class registered under `type` and `version`."""

    id: str
    type: str
    version: int
    source: str
    subject: str
    time: datetime
    correlation_id: str
    causation_id: str
    traceparent: str
    data: Any


def command_id(order_id: str, type: str, part: str = "") -> str:
    """An order gets each command once; a resend has the same id.

    `part` is the business key of what an order can have several of, each with its own command: a return.
    """
    return f"{order_id}:{type}:{part}" if part else f"{order_id}:{type}"


def check_command(envelope: Envelope, order_id: str, part: str = "") -> None:
    """That the envelope and its data mean the same order, and part of it. Raises InvalidContract."""
    if envelope.subject != order_id or envelope.correlation_id != order_id:
        raise InvalidContract(f"subject: subject, correlationid and data.order_id must be one, {order_id!r}")
    expected = command_id(order_id, envelope.type, part)
    if envelope.id != expected:
        raise InvalidContract(f"id: must be {expected!r}")


def wrap(
    data: object,
    *,
    id: str,
    source: str,
    subject: str,
    time: datetime,
    correlation_id: str,
    causation_id: str,
    traceparent: str = "",
) -> Envelope:
    cls = type(data)
    return Envelope(
        id=id,
        type=contract_name(cls),
        version=contract_version(cls),
        source=source,
        subject=subject,
        time=time,
        correlation_id=correlation_id,
        causation_id=causation_id,
        traceparent=traceparent,
        data=data,
    )


def pending_id(command: str) -> str:
    """Of what is said to the command of this id before its answer."""
    return f"{command}:pending"


def reply_to(
    command: str,
    data: object,
    *,
    source: str,
    order_id: str,
    time: datetime,
    traceparent: str = "",
    pending: bool = False,
) -> Envelope:
    """The one answer to the command of this id; `traceparent` is that of the work that found it.

    pending: no answer, but that it takes longer, which may be said again and again.
    """
    id = pending_id(command) if pending else f"{command}:reply"
    return wrap(
        data,
        id=id,
        source=source,
        subject=order_id,
        time=time,
        correlation_id=order_id,
        causation_id=command,
        traceparent=child_traceparent(traceparent, id),
    )


def to_json(envelope: Envelope) -> JsonObject:
    return {
        "specversion": "1.0",
        "id": envelope.id,
        "type": envelope.type,
        "dataschema": f"{envelope.type}/{envelope.version}",
        "source": envelope.source,
        "subject": envelope.subject,
        "time": envelope.time.isoformat(),
        "correlationid": envelope.correlation_id,
        "causationid": envelope.causation_id,
        "traceparent": envelope.traceparent,
        "data": encode(envelope.data),
    }


def from_json(body: bytes) -> Envelope:
    """Raises InvalidContract for anything that is not a valid envelope of a registered type."""
    try:
        raw = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidContract(f"body: not JSON: {error}") from error
    return from_object(raw)


def from_object(raw: object) -> Envelope:
    """What `to_json` gives, read back. Raises InvalidContract."""
    if not isinstance(raw, dict):
        raise InvalidContract("body: must be a JSON object")
    for field in ("id", "type", "dataschema", "source", "subject", "time", "correlationid", "causationid"):
        if not isinstance(raw.get(field), str) or not raw[field]:
            raise InvalidContract(f"{field}: must be a non-empty string")
    traceparent = raw.get("traceparent", "")
    if not isinstance(traceparent, str):
        raise InvalidContract("traceparent: must be a string")
    schema, _, version = raw["dataschema"].rpartition("/")
    if not (version.isascii() and version.isdecimal() and len(version) < 5):
        raise InvalidContract("dataschema: must end in /VERSION")
    if schema != raw["type"]:
        raise InvalidContract(f"dataschema: must be {raw['type']}/VERSION")
    try:
        time = datetime.fromisoformat(raw["time"])
    except ValueError as error:
        raise InvalidContract(f"time: {error}") from error
    if time.tzinfo is None:
        raise InvalidContract("time: must have an offset")
    return Envelope(
        id=raw["id"],
        type=raw["type"],
        version=int(version),
        source=raw["source"],
        subject=raw["subject"],
        time=time,
        correlation_id=raw["correlationid"],
        causation_id=raw["causationid"],
        traceparent=traceparent,
        data=decode(raw["type"], raw.get("data"), int(version)),
    )


def to_message(envelope: Envelope, attempt: int = 1) -> OutgoingMessage:
    """A resend of a command is the same envelope in a message of its own: MessageId is `{id}/{attempt}`."""
    return OutgoingMessage(
        body=orjson.dumps(to_json(envelope)),
        message_id=f"{envelope.id}/{attempt}",
        subject=envelope.type,
        correlation_id=envelope.correlation_id,
        properties={"traceparent": envelope.traceparent} if envelope.traceparent else {},
    )
