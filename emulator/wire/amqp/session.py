"""A session: its windows, its links by handle, and what it delivered that is not settled yet."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine
from typing import Final, NamedTuple, Protocol

from emulator.wire.amqp.errors import HANDLE_IN_USE, UNATTACHED_HANDLE, LinkRefused, SessionFailed
from emulator.wire.amqp.frames import frame
from emulator.wire.amqp.performatives import (
    NULL,
    RECEIVED,
    Attach,
    Begin,
    Detach,
    Disposition,
    Flow,
    Performative,
    Transfer,
)
from emulator.wire.amqp.pipe import Pipe
from emulator.wire.amqp.replies import (
    Error,
    write_attach,
    write_begin,
    write_detach,
    write_flow,
    write_more_transfer,
    write_transfer,
)
from emulator.wire.amqp.values import DecodeError

HANDLE_MAX: Final = 254
"""The Python SDK takes it for the limit of its own handles too."""

_WINDOW: Final = 2**31 - 1
"""Transfers the peer may send: how much comes in is bounded by bytes, per connection."""

_WRAP: Final = 2**32
_MAX_UNSETTLED: Final = 65_536
_TRANSFER_OVERHEAD: Final = 64


class Link(Protocol):
    node: str
    """To which the peer needs a right."""

    def on_flow(self, flow: Flow) -> None: ...

    def on_room(self) -> None:
        """Transfers may be written again."""
        ...

    def on_transfer(self, transfer: Transfer) -> None: ...

    def on_detached(self) -> None:
        """By either side, or because the session or the connection ended. It writes nothing any more."""
        ...


class Unsettled(NamedTuple):
    """A locked message of a mailbox; without a path, what needs no more than an answer."""

    path: str
    lock_token: str


class Settled(NamedTuple):
    """What the peer decided about one delivery. `unsettled` is None for one that is not known any more."""

    session: Session
    delivery_id: int
    unsettled: Unsettled | None
    disposition: Disposition


class Owner(Protocol):
    """The connection, as its sessions see it."""

    pipe: Pipe
    max_frame_size: int
    """The peer's."""

    def assemble(self, size: int) -> None:
        """So many more bytes, or fewer when negative, are of unfinished messages. Raises ConnectionFailed."""
        ...

    def attach(self, session: Session, attach: Attach) -> Link:
        """Answers the attach, or raises LinkRefused."""
        ...

    def settle(self, settled: Settled) -> None: ...

    def after_read(self, flush: Callable[[], None]) -> None:
        """Call `flush` once, when all frames that came together are handled."""
        ...

    def start(self, work: Coroutine[None, None, None]) -> None: ...


class Session:
    def __init__(self, owner: Owner, channel: int, begin: Begin) -> None:
        self.owner = owner
        self._pipe = owner.pipe
        self.channel = channel
        self.links: dict[int, Link] = {}
        self._detaching: set[int] = set()
        """Detached by this side; what the peer sent before it knew is passed over."""
        self._next_incoming_id = begin.next_outgoing_id
        self._next_outgoing_id = 0
        self._peers_window = begin.incoming_window
        self._waiting: deque[bytes] = deque()
        """Transfer frames for which the peer's window has no room."""
        self._next_delivery_id = 0
        self.has_ended = False
        self._unsettled: dict[int, Unsettled] = {}
        self._pipe.write(frame(channel, write_begin(channel, 0, _WINDOW, _WINDOW, HANDLE_MAX)))

    @property
    def open(self) -> bool:
        """Whether a transfer may be written now."""
        return self._peers_window > 0 and not self._waiting and self._pipe.writable and not self.has_ended

    def handle(self, performative: Performative) -> None:
        """Raises SessionFailed, and ConnectionFailed."""
        if isinstance(performative, Transfer):
            self._next_incoming_id = (self._next_incoming_id + 1) % _WRAP
            link = self.links.get(performative.handle) or self._link(performative.handle)
            if link is not None:
                link.on_transfer(performative)
        elif isinstance(performative, Disposition):
            self._on_disposition(performative)
        elif isinstance(performative, Flow):
            self._on_flow(performative)
        elif isinstance(performative, Attach):
            self._on_attach(performative)
        elif isinstance(performative, Detach):
            self._on_detach(performative)
        else:
            raise DecodeError(f"{type(performative).__name__.lower()} has no place in a session")

    def ended(self) -> None:
        """Nothing more is written on its channel."""
        self.has_ended = True
        for link in list(self.links.values()):
            link.on_detached()
        self.links.clear()
        self._unsettled.clear()
        self._waiting.clear()

    def on_room(self) -> None:
        for link in list(self.links.values()):
            link.on_room()

    def write(self, body: bytes) -> None:
        if not self.has_ended:
            self._pipe.write(frame(self.channel, body))

    def write_flow(
        self, handle: int | None = None, delivery_count: int = 0, link_credit: int = 0, *, drain: bool = False
    ) -> None:
        self.write(
            write_flow(
                next_incoming_id=self._next_incoming_id,
                incoming_window=_WINDOW,
                next_outgoing_id=self._next_outgoing_id,
                outgoing_window=_WINDOW,
                handle=handle,
                delivery_count=delivery_count,
                link_credit=link_credit,
                drain=drain,
            )
        )

    def deliver(self, handle: int, tag: bytes, payload: bytes, unsettled: Unsettled | None) -> None:
        """Write a message, in as many frames as it takes. Settled when nothing of it is `unsettled`."""
        delivery_id = self._next_delivery_id
        self._next_delivery_id = (delivery_id + 1) % _WRAP
        if unsettled is not None:
            if len(self._unsettled) >= _MAX_UNSETTLED:
                del self._unsettled[next(iter(self._unsettled))]
            self._unsettled[delivery_id] = unsettled
        part = self.owner.max_frame_size - _TRANSFER_OVERHEAD
        more = len(payload) > part
        head = write_transfer(handle, delivery_id, tag, settled=unsettled is None, more=more)
        self._write_transfer(frame(self.channel, head + payload[:part]))
        at = part
        while more:
            more = len(payload) > at + part
            head = write_more_transfer(handle, more=more)
            self._write_transfer(frame(self.channel, head + payload[at : at + part]))
            at += part

    def detach(self, handle: int, error: Error) -> None:
        """By this side."""
        link = self.links.pop(handle, None)
        if link is not None:
            link.on_detached()
            self._detaching.add(handle)
            self.write(write_detach(handle, error))

    def _write_transfer(self, data: bytes) -> None:
        """Or keep it until there is room for it in the peer's window."""
        if self._peers_window == 0:
            self._waiting.append(data)
            return
        self._pipe.write(data)
        self._peers_window -= 1
        self._next_outgoing_id = (self._next_outgoing_id + 1) % _WRAP

    def _flush(self) -> None:
        while self._waiting and self._peers_window > 0:
            self._write_transfer(self._waiting.popleft())

    def _link(self, handle: int) -> Link | None:
        link = self.links.get(handle)
        if link is None and handle not in self._detaching:
            raise SessionFailed(UNATTACHED_HANDLE, f"no link is attached with handle {handle}")
        return link

    def _on_flow(self, flow: Flow) -> None:
        # Before it has seen the begin, the peer does not know the first id: it is 0.
        seen = flow.next_incoming_id or 0
        in_flight = (self._next_outgoing_id - seen) % _WRAP
        was_open = self.open
        self._peers_window = max(0, flow.incoming_window - in_flight)
        self._flush()
        if flow.handle is not None:
            link = self._link(flow.handle)
            if link is not None:
                link.on_flow(flow)
        elif flow.echo:
            self.write_flow()
        if self.open and not was_open:
            self.on_room()

    def _on_attach(self, attach: Attach) -> None:
        if attach.handle in self.links or attach.handle in self._detaching:
            raise SessionFailed(HANDLE_IN_USE, f"handle {attach.handle} is attached already")
        if attach.handle > HANDLE_MAX:
            raise SessionFailed(HANDLE_IN_USE, f"handle {attach.handle} is above {HANDLE_MAX}")
        try:
            self.links[attach.handle] = self.owner.attach(self, attach)
        except LinkRefused as refusal:
            # A link that is to be refused is attached without what it asked for, and detached.
            self.write(
                write_attach(
                    attach,
                    source=NULL if attach.peer_receives else attach.source_bytes,
                    target=attach.target_bytes if attach.peer_receives else NULL,
                    handle=attach.handle,
                    max_message_size=0,
                    properties={},
                )
            )
            self._detaching.add(attach.handle)
            self.write(write_detach(attach.handle, refusal.error))

    def _on_detach(self, detach: Detach) -> None:
        if detach.handle in self._detaching:
            self._detaching.discard(detach.handle)
            return
        link = self._link(detach.handle)
        if link is not None:
            del self.links[detach.handle]
            link.on_detached()
            self.write(write_detach(detach.handle, closed=detach.closed))

    def _on_disposition(self, disposition: Disposition) -> None:
        if not disposition.peer_receives:
            return  # of what the peer sent: settled here already
        state = disposition.state
        if not disposition.settled and (state is None or state.descriptor == RECEIVED):
            return
        count = (disposition.last - disposition.first) % _WRAP + 1
        if count == 1:
            found = self._unsettled.pop(disposition.first, None)
            if state is not None:
                self.owner.settle(Settled(self, disposition.first, found, disposition))
        else:
            within = [each for each in self._unsettled if (each - disposition.first) % _WRAP < count]
            for each in within:
                found = self._unsettled.pop(each)
                if state is not None:
                    self.owner.settle(Settled(self, each, found, disposition))
