"""The performatives and SASL frames that are read (part 2.7 of the specification).

Checked is what the specification makes mandatory, and the type of what is used here; the rest is passed over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from emulator.wire.amqp.decoding import decode, skip
from emulator.wire.amqp.values import DecodeError, Described, Value

OPEN, BEGIN, ATTACH, FLOW, TRANSFER, DISPOSITION, DETACH, END, CLOSE = range(0x10, 0x19)
SASL_MECHANISMS, SASL_INIT, SASL_CHALLENGE, SASL_RESPONSE, SASL_OUTCOME = range(0x40, 0x45)
ERROR: Final = 0x1D
COORDINATOR: Final = 0x30
RECEIVED, ACCEPTED, REJECTED, RELEASED, MODIFIED = range(0x23, 0x28)

NULL: Final = b"\x40"


@dataclass(frozen=True, slots=True)
class Open:
    container_id: str
    max_frame_size: int
    channel_max: int
    idle_timeout_ms: int


@dataclass(frozen=True, slots=True)
class Begin:
    next_outgoing_id: int
    incoming_window: int
    handle_max: int


@dataclass(frozen=True, slots=True)
class Attach:
    """`peer_receives` tells its role. `source` and `target` are as they came, decoded and in bytes."""

    name: str
    handle: int
    peer_receives: bool
    settled_by_sender: int
    settled_by_receiver: int
    source: Value
    target: Value
    source_bytes: bytes
    target_bytes: bytes
    initial_delivery_count: int
    max_message_size: int
    properties: dict[Value, Value]


@dataclass(frozen=True, slots=True)
class Flow:
    """`handle` is None when it speaks of the session alone."""

    next_incoming_id: int | None
    incoming_window: int
    handle: int | None
    delivery_count: int | None
    link_credit: int | None
    drain: bool
    echo: bool


class Transfer(NamedTuple):
    handle: int
    delivery_id: int | None
    message_format: int
    settled: bool
    more: bool
    aborted: bool
    payload: bytes


class Disposition(NamedTuple):
    peer_receives: bool
    first: int
    last: int
    settled: bool
    state: Described | None


@dataclass(frozen=True, slots=True)
class Detach:
    handle: int
    closed: bool


@dataclass(frozen=True, slots=True)
class End:
    pass


@dataclass(frozen=True, slots=True)
class Close:
    pass


@dataclass(frozen=True, slots=True)
class SaslInit:
    mechanism: str


type Performative = Open | Begin | Attach | Flow | Transfer | Disposition | Detach | End | Close | SaslInit


def parse(body: bytes) -> Performative:
    """Of a frame's body. Raises DecodeError."""
    if body[:2] == b"\x00\x53" and len(body) > 3:
        code, at = body[2], 3
    else:
        descriptor, at = decode(body, 1) if body[:1] == b"\x00" else (None, 0)
        if type(descriptor) is not int:
            raise DecodeError("a frame's body must begin with a performative")
        code = descriptor
    if code not in _READERS:
        raise DecodeError(f"{code:#x} is no performative that is served")
    name, read = _READERS[code]
    values, end = decode(body, at)
    if not isinstance(values, list):
        raise DecodeError(f"{name} must be a list")
    fields = _Fields(name, values)
    if end != len(body) and code != TRANSFER:
        raise DecodeError(f"{len(body) - end} bytes follow {name}")
    return read(fields, body, at, end)


class _Fields:
    """The fields of one performative by place; those at the end may be left out."""

    __slots__ = ("_count", "_name", "_values")

    def __init__(self, name: str, values: list[Value]) -> None:
        self._name = name
        self._values = values
        self._count = len(values)

    def get(self, place: int) -> Value:
        return self._values[place] if place < self._count else None

    def maybe(self, place: int) -> int | None:
        value = self._values[place] if place < self._count else None
        if value is None:
            return None
        if type(value) is int and value >= 0:
            return value
        raise DecodeError(f"{self._name}: field {place} must be an unsigned integer")

    def number(self, place: int, default: int = 0) -> int:
        value = self.maybe(place)
        return default if value is None else value

    def must(self, place: int) -> int:
        value = self._values[place] if place < self._count else None
        if type(value) is int and value >= 0:
            return value
        raise DecodeError(f"{self._name}: field {place} must be an unsigned integer")

    def text(self, place: int) -> str:
        value = self.get(place)
        if not isinstance(value, str):
            raise DecodeError(f"{self._name}: field {place} must be a string")
        return value

    def flag(self, place: int) -> bool:
        value = self._values[place] if place < self._count else None
        if value is None:
            return False
        if not isinstance(value, bool):
            raise DecodeError(f"{self._name}: field {place} must be a boolean")
        return value


def _open(fields: _Fields, *_: object) -> Open:
    return Open(
        container_id=fields.text(0),
        max_frame_size=fields.number(2, 2**32 - 1),
        channel_max=fields.number(3, 65535),
        idle_timeout_ms=fields.number(4),
    )


def _attach(fields: _Fields, body: bytes, at: int, _end: int) -> Attach:
    peer_receives = fields.get(2)
    if not isinstance(peer_receives, bool):
        raise DecodeError("attach: field 2, the role, must be a boolean")
    properties = fields.get(13)
    if properties is not None and not isinstance(properties, dict):
        raise DecodeError("attach: field 13, the properties, must be a map")
    return Attach(
        name=fields.text(0),
        handle=fields.must(1),
        peer_receives=peer_receives,
        settled_by_sender=fields.number(3, 2),
        settled_by_receiver=fields.number(4),
        source=fields.get(5),
        target=fields.get(6),
        source_bytes=_nth(body, at, 5),
        target_bytes=_nth(body, at, 6),
        initial_delivery_count=fields.number(9),
        max_message_size=fields.number(10),
        properties=properties or {},
    )


def _nth(body: bytes, at: int, place: int) -> bytes:
    """The bytes of a field of the list at `at`, which was decoded before."""
    if body[at] == 0x45:
        return NULL
    wide = body[at] == 0xD0
    count = int.from_bytes(body[at + 5 : at + 9]) if wide else body[at + 2]
    at += 9 if wide else 3
    if place >= count:
        return NULL
    for _ in range(place):
        at = skip(body, at)
    return body[at : skip(body, at)]


def _flow(fields: _Fields, *_: object) -> Flow:
    return Flow(
        next_incoming_id=fields.maybe(0),
        incoming_window=fields.must(1),
        handle=fields.maybe(4),
        delivery_count=fields.maybe(5),
        link_credit=fields.maybe(6),
        drain=fields.flag(8),
        echo=fields.flag(9),
    )


def _transfer(fields: _Fields, body: bytes, _at: int, end: int) -> Transfer:
    return Transfer(
        fields.must(0),
        fields.maybe(1),
        fields.number(3),
        fields.flag(4),
        fields.flag(5),
        fields.flag(9),
        body[end:],
    )


def _disposition(fields: _Fields, *_: object) -> Disposition:
    peer_receives = fields.get(0)
    if not isinstance(peer_receives, bool):
        raise DecodeError("disposition: field 0, the role, must be a boolean")
    first = fields.must(1)
    state = fields.get(4)
    if state is not None and not isinstance(state, Described):
        raise DecodeError("disposition: field 4, the state, must be a described type")
    return Disposition(peer_receives, first, fields.number(2, first), fields.flag(3), state)


type _Reader = Callable[[_Fields, bytes, int, int], Performative]
"""From the fields, and the frame's body with the places where the list begins and ends in it."""

_READERS: Final[dict[int, tuple[str, _Reader]]] = {
    OPEN: ("open", _open),
    BEGIN: ("begin", lambda fields, *_: Begin(fields.must(1), fields.must(2), fields.number(4, 2**32 - 1))),
    ATTACH: ("attach", _attach),
    FLOW: ("flow", _flow),
    TRANSFER: ("transfer", _transfer),
    DISPOSITION: ("disposition", _disposition),
    DETACH: ("detach", lambda fields, *_: Detach(fields.must(0), fields.flag(1))),
    END: ("end", lambda *_: End()),
    CLOSE: ("close", lambda *_: Close()),
    SASL_INIT: ("sasl-init", lambda fields, *_: SaslInit(fields.text(0))),
}
