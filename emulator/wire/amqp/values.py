"""AMQP 1.0 types as Python values (part 1 of the specification, OASIS amqp-core-types).

Plain Python values where they are enough, else these. The wrappers of integers say how wide one is encoded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple
from uuid import UUID


class DecodeError(Exception):
    """The bytes are no AMQP, or not the AMQP that is expected here."""


class Symbol(str):
    __slots__ = ()


class Timestamp(int):
    """Milliseconds since the epoch, of UTC."""

    __slots__ = ()


class Ubyte(int):
    __slots__ = ()


class Ushort(int):
    __slots__ = ()


class Uint(int):
    __slots__ = ()


class Ulong(int):
    __slots__ = ()


class Long(int):
    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Decimal:
    """A decimal32, decimal64 or decimal128, by its constructor and as it came: nobody here counts with it."""

    code: int
    bits: bytes


class Described(NamedTuple):
    descriptor: Value
    value: Value


@dataclass(frozen=True, slots=True)
class Array:
    """For encoding only."""

    of: Literal["long", "symbol", "timestamp", "uuid"]
    values: Sequence[int] | Sequence[str] | Sequence[UUID]


type Value = (
    bool
    | int
    | float
    | str
    | bytes
    | UUID
    | Decimal
    | Described
    | Array
    | list[Value]
    | dict[Value, Value]
    | None
)
