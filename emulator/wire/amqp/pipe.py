"""The bytes of one connection: gathered before they are written, and not read while too many are in hand."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from emulator.metrics import Metrics

_log = logging.getLogger("emulator.wire.amqp")


@dataclass(frozen=True, slots=True)
class Limits:
    """Times are seconds, sizes bytes, of one connection."""

    handshake_s: float = 30.0
    idle_s: float = 240.0
    """What the peer is told; it is given up after twice this."""
    stalled_s: float = 120.0
    """How long a peer may leave unread what was written to it."""
    linger_s: float = 5.0
    """How long a peer may take to read why its connection is closed."""
    work_bytes: int = 4 * 1024 * 1024
    """Of messages that are being sent to the engine: above it the peer is not read from."""
    partial_bytes: int = 16 * 1024 * 1024
    """Of messages of which frames are still to come: above it the connection is closed."""
    unread_bytes: int = 256 * 1024
    """Written, and not read by the peer: above it no more messages are taken for it, nor is it read from."""
    max_unread_bytes: int = 16 * 1024 * 1024
    """Above it the connection is cut."""


class Pipe:
    """`on_room` is called when the peer has read enough for more to be written."""

    def __init__(
        self, transport: asyncio.Transport, limits: Limits, metrics: Metrics, on_room: Callable[[], None]
    ) -> None:
        transport.set_write_buffer_limits(high=limits.unread_bytes)
        self.writable = True
        self._transport = transport
        self._limits = limits
        self._metrics = metrics
        self._on_room = on_room
        self._loop = asyncio.get_running_loop()
        self.last_written = self._loop.time()
        self._outgoing: list[bytes] = []
        self._outgoing_bytes = 0
        self._flush_scheduled = False
        self._work_bytes = 0
        self.reading = True
        self._stopped = False
        self._timer: asyncio.TimerHandle | None = None

    def write(self, data: bytes) -> None:
        """Goes out together with what else is written in this turn of the event loop."""
        if not data:
            return
        self._outgoing.append(data)
        self._outgoing_bytes += len(data)
        if self._outgoing_bytes > self._limits.unread_bytes:
            self.flush()
        elif not self._flush_scheduled:
            self._flush_scheduled = True
            self._loop.call_soon(self._flush_as_scheduled)

    def flush(self) -> None:
        if not self._outgoing:
            return
        data = b"".join(self._outgoing)
        self._outgoing.clear()
        self._outgoing_bytes = 0
        if self._transport.is_closing():
            return
        self.last_written = self._loop.time()
        self._metrics.wire("amqp bytes", len(data))
        self._transport.write(data)
        if self._transport.get_write_buffer_size() > self._limits.max_unread_bytes:
            self._cut("leaves too much unread")

    def pause_writing(self) -> None:
        self.writable = False
        self._pace_reading()
        if self._timer is None:
            self._timer = self._loop.call_later(self._limits.stalled_s, self._cut, "reads nothing")

    def resume_writing(self) -> None:
        self.writable = True
        if self._timer is not None and not self._stopped:
            self._timer.cancel()
            self._timer = None
        self._pace_reading()
        self._on_room()

    def hold(self, size: int) -> None:
        """So many bytes are being worked on."""
        self._work_bytes += size
        if self._work_bytes > self._limits.work_bytes:
            self._pace_reading()

    def let_go(self, size: int) -> None:
        self._work_bytes -= size
        if not self.reading:
            self._pace_reading()

    def stop_reading(self) -> None:
        self._stopped = True
        self._pace_reading()

    def close(self) -> None:
        """Once what was written is read; a peer that reads nothing does not keep it open."""
        self.flush()
        self._stopped = True
        self._transport.close()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(self._limits.linger_s, self._transport.abort)

    def abort(self) -> None:
        self._transport.abort()

    def lost(self) -> None:
        """The peer, or the connection to it."""
        if self._timer is not None:
            self._timer.cancel()
        self._stopped = True
        self._outgoing.clear()

    def _flush_as_scheduled(self) -> None:
        self._flush_scheduled = False
        self.flush()

    def _cut(self, why: str) -> None:
        _log.warning("an AMQP connection is cut: its peer %s", why)
        self._transport.abort()

    def _pace_reading(self) -> None:
        wanted = self.writable and self._work_bytes <= self._limits.work_bytes and not self._stopped
        if wanted != self.reading and not self._transport.is_closing():
            self.reading = wanted
            if wanted:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()
