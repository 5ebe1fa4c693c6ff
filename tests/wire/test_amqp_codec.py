"""The AMQP codec: what is written is read again, and whatever else comes is refused by name."""

import struct
import uuid
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from emulator.wire.amqp.decoding import decode, map_content, skip
from emulator.wire.amqp.encoding import encode, encode_map
from emulator.wire.amqp.frames import FrameReader, frame
from emulator.wire.amqp.message_decoding import decode_batch, decode_message
from emulator.wire.amqp.performatives import Attach, Disposition, Flow, Open, Transfer, parse
from emulator.wire.amqp.replies import (
    STATE_ACCEPTED,
    Error,
    write_close,
    write_detach,
    write_disposition,
    write_flow,
    write_more_transfer,
    write_open,
    write_rejected,
    write_transfer,
)
from emulator.wire.amqp.requests import parse_request
from emulator.wire.amqp.values import (
    Array,
    Decimal,
    DecodeError,
    Described,
    Long,
    Symbol,
    Timestamp,
    Ubyte,
    Uint,
    Ulong,
    Ushort,
)
from tests.wire.raw_peer import performative

QUICK = settings(max_examples=300, deadline=None)


def integers(bits: int, *, signed: bool) -> st.SearchStrategy[int]:
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return st.integers(low, high) | st.sampled_from([low, high, 0, 1, 127, 128, 255, 256]).filter(
        lambda number: low <= number <= high
    )


SCALARS: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    integers(64, signed=True),
    integers(8, signed=False).map(Ubyte),
    integers(16, signed=False).map(Ushort),
    integers(32, signed=False).map(Uint),
    integers(64, signed=False).map(Ulong),
    integers(64, signed=True).map(Long),
    integers(64, signed=True).map(Timestamp),
    st.floats(allow_nan=False),
    st.text(max_size=300),
    st.text(st.characters(max_codepoint=127), max_size=300).map(Symbol),
    st.binary(max_size=300),
    st.uuids(),
    st.binary(min_size=8, max_size=8).map(lambda bits: Decimal(0x84, bits)),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.dictionaries(st.text(max_size=10), inner, max_size=5),
        st.builds(Described, SCALARS, inner),
    ),
    max_leaves=20,
)


@QUICK
@given(VALUES)
@example(["x" * 70_000, [], {}, list(range(300))])
def test_a_value_is_read_as_it_was_written(value: Any) -> None:
    data = encode(value)
    assert decode(data) == (value, len(data))
    assert skip(data, 0) == len(data)


@QUICK
@given(VALUES)
def test_every_beginning_of_a_value_is_refused(value: Any) -> None:
    data = encode(value)
    for end in range(len(data)):
        with pytest.raises(DecodeError):
            decode(data[:end])
        with pytest.raises(DecodeError):
            skip(data[:end], 0)


@QUICK
@given(st.binary(max_size=100))
def test_any_bytes_are_a_value_or_refused(data: bytes) -> None:
    for read in (decode, lambda data: skip(data, 0), parse, parse_request, decode_message, decode_batch):
        with suppress(DecodeError):
            read(data)


@QUICK
@given(VALUES, st.data())
def test_a_changed_byte_gives_a_value_or_is_refused(value: Any, data: st.DataObject) -> None:
    changed = bytearray(encode(value))
    place = data.draw(st.integers(0, len(changed) - 1))
    changed[place] = data.draw(st.integers(0, 255))
    with suppress(DecodeError):
        decode(bytes(changed))


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (Array("long", [1, -(2**40)]), [1, -(2**40)]),
        (Array("symbol", ["a", "b" * 300]), ["a", "b" * 300]),
        (Array("timestamp", [5]), [5]),
        (Array("uuid", [uuid.UUID(int=1)]), [uuid.UUID(int=1)]),
    ],
)
def test_an_array_is_read_as_a_list(array: Array, expected: list[object]) -> None:
    assert decode(encode(array))[0] == expected


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"\x51\xff", -1),
        (b"\x61\xff\xfe", -2),
        (b"\x72" + struct.pack(">f", 0.5), 0.5),
        (b"\x73\x00\x01\xf6\x00", "\U0001f600"),
        (b"\x56\x01", True),
        (b"\xe0\x04\x02\x56\x01\x00", [True, False]),
        (b"\xe0\x06\x02\x00\x53\x07\x50\x01\x02"[:9], None),
    ],
)
def test_types_that_are_only_read(data: bytes, value: object) -> None:
    if value is None:
        with pytest.raises(DecodeError):
            decode(data)
    else:
        assert decode(data) == (value, len(data))


def test_an_array_of_described_values_describes_each() -> None:
    data = b"\xe0\x07\x02\x00\x53\x07\x50\x01\x02"
    assert decode(data)[0] == [Described(7, 1), Described(7, 2)]


@pytest.mark.parametrize(
    "data",
    [
        b"\xd0\x00\x00\x00\x04\xff\xff\xff\xff",  # a count without content
        b"\xf0\x00\x00\x00\x05\xff\xff\xff\xff\x40",  # four billion nulls
        b"\xc1\x02\x01\x40",  # a key without a value
        b"\xc1\x03\x02\x45\x40",  # a list as a key
        b"\x3f",
        b"\x00\x40",
        b"\xc0\x00",
        b"\x56\x02",
        b"\xa1\x02\xff\xff",  # no UTF-8
        b"\xa3\x01\xff",  # no ASCII
        b"\x73\x00\x11\x00\x00",
        b"\xc0\x01\x01" * 40,
        b"\xc0\xff\x01" * 200,
        b"\x00" * 200,
        b"\xd0\x00\x00\x40\x00\x00\x00\x00\x01" * 2000,
    ],
)
def test_what_is_malformed_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        decode(data)


def test_nesting_is_bounded() -> None:
    value: Any = None
    for _ in range(33):
        value = [value]
    with pytest.raises(DecodeError, match="deep"):
        decode(encode(value))


def test_an_integer_that_is_too_large_cannot_be_written() -> None:
    for value in (2**63, -(2**63) - 1, Uint(2**32), Ulong(2**64)):
        with pytest.raises(ValueError, match="range"):
            encode(value)


@given(st.dictionaries(st.text(max_size=5), SCALARS, max_size=5))
@QUICK
def test_a_maps_content_is_what_encode_map_takes(values: dict[str, Any]) -> None:
    data = encode(values)
    content, count = map_content(data, 0)
    assert encode_map(content, count) == data


FRAMES = [
    frame(0, write_open("me", 1024, 7, 30_000)),
    frame(3, write_transfer(1, 2**31, b"t" * 16, settled=False, more=True) + b"payload"),
    frame(3, write_more_transfer(1, more=False) + b"end"),
    frame(0, write_disposition(5, STATE_ACCEPTED, as_receiver=True)),
    frame(0, write_disposition(5, write_rejected(Error("a:b", "c" * 300)), as_receiver=False)),
    frame(1, write_detach(4, Error("a:b", "c"))),
    frame(0, write_close()),
    frame(1, write_flow(next_incoming_id=1, incoming_window=2, next_outgoing_id=3, outgoing_window=4)),
]


@pytest.mark.parametrize("whole", FRAMES)
def test_a_frame_is_read_when_it_is_whole_and_not_before(whole: bytes) -> None:
    for cut in range(len(whole)):
        reader = FrameReader(65536)
        reader.append(whole[:cut])
        assert reader.read_frame() is None
        reader.append(whole[cut:] + FRAMES[0][:9])
        found = reader.read_frame()
        assert found is not None
        assert frame(found.channel, found.body, found.type) == whole
        parse(found.body)
        assert reader.read_frame() is None


@pytest.mark.parametrize("whole", FRAMES)
def test_every_beginning_of_a_performative_is_refused(whole: bytes) -> None:
    body = whole[8:]
    payload = 7 if body.endswith(b"payload") else 3 if body.endswith(b"end") else 0
    for end in range(len(body) - payload):
        with pytest.raises(DecodeError):
            parse(body[:end])


@QUICK
@given(st.lists(st.sampled_from(FRAMES), max_size=6), st.data())
def test_frames_are_cut_out_of_a_stream_however_it_arrives(sent: list[bytes], data: st.DataObject) -> None:
    stream, reader, read = b"".join(sent), FrameReader(65536), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        reader.append(stream[:size])
        stream = stream[size:]
        while (found := reader.read_frame()) is not None:
            read.append(frame(found.channel, found.body, found.type))
    assert read == sent


@pytest.mark.parametrize(
    "head",
    [b"\x00\x01\x00\x01\x02\x00\x00\x00", b"\x00\x00\x00\x07\x02\0\0\0", b"\x00\x00\x00\x08\x03\0\0\0"],
)
def test_a_frame_with_a_wrong_size_is_refused_at_its_head(head: bytes) -> None:
    reader = FrameReader(65536)
    reader.append(head)
    with pytest.raises(DecodeError):
        reader.read_frame()


def test_performatives_are_read_field_by_field() -> None:
    assert parse(performative(0x10, "c", "h", Uint(512))[8:]) == Open("c", 512, 65535, 0)
    assert parse(performative(0x14, Uint(1), Uint(2), b"t", Uint(3), True, payload=b"x")[8:]) == Transfer(
        1, 2, 3, settled=True, more=False, aborted=False, payload=b"x"
    )
    assert parse(performative(0x15, True, Uint(4))[8:]) == Disposition(True, 4, 4, False, None)
    assert parse(performative(0x13, None, Uint(9), None, None, Uint(1), Uint(2), Uint(3))[8:]) == Flow(
        None, 9, 1, 2, 3, drain=False, echo=False
    )
    source = Described(Ulong(0x28), ["address"])
    attach = parse(performative(0x12, "name", Uint(1), True, None, None, source)[8:])
    assert isinstance(attach, Attach)
    assert (attach.source, attach.source_bytes) == (source, encode(source))
    assert (attach.target, attach.target_bytes) == (None, b"\x40")
    assert (attach.settled_by_sender, attach.settled_by_receiver, attach.properties) == (2, 0, {})


@pytest.mark.parametrize(
    "body",
    [
        performative(0x10)[8:],  # an open without a container id
        performative(0x14, "one")[8:],
        performative(0x14, -1)[8:],
        performative(0x15, 1, Uint(1))[8:],
        performative(0x12, "name", Uint(1), 1)[8:],
        performative(0x16, Uint(1), 1)[8:],
        performative(0x19)[8:],
        performative(0x18, payload=b"more")[8:],
        b"\x00\xa3\x0eamqp:open:list\x45",
        b"\x00\x53\x10\xc1\x01\x00",
    ],
)
def test_a_wrong_performative_is_refused(body: bytes) -> None:
    with pytest.raises(DecodeError):
        parse(body)
