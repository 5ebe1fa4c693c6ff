"""From bytes to values.

Keeps apart what the users of a value tell apart, and no more: all integers become `int`, both floats
`float`, a character `str`; a list and an array both become `list`. Who must give a value back exactly as
it came keeps its bytes (`skip` finds their end).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final
from uuid import UUID

from emulator.wire.amqp.values import Decimal, DecodeError, Described, Symbol, Timestamp, Value

MAX_DEPTH: Final = 32
"""Of values within values. No client nests more than five."""

_U16 = struct.Struct(">H")
_U32 = struct.Struct(">I")
_U64 = struct.Struct(">Q")
_I8 = struct.Struct(">b")
_I16 = struct.Struct(">h")
_I32 = struct.Struct(">i")
_I64 = struct.Struct(">q")
_F32 = struct.Struct(">f")
_F64 = struct.Struct(">d")
_UUID_BYTES: Final = 16
_SHORT: Final = frozenset((*range(0xA0, 0xB0), *range(0xC0, 0xD0), *range(0xE0, 0xF0)))
"""Constructors that a size of one byte follows."""

type _Decoder = Callable[[bytes, int, int], tuple[Value, int]]
"""From the buffer, the place after the constructor and the depth: the value and the place after it."""


def decode(data: bytes, at: int = 0) -> tuple[Value, int]:
    """One value, and where it ends. Raises DecodeError."""
    try:
        return _DECODERS[data[at]](data, at + 1, 0)
    except (struct.error, IndexError):
        raise DecodeError(f"the data ends within a value, at byte {len(data)}") from None
    except (UnicodeDecodeError, OverflowError) as error:
        raise DecodeError(str(error)) from None


def skip(data: bytes, at: int) -> int:
    """Where the value at `at` ends, without a look inside. Raises DecodeError."""
    try:
        end = _skip(data, at, 0)
    except (struct.error, IndexError):
        end = len(data) + 1
    if end > len(data):
        raise DecodeError(f"the data ends within a value, at byte {len(data)}")
    return end


def _skip(data: bytes, at: int, depth: int) -> int:
    code = data[at]
    if code in _SHORT:
        return at + 2 + data[at + 1]
    if code == 0:
        if depth > MAX_DEPTH:
            raise DecodeError("values are nested too deep")
        return _skip(data, _skip(data, at + 1, depth + 1), depth + 1)
    width = code >> 4
    if 4 <= width <= 9:
        return at + 1 + (0, 1, 2, 4, 8, 16)[width - 4]
    if width in {0xB, 0xD, 0xF}:
        return at + 5 + int(_U32.unpack_from(data, at + 1)[0])
    raise DecodeError(f"{code:#04x} is no AMQP type")


def _value(data: bytes, at: int, depth: int) -> tuple[Value, int]:
    return _DECODERS[data[at]](data, at + 1, depth)


def _constant(value: Value) -> _Decoder:
    return lambda _data, at, _depth: (value, at)


def _small(data: bytes, at: int, _depth: int) -> tuple[Value, int]:
    return data[at], at + 1


def _fixed(layout: struct.Struct) -> _Decoder:
    unpack, size = layout.unpack_from, layout.size
    return lambda data, at, _depth: (unpack(data, at)[0], at + size)


def _boolean(data: bytes, at: int, _depth: int) -> tuple[Value, int]:
    if data[at] > 1:
        raise DecodeError(f"a boolean is 0 or 1, found {data[at]}")
    return data[at] == 1, at + 1


def _timestamp(data: bytes, at: int, _depth: int) -> tuple[Value, int]:
    return Timestamp(_I64.unpack_from(data, at)[0]), at + 8


def _char(data: bytes, at: int, _depth: int) -> tuple[Value, int]:
    point: int = _U32.unpack_from(data, at)[0]
    if point > 0x10FFFF:
        raise DecodeError(f"{point:#x} is no character")
    return chr(point), at + 4


def _uuid(data: bytes, at: int, _depth: int) -> tuple[Value, int]:
    return UUID(bytes=_exactly(data, at, _UUID_BYTES)), at + _UUID_BYTES


def _decimal(code: int, size: int) -> _Decoder:
    return lambda data, at, _depth: (Decimal(code, _exactly(data, at, size)), at + size)


def _exactly(data: bytes, at: int, size: int) -> bytes:
    end = at + size
    if end > len(data):
        raise IndexError
    return data[at:end]


def _binary8(data: bytes, at: int, _depth: int) -> tuple[Value, int]:
    size = data[at]
    return _exactly(data, at + 1, size), at + 1 + size


def _binary32(data: bytes, at: int, _depth: int) -> tuple[Value, int]:
    end: int = at + 4 + _U32.unpack_from(data, at)[0]
    if end > len(data):
        raise IndexError
    return data[at + 4 : end], end


def _string8(data: bytes, at: int, _depth: int) -> tuple[Value, int]:
    end = at + 1 + data[at]
    if end > len(data):
        raise IndexError
    return data[at + 1 : end].decode(), end


def _string32(data: bytes, at: int, _depth: int) -> tuple[Value, int]:
    size = _U32.unpack_from(data, at)[0]
    return _exactly(data, at + 4, size).decode(), at + 4 + size


def _symbol8(data: bytes, at: int, _depth: int) -> tuple[Value, int]:
    size = data[at]
    return Symbol(_exactly(data, at + 1, size).decode("ascii")), at + 1 + size


def _symbol32(data: bytes, at: int, _depth: int) -> tuple[Value, int]:
    size = _U32.unpack_from(data, at)[0]
    return Symbol(_exactly(data, at + 4, size).decode("ascii")), at + 4 + size


def _extent(data: bytes, at: int, wide: bool) -> tuple[int, int, int]:
    """Of a list, map or array: its count, where its content begins and where it ends."""
    if wide:
        size, count = _U32.unpack_from(data, at)[0], _U32.unpack_from(data, at + 4)[0]
        begin, end = at + 8, at + 4 + size
    else:
        size, count = data[at], data[at + 1]
        begin, end = at + 2, at + 1 + size
    if end > len(data):
        raise IndexError
    # No value of a list or map takes less than a byte. Checked here, so that no count makes memory.
    if begin > end or count > end - begin:
        raise DecodeError(f"a size of {size} bytes does not hold {count} values")
    return count, begin, end


def _list(data: bytes, at: int, depth: int, wide: bool = False) -> tuple[Value, int]:
    count, at, end = _extent(data, at, wide)
    return _values(data, at, end, count, depth), end


def _map(data: bytes, at: int, depth: int, wide: bool = False) -> tuple[Value, int]:
    count, at, end = _extent(data, at, wide)
    if count % 2:
        raise DecodeError("a map has a key without a value")
    values = _values(data, at, end, count, depth)
    keys = values[::2]
    if not _NO_KEYS.isdisjoint(map(type, keys)):
        raise DecodeError("a map's key is no scalar")
    return dict(zip(keys, values[1::2], strict=True)), end


_NO_KEYS: Final = frozenset({list, dict, Described})


def _values(data: bytes, at: int, end: int, count: int, depth: int) -> list[Value]:
    """Of a list or map, which end at `end`."""
    if depth >= MAX_DEPTH:
        raise DecodeError("values are nested too deep")
    depth += 1
    values: list[Value] = []
    for _ in range(count):
        code = data[at]
        # Nulls and short strings are most of what comes: worth a shorter way.
        if code == 0x40:
            values.append(None)
            at += 1
        elif code == 0xA1:
            begin = at + 2
            at = begin + data[at + 1]
            values.append(data[begin:at].decode())  # one that is cut off goes beyond the end: found below
        else:
            value, at = _DECODERS[code](data, at + 1, depth)
            values.append(value)
    if at != end:
        raise DecodeError("the size and the content of a list or map differ")
    return values


def _array(data: bytes, at: int, depth: int, wide: bool = False) -> tuple[Value, int]:
    # Of values without a byte (null, true) there may be more than bytes; no peer has use for them.
    count, at, end = _extent(data, at, wide)
    if depth >= MAX_DEPTH:
        raise DecodeError("values are nested too deep")
    descriptor: Value = None
    described = data[at] == 0
    if described:
        descriptor, at = _value(data, at + 1, depth + 1)
    decoder = _DECODERS[data[at]]
    if data[at] == 0:
        raise DecodeError("an array's constructor is described twice")
    at += 1
    values: list[Value] = []
    for _ in range(count):
        value, at = decoder(data, at, depth + 1)
        values.append(Described(descriptor, value) if described else value)
    if at != end:
        raise DecodeError("an array's size and content differ")
    return values, end


def _described(data: bytes, at: int, depth: int) -> tuple[Value, int]:
    if depth >= MAX_DEPTH:
        raise DecodeError("values are nested too deep")
    if data[at] == 0x53:  # nearly always: a small number
        descriptor: Value = data[at + 1]
        at += 2
    else:
        descriptor, at = _value(data, at, depth + 1)
    value, at = _value(data, at, depth + 1)
    return Described(descriptor, value), at


def _unknown(data: bytes, at: int, _depth: int) -> tuple[Value, int]:
    raise DecodeError(f"{data[at - 1]:#04x} is no AMQP type")


_KNOWN: Final[dict[int, _Decoder]] = {
    0x00: _described,
    0x40: _constant(None),
    0x41: _constant(True),
    0x42: _constant(False),
    0x43: _constant(0),
    0x44: _constant(0),
    0x45: lambda _data, at, _depth: ([], at),
    0x50: _small,
    0x51: _fixed(_I8),
    0x52: _small,
    0x53: _small,
    0x54: _fixed(_I8),
    0x55: _fixed(_I8),
    0x56: _boolean,
    0x60: _fixed(_U16),
    0x61: _fixed(_I16),
    0x70: _fixed(_U32),
    0x71: _fixed(_I32),
    0x72: _fixed(_F32),
    0x73: _char,
    0x74: _decimal(0x74, 4),
    0x80: _fixed(_U64),
    0x81: _fixed(_I64),
    0x82: _fixed(_F64),
    0x83: _timestamp,
    0x84: _decimal(0x84, 8),
    0x94: _decimal(0x94, 16),
    0x98: _uuid,
    0xA0: _binary8,
    0xA1: _string8,
    0xA3: _symbol8,
    0xB0: _binary32,
    0xB1: _string32,
    0xB3: _symbol32,
    0xC0: _list,
    0xC1: _map,
    0xD0: lambda data, at, depth: _list(data, at, depth, True),
    0xD1: lambda data, at, depth: _map(data, at, depth, True),
    0xE0: _array,
    0xF0: lambda data, at, depth: _array(data, at, depth, True),
}
_DECODERS: Final[list[_Decoder]] = [_KNOWN.get(code, _unknown) for code in range(256)]


def map_content(data: bytes, at: int) -> tuple[bytes, int]:
    """What `encode_map` was given for the map at `at`. Raises DecodeError."""
    end = skip(data, at)
    if data[at] not in {0xC1, 0xD1}:
        raise DecodeError(f"{data[at]:#04x} is no map")
    count, begin, end = _extent(data[:end], at + 1, data[at] == 0xD1)
    return data[begin:end], count


def list_fields(data: bytes, at: int) -> list[bytes]:
    """What `encode_list` was given for the list at `at`. Raises DecodeError."""
    end = skip(data, at)
    if data[at] == 0x45:
        return []
    if data[at] not in {0xC0, 0xD0}:
        raise DecodeError(f"{data[at]:#04x} is no list")
    count, at, end = _extent(data[:end], at + 1, data[at] == 0xD0)
    fields = []
    for _ in range(count):
        begin, at = at, skip(data[:end], at)
        fields.append(data[begin:at])
    return fields
