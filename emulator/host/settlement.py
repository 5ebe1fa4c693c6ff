"""Completes and abandons messages: all that ended in one turn of the event loop go in one call."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Sequence

from emulator.servicebus.engine import ServiceBusEngine
from emulator.servicebus.errors import MessageLockLost, ServiceBusError
from emulator.store import StoreStopped

_log = logging.getLogger("emulator.host")


class Settlement:
    def __init__(self, bus: ServiceBusEngine, path: str, settled: Callable[[Sequence[str]], None]) -> None:
        """`settled` gets the lock tokens once the broker has answered for them, whatever it said."""
        self._path = path
        self._settled = settled
        self._waiting: dict[Callable[[str, Sequence[str]], Awaitable[None]], list[str]] = {
            bus.complete: [],
            bus.abandon: [],
        }
        self._bus = bus
        self._flushing = False
        self._tasks: set[asyncio.Task[None]] = set()

    def complete(self, tokens: Sequence[str]) -> None:
        self._waiting[self._bus.complete].extend(tokens)
        self._flush_soon()

    def abandon(self, tokens: Sequence[str]) -> None:
        self._waiting[self._bus.abandon].extend(tokens)
        self._flush_soon()

    def stop(self) -> None:
        """Answer for nothing any more: what is not settled comes again when its lock ends."""
        for task in self._tasks:
            task.cancel()

    def _flush_soon(self) -> None:
        if not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        for settle, tokens in self._waiting.items():
            if tokens:
                self._waiting[settle] = []
                task = asyncio.Task(
                    self._settle(settle, tokens), loop=asyncio.get_running_loop(), eager_start=True
                )
                if not task.done():
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)

    async def _settle(
        self, settle: Callable[[str, Sequence[str]], Awaitable[None]], tokens: Sequence[str]
    ) -> None:
        try:
            await settle(self._path, tokens)
        except StoreStopped:
            pass  # they come again after the next start
        except MessageLockLost as lost:
            _log.warning("%s: %d messages come again, their locks had ended", self._path, len(lost.tokens))
        except (ServiceBusError, sqlite3.Error) as error:
            _log.warning("%s: %d messages not settled, they come again: %s", self._path, len(tokens), error)
        self._settled(tokens)
