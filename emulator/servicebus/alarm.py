"""One timer for everything that falls due."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from emulator.clock import Clock
from emulator.servicebus.schema import NEVER
from emulator.store import StoreStopped

logger = logging.getLogger(__name__)


class Alarm:
    """Rings at the earliest moment it was told of.

    And at least each `scan_s`, for what other processes left.
    """

    def __init__(self, clock: Clock, ring: Callable[[], Awaitable[int]], scan_s: float) -> None:
        """`ring` does what is due and returns when the next thing is, in epoch milliseconds."""
        self._clock = clock
        self._ring = ring
        self._scan_ms = round(scan_s * 1000)
        self._at = NEVER
        self._timer: asyncio.TimerHandle | None = None
        self._ringing: asyncio.Task[None] | None = None
        self._running = False

    def start(self, due_ms: int) -> None:
        self._running = True
        self._arm(due_ms)

    async def stop(self) -> None:
        self._running = False
        if self._timer is not None:
            self._timer.cancel()
        if self._ringing is not None:
            # Not awaited to its end: the write of a store that has crashed never ends.
            self._ringing.cancel()
            await asyncio.wait([self._ringing])

    def set(self, due_ms: int) -> None:
        """Something falls due then. Costs a comparison, unless it is earlier than all that was known."""
        if due_ms < self._at and self._running and self._ringing is None:
            self._arm(due_ms)
        elif self._ringing is not None:
            self._at = min(self._at, due_ms)

    def _arm(self, due_ms: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        now = self._clock.time() * 1000
        self._at = round(min(due_ms, now + self._scan_ms))
        # The millisecond in which it falls due must have begun.
        delay_s = max(self._at - now, 0) / 1000 + 0.001
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._start_ringing)

    def _start_ringing(self) -> None:
        self._timer = None
        self._at = NEVER
        self._ringing = asyncio.get_running_loop().create_task(self._do_what_is_due())

    async def _do_what_is_due(self) -> None:
        due_ms = NEVER
        try:
            due_ms = await self._ring()
        except StoreStopped:
            self._running = False
        except Exception:  # the disk is full, the file is gone: said here, and tried again at the next scan
            logger.exception("what is due in the queues could not be done, it is tried again")
        finally:
            self._ringing = None
            if self._running:
                self._arm(min(due_ms, self._at))
