"""A link on which a peer receives the messages of a mailbox."""

from __future__ import annotations

import os
import struct

from emulator.servicebus.messages import LockedMessage, StoredMessage
from emulator.wire.amqp.mailboxes import Mailbox
from emulator.wire.amqp.message_encoding import encode_message
from emulator.wire.amqp.performatives import Flow, Transfer
from emulator.wire.amqp.session import Session, Unsettled
from emulator.wire.amqp.values import DecodeError

_WRAP = 2**32
_UUID = struct.Struct(">IHH8s")
_GUID = struct.Struct("<IHH8s")


class Credit:
    """What a receiving peer grants on one link (part 2.6.7 of the specification)."""

    def __init__(self) -> None:
        self.left = 0
        self.delivery_count = 0
        self.drain = False

    def update(self, flow: Flow) -> None:
        """Each flow replaces the credit; counted from how many deliveries the peer had seen then."""
        if flow.link_credit is not None:
            seen = flow.delivery_count or 0
            in_flight = (self.delivery_count - seen) % _WRAP
            self.left = max(0, flow.link_credit - in_flight)
        self.drain = flow.drain

    def use(self) -> None:
        self.left -= 1
        self.delivery_count = (self.delivery_count + 1) % _WRAP

    def give_up(self) -> None:
        """For want of messages, as the peer asked."""
        self.delivery_count = (self.delivery_count + self.left) % _WRAP
        self.left = 0
        self.drain = False


class OutgoingLink:
    def __init__(self, session: Session, handle: int, path: str, mailbox: Mailbox) -> None:
        self._session = session
        self._handle = handle
        self.node = path
        self._mailbox = mailbox
        self._credit = Credit()

    def begin(self) -> None:
        """Once the attach is answered."""
        self._mailbox.add(self)

    def on_flow(self, flow: Flow) -> None:
        self._credit.update(flow)
        if self._credit.drain and self._credit.left == 0:
            self._drained()
        elif flow.echo:
            self._session.write_flow(self._handle, self._credit.delivery_count, self._credit.left)
        if self._credit.left:
            self._mailbox.look()

    def on_room(self) -> None:
        if self._credit.left:
            self._mailbox.look()

    def on_transfer(self, transfer: Transfer) -> None:
        raise DecodeError("a transfer on a link whose receiver the peer is")

    def on_detached(self) -> None:
        """What it has locked stays locked until the locks end, as in Service Bus."""
        self._credit.left = 0
        self._mailbox.remove(self)

    def room(self) -> int:
        return self._credit.left if self._session.open else 0

    def deliver(self, message: StoredMessage) -> int:
        payload = encode_message(message)
        self._credit.use()
        if isinstance(message, LockedMessage):
            tag = _tag(message.lock_token)
            self._session.deliver(self._handle, tag, payload, Unsettled(self.node, message.lock_token))
        else:
            self._session.deliver(self._handle, os.urandom(16), payload, None)
        return len(payload)

    def nothing_left(self) -> None:
        if self._credit.drain and self._session.open:
            self._drained()

    def _drained(self) -> None:
        self._credit.give_up()
        self._session.write_flow(self._handle, self._credit.delivery_count, 0, drain=True)


def _tag(lock_token: str) -> bytes:
    """A delivery's tag is its lock token in the byte order of a .NET Guid."""
    return _GUID.pack(*_UUID.unpack(bytes.fromhex(lock_token.replace("-", ""))))
