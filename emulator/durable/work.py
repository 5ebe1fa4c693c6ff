"""The asyncio tasks of one engine, and which wake-ups came from its own writes."""

import asyncio
import logging
from collections.abc import Coroutine
from contextvars import Context
from typing import Any

log = logging.getLogger("emulator.durable")


class Work:
    def __init__(self) -> None:
        self.running = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._mine = False

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` at once up to its first wait, in a context of its own; its errors are logged."""
        task = asyncio.Task(work, loop=asyncio.get_running_loop(), context=Context(), eager_start=True)
        if task.done():
            self._ended(task)
        else:
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("the durable engine failed", exc_info=error)

    async def stop(self, grace: float) -> None:
        """Wait `grace` seconds for what runs, then cancel it."""
        if self._tasks and grace:
            await asyncio.wait(self._tasks, timeout=grace)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def mine(self) -> None:
        """Called within a write that wakes: this engine knows by itself what became ready."""
        self._mine = True

    def was_mine(self) -> bool:
        """Called by a listener: did the commit hold a write of this engine?"""
        mine, self._mine = self._mine, False
        return mine
