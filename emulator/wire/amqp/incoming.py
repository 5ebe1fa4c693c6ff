"""A link on which a peer sends messages to a queue or topic."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final, NamedTuple

from emulator.servicebus.engine import ServiceBusEngine
from emulator.servicebus.errors import InvalidMessage, MessageTooLarge, ServiceBusError
from emulator.servicebus.messages import Message
from emulator.servicebus.rows import MAX_MESSAGE_BYTES
from emulator.store import StoreStopped
from emulator.wire.amqp.errors import DECODE_ERROR, MESSAGE_SIZE_EXCEEDED, error_of
from emulator.wire.amqp.frames import frame
from emulator.wire.amqp.message_decoding import BATCH_FORMAT, decode_batch, decode_message
from emulator.wire.amqp.performatives import Flow, Transfer
from emulator.wire.amqp.replies import STATE_ACCEPTED, Error, write_disposition, write_rejected
from emulator.wire.amqp.session import Owner, Session
from emulator.wire.amqp.values import DecodeError

_CREDIT: Final = 1000
_ENVELOPE_BYTES: Final = 2048
"""More that a batch may have: its envelope repeats ids of its first message, which the SDKs do not count."""


class Delivery(NamedTuple):
    """A whole message, or batch of them, as it came. `too_large` when its bytes were not kept."""

    id: int
    settled: bool
    message_format: int
    payload: bytes
    too_large: bool


class Assembly:
    """Puts the frames of one delivery after another together."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._first: Transfer | None = None
        self._parts: list[bytes] = []
        self._size = 0
        self._kept = 0

    def add(self, transfer: Transfer) -> Delivery | None:
        """The delivery once it is whole. Raises DecodeError, ConnectionFailed."""
        if transfer.aborted:
            self._forget()
            return None
        first = self._first or transfer
        if first.delivery_id is None:
            raise DecodeError("transfer: the first of a delivery must have a delivery-id")
        if not self._first and not transfer.more and len(transfer.payload) <= MAX_MESSAGE_BYTES:
            return Delivery(
                first.delivery_id, first.settled, first.message_format, transfer.payload, too_large=False
            )
        limit = MAX_MESSAGE_BYTES + (_ENVELOPE_BYTES if first.message_format == BATCH_FORMAT else 0)
        self._size += len(transfer.payload)
        if self._size <= limit:
            self._parts.append(transfer.payload)
            self._keep(len(transfer.payload))
        else:
            self._parts.clear()
            self._keep(-self._kept)
        if transfer.more:
            self._first = first
            return None
        delivery = Delivery(
            first.delivery_id,
            first.settled or transfer.settled,
            first.message_format,
            b"".join(self._parts),
            self._size > limit,
        )
        self._forget()
        return delivery

    def _keep(self, size: int) -> None:
        self._kept += size
        self._owner.assemble(size)

    def _forget(self) -> None:
        self._keep(-self._kept)
        self._first = None
        self._parts = []
        self._size = 0


class _Batch(NamedTuple):
    deliveries: list[Delivery]
    messages: list[Message]


class IncomingLink:
    def __init__(self, session: Session, handle: int, path: str, engine: ServiceBusEngine) -> None:
        self._session = session
        self._handle = handle
        self.node = path
        self._engine = engine
        self._assembly = Assembly(session.owner)
        self._arrived: list[Delivery] = []
        self._delivery_count = 0
        self._credit = 0
        self._attached = True

    def begin(self) -> None:
        """Once the attach is answered."""
        self._grant()

    def on_flow(self, flow: Flow) -> None:
        if flow.echo:
            self._session.write_flow(self._handle, self._delivery_count, self._credit)

    def on_room(self) -> None:
        pass

    def on_transfer(self, transfer: Transfer) -> None:
        delivery = self._assembly.add(transfer)
        if delivery is None:
            return
        self._delivery_count = (self._delivery_count + 1) % 2**32
        self._credit -= 1
        owner = self._session.owner
        if not self._arrived:
            owner.after_read(self._send_arrived)
        self._arrived.append(delivery)
        owner.pipe.hold(len(delivery.payload))

    def on_detached(self) -> None:
        self._attached = False

    def _grant(self) -> None:
        # The Python SDK sends without credit too, which makes it negative here.
        self._credit = _CREDIT
        self._session.write_flow(self._handle, self._delivery_count, self._credit)

    def _send_arrived(self) -> None:
        """One call to the engine for as many as it takes at once, which it takes all or none."""
        arrived, self._arrived = self._arrived, []
        batch = _Batch([], [])
        size = 0
        for delivery in arrived:
            messages = self._decode(delivery)
            if messages is None:
                self._session.owner.pipe.let_go(len(delivery.payload))
                continue
            if batch.deliveries and size + len(delivery.payload) > MAX_MESSAGE_BYTES:
                self._session.owner.start(self._send(batch))
                batch, size = _Batch([], []), 0
            batch.deliveries.append(delivery)
            batch.messages.extend(messages)
            size += len(delivery.payload)
        if batch.deliveries:
            self._session.owner.start(self._send(batch))
        if self._credit <= _CREDIT // 2 and self._attached:
            self._grant()

    def _decode(self, delivery: Delivery) -> list[Message] | None:
        """None when the delivery was answered, as a wrong one."""
        if delivery.too_large:
            limit = f"the message is larger than {MAX_MESSAGE_BYTES} bytes, which is the most that is taken"
            self._reject(delivery, Error(MESSAGE_SIZE_EXCEEDED, limit))
            return None
        try:
            if delivery.message_format == BATCH_FORMAT:
                return decode_batch(delivery.payload)
            return [decode_message(delivery.payload)]
        except DecodeError as error:
            self._reject(delivery, Error(DECODE_ERROR, str(error)))
            return None

    async def _send(self, batch: _Batch) -> None:
        deliveries = batch.deliveries
        try:
            await self._engine.send(self.node, batch.messages)
        except StoreStopped:
            return  # not accepted: the peer sends again elsewhere
        except (MessageTooLarge, InvalidMessage) as error:
            if len(deliveries) == 1:
                self._reject(deliveries[0], error_of(error))
            else:
                await self._send_apart(deliveries)
                return
        except (ServiceBusError, sqlite3.Error) as error:
            for delivery in deliveries:
                self._reject(delivery, error_of(error))
        else:
            self._accept(deliveries)
        self._session.owner.pipe.let_go(sum(len(delivery.payload) for delivery in deliveries))

    async def _send_apart(self, deliveries: Sequence[Delivery]) -> None:
        """After a refusal of all for the sake of one."""
        for delivery in deliveries:
            messages = self._decode(delivery)
            if messages is not None:
                await self._send(_Batch([delivery], messages))

    def _accept(self, deliveries: Sequence[Delivery]) -> None:
        if self._attached:
            channel = self._session.channel
            self._session.owner.pipe.write(
                b"".join(
                    frame(channel, write_disposition(delivery.id, STATE_ACCEPTED, as_receiver=True))
                    for delivery in deliveries
                    if not delivery.settled
                )
            )

    def _reject(self, delivery: Delivery, error: Error) -> None:
        if not self._attached:
            return
        if delivery.settled:  # there is no other way to tell the sender
            self._session.detach(self._handle, error)
        else:
            self._session.write(write_disposition(delivery.id, write_rejected(error), as_receiver=True))
