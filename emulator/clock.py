"""Time as a parameter of every engine."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    def time(self) -> float:
        """Seconds since the epoch."""
        ...


class SystemClock(Clock):
    def time(self) -> float:
        return time.time()


class LoopClock(Clock):
    """The epoch plus the running event loop's own time; on a `SimulatedLoop` it jumps to the next timer."""

    def __init__(self, loop: asyncio.AbstractEventLoop, start: float = 1_800_000_000.0) -> None:
        self._loop = loop
        self._start = start

    def time(self) -> float:
        return self._start + self._loop.time()
