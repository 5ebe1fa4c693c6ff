"""The sections of a message (part 3.2 of the specification): found, kept in bytes, and added to."""

from __future__ import annotations

from typing import Final

from emulator.wire.amqp.decoding import decode, map_content, skip
from emulator.wire.amqp.encoding import encode, encode_described, encode_map, encode_string
from emulator.wire.amqp.values import DecodeError, Value

HEADER, DELIVERY_ANNOTATIONS, ANNOTATIONS, PROPERTIES, APPLICATION_PROPERTIES = range(0x70, 0x75)
DATA, SEQUENCE, VALUE, FOOTER = range(0x75, 0x79)

SCHEDULED_TIME: Final = "x-opt-scheduled-enqueue-time"
PARTITION_KEY: Final = "x-opt-partition-key"
DESCRIPTOR_SIZE: Final = 3
"""Of a section, when it is written as `split_sections` and `encode_described` want it."""


def split_sections(data: bytes) -> list[tuple[int, int, int, int]]:
    """Of each its code, where it and its value begin, and where both end. Raises DecodeError."""
    found = []
    at = 0
    while at < len(data):
        code = section_code(data, at)
        end = skip(data, at + DESCRIPTOR_SIZE)
        found.append((code, at, at + DESCRIPTOR_SIZE, end))
        at = end
    return found


def section_code(data: bytes, at: int) -> int:
    """Of the section that begins there; its value follows after DESCRIPTOR_SIZE. Raises DecodeError."""
    if not data.startswith(b"\x00\x53", at) or at + DESCRIPTOR_SIZE >= len(data):
        raise DecodeError(f"no section of a message begins at byte {at}")
    code = data[at + 2]
    if not HEADER <= code <= FOOTER:
        raise DecodeError(f"{code:#x} is no section of a message")
    return code


class Sections:
    """The kept sections of a message, apart."""

    __slots__ = ("annotations", "annotations_count", "application_properties", "body", "footer", "properties")

    def __init__(self, kept: bytes) -> None:
        self.annotations, self.annotations_count = b"", 0
        self.properties = self.application_properties = self.body = self.footer = b""
        for code, begin, at, end in split_sections(kept):
            section = kept[begin:end]
            if code == ANNOTATIONS:
                self.annotations, self.annotations_count = map_content(kept, at)
            elif code == PROPERTIES:
                self.properties = section
            elif code == APPLICATION_PROPERTIES:
                self.application_properties = section
            elif code == FOOTER:
                self.footer = section
            else:
                self.body += section

    def add_application_properties(self, added: dict[str, str]) -> None:
        """To those of the sender, whose bytes stay as they are; one with the name of an added one goes."""
        content, count = b"", 0
        if self.application_properties:
            content, count = map_content(self.application_properties, DESCRIPTOR_SIZE)
            present, _ = decode(self.application_properties, DESCRIPTOR_SIZE)
            if isinstance(present, dict) and not added.keys().isdisjoint(texts(present)):
                left = {key: value for key, value in present.items() if key not in added}
                content, count = map_content(encode(left), 0)
        content += b"".join(encode_string(text) for item in added.items() for text in item)
        self.application_properties = encode_described(
            APPLICATION_PROPERTIES, encode_map(content, count + 2 * len(added))
        )


def texts(values: dict[Value, Value]) -> set[str]:
    return {key for key in values if isinstance(key, str)}
