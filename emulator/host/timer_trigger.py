"""Runs a function on a schedule, once among all instances.

Each timer is a row: when it is due next, and who is running it now. What fell due while nothing ran is made
up for once, flagged past due; a run never overlaps the one before. Times are epoch seconds, schedules UTC.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson
from azure_functions_runtime.bindings.datumdef import Datum
from croniter import CroniterError, croniter

from emulator.clock import Clock
from emulator.host.functions import AppRefused, Function
from emulator.host.invocations import Invocations
from emulator.host.retries import Stopping, pause, run_with_retries
from emulator.store import Store, StoreStopped, Transaction

LEASE_SECONDS = 30.0
"""A run that was not renewed for so long is taken for dead, and another instance makes up for it."""

_log = logging.getLogger("emulator.host")
_PAST_DUE_SECONDS = 5.0
_LONGEST_SLEEP_SECONDS = 60.0
_FAILED_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class _Due:
    at: float
    last: float | None


class Schedule:
    """An NCRONTAB expression: {second} {minute} {hour} {day} {month} {day of week}, 0 is Sunday, UTC."""

    def __init__(self, function: str, expression: str) -> None:
        """Raises AppRefused."""
        self.expression = expression
        if len(expression.split()) != 6:
            raise AppRefused(
                f"function {function}: the schedule {expression!r} must have six fields, seconds first"
            )
        try:
            self.after(0.0)
        except (CroniterError, ValueError) as error:
            raise AppRefused(f"function {function}: the schedule {expression!r}: {error}") from None

    def after(self, moment: float) -> float:
        # NCRONTAB wants day and day of week to hold both, cron either.
        found = croniter(
            self.expression, datetime.fromtimestamp(moment, UTC), second_at_beginning=True, day_or=False
        ).get_next(datetime)
        return float(found.timestamp())


class TimerTrigger:
    """One timer function in one instance."""

    def __init__(
        self,
        function: Function,
        schedule: Schedule,
        *,
        store: Store,
        invocations: Invocations,
        clock: Clock,
        owner: str,
        first_instance: bool,
    ) -> None:
        """`first_instance`: of several, only this one obeys `run_on_startup`."""
        self._function = function
        self._schedule = schedule
        self._store = store
        self._invocations = invocations
        self._clock = clock
        self._owner = owner
        self._on_startup = first_instance and function.trigger.flag("runOnStartup", False)
        self._monitored = function.trigger.flag("useMonitor", True)
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._keep())

    async def drain(self) -> None:
        """Finish the run in hand."""
        self._stopping.set()
        if self._task is not None:
            await asyncio.wait([self._task])

    def stop(self) -> None:
        self._stopping.set()
        if self._task is not None:
            self._task.cancel()

    async def _keep(self) -> None:
        registered = False
        while not self._stopping.is_set():
            try:
                if not registered:
                    await self._store.write(self._register)
                    registered = True
                wait = await self._run_if_due()
            except (Stopping, StoreStopped):
                return
            except sqlite3.Error as error:
                _log.warning("timer %s: %s", self._function.name, error)
                wait = _FAILED_SECONDS
            try:
                await pause(min(wait, _LONGEST_SLEEP_SECONDS), self._stopping)
            except Stopping:
                return

    def _register(self, transaction: Transaction) -> None:
        now = self._clock.time()
        name, expression = self._function.name, self._schedule.expression
        row = transaction.execute("SELECT schedule FROM host_timers WHERE function = ?", (name,)).fetchone()
        upcoming = self._schedule.after(now)
        if row is None:
            transaction.execute(
                "INSERT INTO host_timers (function, schedule, next) VALUES (?, ?, ?)",
                (name, expression, upcoming),
            )
        elif row[0] != expression or not self._monitored:
            transaction.execute(
                "UPDATE host_timers SET schedule = ?, next = ? WHERE function = ?",
                (expression, upcoming, name),
            )

    async def _run_if_due(self) -> float:
        """Returns the seconds until it is worth looking again."""
        due = await self._store.write(self._claim)
        if isinstance(due, float):
            return due - self._clock.time()
        self._on_startup = False
        await self._run(due)
        await self._store.write(self._finish)
        return 0.0

    def _claim(self, transaction: Transaction) -> _Due | float:
        """What is to be run now, by this instance; or when to look again."""
        now = self._clock.time()
        upcoming, last, owner, leased_until = transaction.execute(
            "SELECT next, last, owner, leased_until FROM host_timers WHERE function = ?",
            (self._function.name,),
        ).fetchone()
        # A lease in this instance's own name is that of an earlier life, which is over.
        if owner not in {"", self._owner} and leased_until > now:
            return float(leased_until)
        if upcoming > now and not self._on_startup:
            return float(upcoming)
        if self._on_startup:
            upcoming = min(upcoming, now)
        transaction.execute(
            "UPDATE host_timers SET owner = ?, leased_until = ? WHERE function = ?",
            (self._owner, now + LEASE_SECONDS, self._function.name),
        )
        return _Due(upcoming, last)

    async def _run(self, due: _Due) -> None:
        run = asyncio.get_running_loop().create_task(
            run_with_retries(self._invocations, self._function, self._inputs(due), self._stopping)
        )
        try:
            while not run.done():
                await asyncio.wait([run], timeout=LEASE_SECONDS / 3)
                if not run.done():
                    await self._store.write(self._renew)
            run.result()
        finally:
            run.cancel()

    def _renew(self, transaction: Transaction) -> None:
        transaction.execute(
            "UPDATE host_timers SET leased_until = ? WHERE function = ? AND owner = ?",
            (self._clock.time() + LEASE_SECONDS, self._function.name, self._owner),
        )

    def _finish(self, transaction: Transaction) -> None:
        now = self._clock.time()
        transaction.execute(
            "UPDATE host_timers SET last = ?, next = ?, owner = '', leased_until = 0 "
            "WHERE function = ? AND owner = ?",
            (now, self._schedule.after(now), self._function.name, self._owner),
        )

    def _inputs(self, due: _Due) -> list[tuple[str, Datum]]:
        now = self._clock.time()
        value = {
            "Schedule": {"AdjustForDST": True},
            "ScheduleStatus": {
                "Last": _iso(due.last or 0.0),
                "Next": _iso(self._schedule.after(now)),
                "LastUpdated": _iso(due.last or 0.0),
            },
            "IsPastDue": now - due.at > _PAST_DUE_SECONDS,
        }
        return [(self._function.trigger.name, Datum(orjson.dumps(value).decode(), "json"))]


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()
