"""A connection: its handshakes, its frames, its sessions by channel, and what it may keep in memory."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextvars import Context
from enum import Enum, auto
from typing import Final, cast
from uuid import uuid4

from emulator.metrics import Metrics
from emulator.wire.amqp.errors import (
    DECODE_ERROR,
    FORCED,
    FRAMING_ERROR,
    INTERNAL_ERROR,
    INVALID_FIELD,
    NOT_ALLOWED,
    RESOURCE_LIMIT,
    UNAUTHORIZED,
    ConnectionFailed,
    SessionFailed,
)
from emulator.wire.amqp.frames import (
    AMQP_FRAME,
    AMQP_HEADER,
    EMPTY_FRAME,
    SASL_FRAME,
    SASL_HEADER,
    Frame,
    FrameReader,
    frame,
)
from emulator.wire.amqp.nodes import Namespace, Nodes
from emulator.wire.amqp.performatives import Attach, Begin, Close, End, Open, Performative, SaslInit, parse
from emulator.wire.amqp.pipe import Limits, Pipe
from emulator.wire.amqp.replies import (
    Error,
    write_close,
    write_end,
    write_open,
    write_sasl_mechanisms,
    write_sasl_outcome,
)
from emulator.wire.amqp.session import Link, Session, Settled
from emulator.wire.amqp.settlements import Settlements
from emulator.wire.amqp.values import DecodeError

_log = logging.getLogger("emulator.wire.amqp")

MAX_FRAME_SIZE: Final = 65_536
_MIN_MAX_FRAME_SIZE: Final = 512
_CHANNEL_MAX: Final = 4999
_MAX_LINKS: Final = 5000
_MECHANISMS: Final = ("ANONYMOUS", "MSSBCBS")
"""Who the peer is, its tokens say later (`$cbs`)."""
_SASL_OK, _SASL_AUTH = 0, 1
_CONTAINER_ID: Final = uuid4().hex
_MIN_HEARTBEAT_S: Final = 0.1
_FAR_S: Final = 86400.0
"""No timer is set further ahead."""


class _Stage(Enum):
    HEADER = auto()
    SASL = auto()
    AMQP_HEADER = auto()
    OPEN = auto()
    OPENED = auto()
    ENDED = auto()


class Connection(asyncio.Protocol):
    def __init__(self, namespace: Namespace, limits: Limits, metrics: Metrics, made: set[Connection]) -> None:
        """It is among `made` while it is connected."""
        self._namespace = namespace
        self._limits = limits
        self._metrics = metrics
        self._made = made
        self._loop = asyncio.get_running_loop()
        self._reader = FrameReader(MAX_FRAME_SIZE)
        self._stage = _Stage.HEADER
        self._sasl_done = False
        self._sessions: dict[int, Session] = {}
        self._ended_channels: set[int] = set()
        """Frames may still come there: sent before the peer knew, or by the Python SDK after its end."""
        self._nodes = Nodes(namespace)
        self._settlements = Settlements(self, namespace.engine)
        self._tasks: set[asyncio.Task[None]] = set()
        self._flushes: list[Callable[[], None]] = []
        self._partial_bytes = 0
        self._rights_timer: asyncio.TimerHandle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._heartbeat_s: float | None = None
        self._last_read = self._loop.time()
        self.max_frame_size = _MIN_MAX_FRAME_SIZE

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A stream protocol gets a stream's transport; uvloop's does not inherit from asyncio's.
        stream = cast(asyncio.Transport, transport)
        self.pipe = Pipe(stream, self._limits, self._metrics, self._on_room)
        self._made.add(self)
        self._timer = self._loop.call_later(self._limits.handshake_s, self._give_up_handshake)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stage = _Stage.ENDED
        self._made.discard(self)
        self.pipe.lost()
        self._stop_working()

    def data_received(self, data: bytes) -> None:
        if self._stage is _Stage.ENDED:
            return
        self._last_read = self._loop.time()
        self._metrics.wire("amqp bytes", len(data))
        try:
            try:
                self._reader.append(data)
                while self._read_one():
                    pass
            finally:  # also before a bad frame: those that came before it were good
                self._flush_what_was_read()
        except ConnectionFailed as failure:
            self.end(failure.error)
        except DecodeError as error:
            framing = self._stage is not _Stage.OPENED
            self.end(Error(FRAMING_ERROR if framing else DECODE_ERROR, str(error)))
        except Exception as error:  # a fault of this server: the peer is told, the others are served on
            _log.exception("an AMQP connection is closed")
            self.end(Error(INTERNAL_ERROR, repr(error)))
        self.pipe.flush()

    def pause_writing(self) -> None:
        self.pipe.pause_writing()

    def resume_writing(self) -> None:
        self.pipe.resume_writing()

    # What sessions and links call.

    def attach(self, session: Session, attach: Attach) -> Link:
        if sum(len(each.links) for each in self._sessions.values()) >= _MAX_LINKS:
            raise ConnectionFailed(RESOURCE_LIMIT, f"more than {_MAX_LINKS} links on one connection")
        link = self._nodes.attach(session, attach)
        self._watch_rights(self._nodes.until(link.node))
        return link

    def settle(self, settled: Settled) -> None:
        self._settlements.add(settled)

    def after_read(self, flush: Callable[[], None]) -> None:
        self._flushes.append(flush)

    def start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.Task(work, loop=self._loop, context=Context(), eager_start=True)
        if task.done():
            self._on_done(task)
        else:
            self._tasks.add(task)
            task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        fault = None if task.cancelled() else task.exception()
        if fault is not None:  # of this server: the peer waits for an answer that never comes
            _log.error("an AMQP connection is closed", exc_info=fault)
            self.end(Error(INTERNAL_ERROR, repr(fault)))

    def assemble(self, size: int) -> None:
        self._partial_bytes += size
        if self._partial_bytes > self._limits.partial_bytes:
            raise ConnectionFailed(RESOURCE_LIMIT, "too many unfinished messages")

    # What the server calls.

    def end(self, error: Error) -> None:
        """Tell the peer why, and close."""
        if self._stage in {_Stage.OPEN, _Stage.OPENED}:
            if self._stage is _Stage.OPEN:  # a close follows an open
                self._write_open()
            self.pipe.write(frame(0, write_close(error)))
        self._finish()

    def stop_reading(self) -> None:
        self.pipe.stop_reading()

    def abort(self) -> None:
        self.pipe.abort()

    async def finish_work(self) -> None:
        """Until what is being sent or settled is answered."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    # What comes in.

    def _read_one(self) -> bool:
        """Whether there was a whole header or frame."""
        if self._stage is _Stage.HEADER or self._stage is _Stage.AMQP_HEADER:
            header = self._reader.read_header()
            if header is not None:
                self._on_header(header)
            return header is not None
        if self._stage is _Stage.ENDED:
            return False
        received = self._reader.read_frame()
        if received is not None:
            self._on_frame(received)
        return received is not None

    def _on_header(self, header: bytes) -> None:
        if header == SASL_HEADER and not self._sasl_done:
            self.pipe.write(SASL_HEADER + frame(0, write_sasl_mechanisms(_MECHANISMS), SASL_FRAME))
            self._stage = _Stage.SASL
        elif header == AMQP_HEADER:
            self.pipe.write(AMQP_HEADER)
            self._stage = _Stage.OPEN
        else:  # the specification's answer: the header that is spoken here, and the end
            self.pipe.write(AMQP_HEADER if self._sasl_done else SASL_HEADER)
            self._finish()

    def _on_frame(self, received: Frame) -> None:
        if received.type != (SASL_FRAME if self._stage is _Stage.SASL else AMQP_FRAME):
            raise DecodeError(f"a frame of type {received.type} has no place here")
        if not received.body:
            return
        performative = parse(received.body)
        if self._stage is _Stage.OPENED:
            self._on_performative(received.channel, performative)
        elif self._stage is _Stage.SASL:
            self._on_sasl(performative)
        else:
            self._on_open(performative)

    def _on_performative(self, channel: int, performative: Performative) -> None:
        if not isinstance(performative, (Open, Begin, Close, SaslInit)):
            self._on_session_frame(channel, performative)
        elif isinstance(performative, Close):
            self.pipe.write(frame(0, write_close()))
            self._finish()
        elif isinstance(performative, Begin):
            self._on_begin(channel, performative)
        else:
            raise ConnectionFailed(NOT_ALLOWED, "the connection is open already")

    def _on_sasl(self, performative: Performative) -> None:
        if not isinstance(performative, SaslInit):
            raise DecodeError("sasl-init is expected")
        if performative.mechanism not in _MECHANISMS:
            self.pipe.write(frame(0, write_sasl_outcome(_SASL_AUTH), SASL_FRAME))
            self._finish()
            return
        self.pipe.write(frame(0, write_sasl_outcome(_SASL_OK), SASL_FRAME))
        self._sasl_done = True
        self._stage = _Stage.AMQP_HEADER

    def _on_open(self, performative: Performative) -> None:
        if not isinstance(performative, Open):
            raise ConnectionFailed(NOT_ALLOWED, "open must be the first")
        if performative.max_frame_size < _MIN_MAX_FRAME_SIZE:
            raise ConnectionFailed(INVALID_FIELD, f"max-frame-size must be {_MIN_MAX_FRAME_SIZE} or more")
        self.max_frame_size = min(performative.max_frame_size, MAX_FRAME_SIZE)
        self._write_open()
        self._stage = _Stage.OPENED
        if performative.idle_timeout_ms:
            # Half of it, as the specification advises; never so often that it is a load.
            self._heartbeat_s = max(performative.idle_timeout_ms / 2000, _MIN_HEARTBEAT_S)
        self._schedule_timer()

    def _on_begin(self, channel: int, begin: Begin) -> None:
        if channel in self._sessions or channel > _CHANNEL_MAX:
            raise ConnectionFailed(NOT_ALLOWED, f"channel {channel} is in use, or above {_CHANNEL_MAX}")
        self._ended_channels.discard(channel)
        self._sessions[channel] = Session(self, channel, begin)

    def _on_session_frame(self, channel: int, performative: Performative) -> None:
        session = self._sessions.get(channel)
        if session is None:
            if channel not in self._ended_channels:
                raise ConnectionFailed(NOT_ALLOWED, f"no session has begun on channel {channel}")
        elif isinstance(performative, End):
            self._end_session(channel, None)
        else:
            try:
                session.handle(performative)
            except SessionFailed as failure:
                self._end_session(channel, failure.error)

    def _end_session(self, channel: int, error: Error | None) -> None:
        session = self._sessions.pop(channel)
        session.ended()
        self._ended_channels.add(channel)
        self.pipe.write(frame(channel, write_end(error)))

    # What goes out.

    def _write_open(self) -> None:
        idle_ms = round(self._limits.idle_s * 1000)
        self.pipe.write(frame(0, write_open(_CONTAINER_ID, MAX_FRAME_SIZE, _CHANNEL_MAX, idle_ms)))

    def _flush_what_was_read(self) -> None:
        while self._flushes:
            flushes, self._flushes = self._flushes, []
            for flush in flushes:
                flush()

    def _on_room(self) -> None:
        for session in list(self._sessions.values()):
            session.on_room()

    def _finish(self) -> None:
        self._stage = _Stage.ENDED
        self._stop_working()
        self.pipe.close()

    def _stop_working(self) -> None:
        for timer in (self._rights_timer, self._timer):
            if timer is not None:
                timer.cancel()
        for session in self._sessions.values():
            session.ended()
        self._sessions.clear()

    # What time brings.

    def _give_up_handshake(self) -> None:
        _log.info("an AMQP connection is closed: its handshake took over %.0f s", self._limits.handshake_s)
        self._finish()

    def _schedule_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        period = self._limits.idle_s / 2
        if self._heartbeat_s is not None:
            period = min(period, self._heartbeat_s / 2)
        self._timer = self._loop.call_later(period, self._on_timer)

    def _on_timer(self) -> None:
        now = self._loop.time()
        if self.pipe.reading and now - self._last_read > 2 * self._limits.idle_s:
            text = f"The connection was inactive for more than the allowed {self._limits.idle_s:.0f} seconds"
            self.end(Error(FORCED, text))
            return
        if self._heartbeat_s is not None and now - self.pipe.last_written >= self._heartbeat_s / 2:
            self.pipe.write(EMPTY_FRAME)
        self._schedule_timer()

    def _watch_rights(self, until: float) -> None:
        """Look at `until`, in epoch seconds, at the latest, whether the links may go on."""
        delay = min(until - self._namespace.clock.time(), _FAR_S)
        if self._rights_timer is not None:
            if self._rights_timer.when() <= self._loop.time() + delay:
                return
            self._rights_timer.cancel()
        self._rights_timer = self._loop.call_later(max(delay, 0) + 0.001, self._check_rights)

    def _check_rights(self) -> None:
        self._rights_timer = None
        now = self._namespace.clock.time()
        for session in list(self._sessions.values()):
            for handle, link in list(session.links.items()):
                until = self._nodes.until(link.node)
                if until <= now:
                    session.detach(handle, Error(UNAUTHORIZED, "ExpiredToken: the token has expired"))
                else:
                    self._watch_rights(until)
