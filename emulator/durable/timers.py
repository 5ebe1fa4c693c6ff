"""Durable timers: one asyncio timer, set for the next moment at which a row is due."""

import asyncio
from collections.abc import Callable

from emulator.clock import Clock
from emulator.durable import commit, history
from emulator.durable.work import Work
from emulator.store import Store, StoreStopped, Transaction

_AT_ONCE = 500
_EARLIEST_SECONDS = 0.001
"""An asyncio timer may go off a rounding error early: then once more, a moment later."""


class Timers:
    def __init__(
        self,
        store: Store,
        clock: Clock,
        work: Work,
        ready: Callable[[str], None],
        ask_for_help: Callable[[Transaction], None],
    ) -> None:
        self._store = store
        self._clock = clock
        self._work = work
        self._ready = ready
        self._ask_for_help = ask_for_help
        self._handle: asyncio.TimerHandle | None = None
        self._due = float("inf")
        self._firing = False

    def expect(self, due: float) -> None:
        """A timer is due at `due` (seconds since the epoch)."""
        if due < self._due and not self._firing:
            self.stop()
            self._due = due
            delay = max(due - self._clock.time(), _EARLIEST_SECONDS)
            self._handle = asyncio.get_running_loop().call_later(delay, self._go_off)

    def look(self) -> None:
        """Set the asyncio timer for the next row that is due, another process's included.

        Raises StoreStopped.
        """
        rows = self._store.read("SELECT due FROM durable_timers ORDER BY due LIMIT 1")
        if rows:
            self.expect(rows[0][0])

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._handle = None
        self._due = float("inf")

    def _go_off(self) -> None:
        self._handle = None
        self._due = float("inf")
        if self._work.running:
            self._firing = True
            self._work.start(self._fire())

    async def _fire(self) -> None:
        try:
            # Most timers lose their race and are gone by now: look before a write is spent on them.
            while self._work.running and self._store.read(
                "SELECT 1 FROM durable_timers WHERE due <= ? LIMIT 1", (self._clock.time(),)
            ):
                for instance_id in await self._store.write(self._fire_due):
                    self._ready(instance_id)
            self._firing = False
            self.look()
        except StoreStopped:
            return
        finally:
            self._firing = False

    def _fire_due(self, transaction: Transaction) -> list[str]:
        now = self._clock.time()
        rows = transaction.execute(
            "SELECT instance_id, task_id, execution_id, fire_at FROM durable_timers WHERE due <= ? "
            "ORDER BY due LIMIT ?",
            (now, _AT_ONCE),
        ).fetchall()
        if rows:
            self._ask_for_help(transaction)
        at = history.timestamp(now)
        for instance_id, task_id, execution_id, fire_at in rows:
            transaction.execute(
                "DELETE FROM durable_timers WHERE instance_id = ? AND task_id = ?", (instance_id, task_id)
            )
            commit.send(transaction, instance_id, execution_id, history.timer_fired(at, task_id, fire_at))
        return [row[0] for row in rows]
