"""From values to bytes."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Final
from uuid import UUID

from emulator.wire.amqp.values import (
    Array,
    Decimal,
    Described,
    Long,
    Symbol,
    Timestamp,
    Ubyte,
    Uint,
    Ulong,
    Ushort,
    Value,
)

_I8 = struct.Struct(">b")
_I32 = struct.Struct(">i")
_I64 = struct.Struct(">q")
_U16 = struct.Struct(">H")
_U32 = struct.Struct(">I")
_U64 = struct.Struct(">Q")
_F64 = struct.Struct(">d")


def encode(value: Value) -> bytes:
    """Raises ValueError for what AMQP cannot say: an integer of more than 64 bits."""
    encoder = _ENCODERS.get(type(value))
    if encoder is None:
        raise ValueError(f"a value of type {type(value).__name__} has no AMQP type")
    try:
        return encoder(value)
    except struct.error:
        raise ValueError(f"{value!r} is out of its type's range") from None


def encode_list(encoded: Sequence[bytes]) -> bytes:
    """Of values that are encoded already."""
    if not encoded:
        return b"\x45"
    content = b"".join(encoded)
    size = len(content)
    if size < 255 and len(encoded) < 256:
        return b"\xc0" + bytes((size + 1, len(encoded))) + content
    return b"\xd0" + _U32.pack(size + 4) + _U32.pack(len(encoded)) + content


def encode_map(content: bytes, count: int) -> bytes:
    """`content` is `count` encoded keys and values, by turns."""
    size = len(content)
    if size < 255 and count < 256:
        return b"\xc1" + bytes((size + 1, count)) + content
    return b"\xd1" + _U32.pack(size + 4) + _U32.pack(count) + content


def encode_string(text: str) -> bytes:
    data = text.encode()
    size = len(data)
    return (b"\xa1" + bytes((size,)) if size < 256 else b"\xb1" + _U32.pack(size)) + data


def encode_binary(data: bytes) -> bytes:
    size = len(data)
    return (b"\xa0" + bytes((size,)) if size < 256 else b"\xb0" + _U32.pack(size)) + data


def encode_symbol(text: str) -> bytes:
    data = text.encode("ascii")
    size = len(data)
    return (b"\xa3" + bytes((size,)) if size < 256 else b"\xb3" + _U32.pack(size)) + data


def encode_uint(number: int) -> bytes:
    if number == 0:
        return b"\x43"
    return b"\x52" + bytes((number,)) if 0 < number < 256 else b"\x70" + _U32.pack(number)


def encode_ulong(number: int) -> bytes:
    if number == 0:
        return b"\x44"
    return b"\x53" + bytes((number,)) if 0 < number < 256 else b"\x80" + _U64.pack(number)


def encode_long(number: int) -> bytes:
    return b"\x55" + _I8.pack(number) if -128 <= number < 128 else b"\x81" + _I64.pack(number)


def encode_timestamp(milliseconds: int) -> bytes:
    return b"\x83" + _I64.pack(milliseconds)


def encode_uuid(value: UUID) -> bytes:
    return b"\x98" + value.bytes


def encode_described(descriptor: int, encoded: bytes) -> bytes:
    return b"\x00" + encode_ulong(descriptor) + encoded


def _encode_int(number: int) -> bytes:
    if -128 <= number < 128:
        return b"\x54" + _I8.pack(number)
    return b"\x71" + _I32.pack(number) if -(2**31) <= number < 2**31 else encode_long(number)


def _encode_dict(values: dict[Value, Value]) -> bytes:
    content = b"".join(encode(part) for item in values.items() for part in item)
    return encode_map(content, 2 * len(values))


def _encode_array(array: Array) -> bytes:
    code, pack = _ELEMENTS[array.of]
    content = bytes((code,)) + b"".join(pack(value) for value in array.values)
    return b"\xf0" + _U32.pack(len(content) + 4) + _U32.pack(len(array.values)) + content


def _pack_symbol(text: str) -> bytes:
    data = text.encode("ascii")
    return _U32.pack(len(data)) + data


_ELEMENTS: Final[dict[str, tuple[int, Callable[..., bytes]]]] = {
    "long": (0x81, _I64.pack),
    "symbol": (0xB3, _pack_symbol),
    "timestamp": (0x83, _I64.pack),
    "uuid": (0x98, lambda value: value.bytes),
}
_ENCODERS: Final[dict[type, Callable[..., bytes]]] = {
    type(None): lambda _: b"\x40",
    bool: lambda value: b"\x41" if value else b"\x42",
    int: _encode_int,
    Ubyte: lambda value: b"\x50" + bytes((value,)),
    Ushort: lambda value: b"\x60" + _U16.pack(value),
    Uint: encode_uint,
    Ulong: encode_ulong,
    Long: encode_long,
    Timestamp: encode_timestamp,
    float: lambda value: b"\x82" + _F64.pack(value),
    str: encode_string,
    Symbol: encode_symbol,
    bytes: encode_binary,
    UUID: encode_uuid,
    Decimal: lambda value: bytes((value.code,)) + value.bits,
    Described: lambda value: b"\x00" + encode(value.descriptor) + encode(value.value),
    Array: _encode_array,
    list: lambda values: encode_list([encode(value) for value in values]),
    dict: _encode_dict,
}
