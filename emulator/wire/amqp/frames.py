"""Frames (part 2.3 of the specification): cut out of a stream of bytes, and put around performatives."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from emulator.wire.amqp.values import DecodeError

AMQP_HEADER: Final = b"AMQP\x00\x01\x00\x00"
SASL_HEADER: Final = b"AMQP\x03\x01\x00\x00"
AMQP_FRAME: Final = 0
SASL_FRAME: Final = 1
EMPTY_FRAME: Final = b"\x00\x00\x00\x08\x02\x00\x00\x00"
"""Says only that the peer is alive."""

_HEADER_SIZE: Final = 8
_LAYOUT = struct.Struct(">IBBH")


class Frame(NamedTuple):
    type: int
    channel: int
    body: bytes


class FrameReader:
    """Holds at most one frame's bytes beyond those that are read."""

    def __init__(self, max_frame_size: int) -> None:
        self._max_frame_size = max_frame_size
        self._data = b""
        self._at = 0

    def append(self, data: bytes) -> None:
        self._data = self._data[self._at :] + data if self._at < len(self._data) else data
        self._at = 0

    def read_header(self) -> bytes | None:
        """The eight bytes with which a peer names its protocol; None until they are there."""
        header = self._data[self._at : self._at + _HEADER_SIZE]
        if len(header) < _HEADER_SIZE:
            return None
        self._at += _HEADER_SIZE
        return header

    def read_frame(self) -> Frame | None:
        """None until a whole one is there. Raises DecodeError for one that is malformed or too large."""
        data, at = self._data, self._at
        if len(data) - at < _HEADER_SIZE:
            return None
        size, offset, kind, channel = _LAYOUT.unpack_from(data, at)
        if size > self._max_frame_size:
            raise DecodeError(f"a frame of {size} bytes, at most {self._max_frame_size} are taken")
        begin = offset * 4
        if begin < _HEADER_SIZE or begin > size:
            raise DecodeError(f"a frame of {size} bytes whose data offset is {offset}")
        if len(data) - at < size:
            return None
        self._at = at + size
        return Frame(kind, channel, data[at + begin : at + size])


def frame(channel: int, body: bytes, kind: int = AMQP_FRAME) -> bytes:
    return _LAYOUT.pack(len(body) + _HEADER_SIZE, 2, kind, channel) + body
