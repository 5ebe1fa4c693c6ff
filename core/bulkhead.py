"""Bounds how many calls to one provider are made at once, and how many wait for their turn."""

import asyncio

from core.outside_call import NotSent

FULL_S = 1.0
"""After how long those who found the queue full come again."""


class BulkheadFull(NotSent):
    """As many calls to this provider are under way, and wait, as may."""


class Bulkhead:
    def __init__(self, name: str, concurrency: int, queue: int) -> None:
        self._name = name
        self._concurrency = concurrency
        self._queue = queue
        self._slots = asyncio.Semaphore(concurrency)
        self.running = 0
        self.waiting = 0

    async def enter(self, patience_s: float) -> None:
        """Raises BulkheadFull: at once when the queue is full, or after `patience_s` in it."""
        if self._slots.locked():
            if self.waiting >= self._queue:
                raise BulkheadFull(
                    f"{self._name}: {self.running} calls under way, {self.waiting} wait", FULL_S
                )
            self.waiting += 1
            try:
                async with asyncio.timeout(patience_s):
                    await self._slots.acquire()
            except TimeoutError as error:
                raise BulkheadFull(f"{self._name}: no turn within {patience_s:.1f} s", FULL_S) from error
            finally:
                self.waiting -= 1
        else:
            await self._slots.acquire()  # does not wait
        self.running += 1

    def leave(self) -> None:
        self.running -= 1
        self._slots.release()
