"""The asyncio tasks of one engine."""

import asyncio
import contextvars
import logging
from collections.abc import Coroutine
from typing import Any

from emulator.store import StoreStopped

log = logging.getLogger("emulator.durable")


class Work:
    def __init__(self) -> None:
        self.running = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._context = contextvars.Context()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` at once up to its first wait; its errors are logged.

        In a context of its own: what caused it has bound its own order, trace and trigger to its context.
        """
        loop = asyncio.get_running_loop()
        task = asyncio.Task(work, loop=loop, eager_start=True, context=self._context.copy())
        if task.done():
            self._ended(task)
        else:
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, StoreStopped):
            log.error("the durable engine failed", exc_info=error)

    async def stop(self, grace: float) -> None:
        """Wait `grace` seconds for what runs, then cancel it."""
        if self._tasks and grace:
            await asyncio.wait(self._tasks, timeout=grace)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
