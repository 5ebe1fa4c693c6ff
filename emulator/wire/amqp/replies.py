"""The performatives and SASL frames that are written. All return a frame's body, without the payload."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from emulator.wire.amqp.encoding import (
    encode,
    encode_described,
    encode_list,
    encode_string,
    encode_symbol,
    encode_uint,
    encode_ulong,
)
from emulator.wire.amqp.performatives import (
    ACCEPTED,
    ATTACH,
    BEGIN,
    CLOSE,
    DETACH,
    END,
    ERROR,
    FLOW,
    MODIFIED,
    NULL,
    OPEN,
    REJECTED,
    RELEASED,
    SASL_MECHANISMS,
    SASL_OUTCOME,
    TRANSFER,
    Attach,
)
from emulator.wire.amqp.values import Array, Ushort, Value

TRUE: Final = b"\x41"
FALSE: Final = b"\x42"


@dataclass(frozen=True, slots=True)
class Error:
    """`condition` is a symbol of the specification, or of Service Bus (`com.microsoft:...`)."""

    condition: str
    description: str


def write_open(container_id: str, max_frame_size: int, channel_max: int, idle_timeout_ms: int) -> bytes:
    fields = (
        encode_string(container_id),
        NULL,
        encode_uint(max_frame_size),
        encode(Ushort(channel_max)),
        encode_uint(idle_timeout_ms),
    )
    return encode_described(OPEN, encode_list(fields))


def write_begin(
    remote_channel: int, next_outgoing_id: int, incoming_window: int, outgoing_window: int, handle_max: int
) -> bytes:
    fields = (
        encode(Ushort(remote_channel)),
        encode_uint(next_outgoing_id),
        encode_uint(incoming_window),
        encode_uint(outgoing_window),
        encode_uint(handle_max),
    )
    return encode_described(BEGIN, encode_list(fields))


def write_attach(
    attach: Attach,
    *,
    source: bytes,
    target: bytes,
    handle: int,
    max_message_size: int,
    properties: dict[Value, Value],
) -> bytes:
    """The answer to `attach`: the opposite role, its settle modes."""
    fields = (
        encode_string(attach.name),
        encode_uint(handle),
        FALSE if attach.peer_receives else TRUE,
        b"\x50" + bytes((attach.settled_by_sender,)),
        b"\x50" + bytes((attach.settled_by_receiver,)),
        source,
        target,
        NULL,
        NULL,
        b"\x43" if attach.peer_receives else NULL,
        encode_ulong(max_message_size),
        NULL,
        NULL,
        encode(properties),
    )
    return encode_described(ATTACH, encode_list(fields))


def write_flow(
    *,
    next_incoming_id: int,
    incoming_window: int,
    next_outgoing_id: int,
    outgoing_window: int,
    handle: int | None = None,
    delivery_count: int = 0,
    link_credit: int = 0,
    drain: bool = False,
) -> bytes:
    fields = [
        encode_uint(next_incoming_id),
        encode_uint(incoming_window),
        encode_uint(next_outgoing_id),
        encode_uint(outgoing_window),
    ]
    if handle is not None:
        fields += [
            encode_uint(handle),
            encode_uint(delivery_count),
            encode_uint(link_credit),
            b"\x43",
            TRUE if drain else FALSE,
        ]
    return encode_described(FLOW, encode_list(fields))


def write_transfer(handle: int, delivery_id: int, tag: bytes, *, settled: bool, more: bool) -> bytes:
    """The first frame of a delivery; `tag` has 16 bytes."""
    flags = (TRUE if settled else FALSE) + (TRUE if more else FALSE)
    return _TRANSFER.pack(_TRANSFER_HEAD, 0x70, handle, 0x70, delivery_id, b"\xa0\x10", tag, b"\x43", flags)


def write_more_transfer(handle: int, *, more: bool) -> bytes:
    """A later frame of the delivery that is under way on the link."""
    fields = [encode_uint(handle), NULL, NULL, NULL, NULL, TRUE if more else FALSE]
    return encode_described(TRANSFER, encode_list(fields))


def write_disposition(delivery_id: int, state: bytes, *, as_receiver: bool) -> bytes:
    """Settles one delivery."""
    role = TRUE if as_receiver else FALSE
    size = _DISPOSITION.size - 5 + len(state)
    head = b"\x00\x53\x15\xc0"
    if size > 255:
        fields = (role, encode_uint(delivery_id), encode_uint(delivery_id), TRUE, state)
        return head[:3] + encode_list(fields)
    return _DISPOSITION.pack(head, size, 5, role, 0x70, delivery_id, 0x70, delivery_id, TRUE) + state


def write_detach(handle: int, error: Error | None = None, *, closed: bool = True) -> bytes:
    fields = (encode_uint(handle), TRUE if closed else FALSE, write_error(error))
    return encode_described(DETACH, encode_list(fields))


def write_end(error: Error | None = None) -> bytes:
    return encode_described(END, encode_list((write_error(error),)))


def write_close(error: Error | None = None) -> bytes:
    return encode_described(CLOSE, encode_list((write_error(error),)))


def write_error(error: Error | None) -> bytes:
    """All three fields: the Python SDK reads the third of a rejected message unasked."""
    if error is None:
        return NULL
    fields = (encode_symbol(error.condition), encode_string(error.description), NULL)
    return encode_described(ERROR, encode_list(fields))


def write_rejected(error: Error | None) -> bytes:
    return encode_described(REJECTED, encode_list((write_error(error),) if error is not None else ()))


def write_sasl_mechanisms(names: tuple[str, ...]) -> bytes:
    return encode_described(SASL_MECHANISMS, encode_list((encode(Array("symbol", names)),)))


def write_sasl_outcome(code: int) -> bytes:
    return encode_described(SASL_OUTCOME, encode_list((b"\x50" + bytes((code,)),)))


STATE_ACCEPTED: Final = encode_described(ACCEPTED, encode_list(()))
STATE_RELEASED: Final = encode_described(RELEASED, encode_list(()))
STATE_MODIFIED: Final = encode_described(MODIFIED, encode_list(()))

_TRANSFER = struct.Struct(">6sBIBI2s16s1s2s")
_TRANSFER_HEAD: Final = b"\x00\x53\x14\xc0" + bytes((_TRANSFER.size - 5, 6))
_DISPOSITION = struct.Struct(">4sBB1sBIBI1s")
