"""Runs activities, at least once.

A task is leased to an owner, and free again when the owner's lease has ended.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from functools import partial

from emulator.clock import Clock
from emulator.durable import history
from emulator.durable.commit import WAKE_ACTIVITIES
from emulator.durable.invoker import FunctionFailed, Invoker
from emulator.durable.tasks import ActivityTask, EndedActivity
from emulator.durable.work import Work
from emulator.store import Store, Transaction

log = logging.getLogger("emulator.durable")

_LEASE_SECONDS = 10.0
_RENEW_SECONDS = 3.0
_RETRY_SECONDS = 1.0


class Activities:
    def __init__(
        self,
        store: Store,
        clock: Clock,
        invoker: Invoker,
        *,
        limit: int,
        owner: str,
        work: Work,
        ended: Callable[[EndedActivity], None],
    ) -> None:
        """`ended` is given each activity that has ended, to be recorded with the episode that it leads to."""
        self._store = store
        self._clock = clock
        self._invoker = invoker
        self._limit = limit
        self.owner = owner
        self._work = work
        self._ended = ended
        self._held = 0
        self._leased_until = 0.0
        self._maybe_waiting = False
        self._claiming = False

    def free(self) -> int:
        return self._limit - self._held

    def hold(self, wanted: int) -> int:
        """Take up to so many of the free places."""
        held = min(wanted, self.free())
        self._held += held
        return held

    def let_go(self, number: int) -> None:
        """Give back places that `hold` took and that no task needs any more."""
        self._held -= number
        if number and self._maybe_waiting:
            self.claim_soon()

    def lease(self, transaction: Transaction) -> None:
        """Part of every write that gives this owner a task: says that the owner lives."""
        self._leased_until = self._clock.time() + _LEASE_SECONDS
        transaction.execute(
            "INSERT INTO durable_owners VALUES (?, ?) "
            "ON CONFLICT (owner) DO UPDATE SET expires = excluded.expires",
            (self.owner, self._leased_until),
        )

    def run(self, tasks: Iterable[ActivityTask]) -> None:
        """Start tasks that are leased to this owner and have a held place each."""
        for task in tasks:
            self._work.start(self._run(task))

    async def _run(self, task: ActivityTask) -> None:
        try:
            result = await self._invoker.run_activity(
                task.name, task.input, task.instance_id, task.traceparent
            )
            event = history.task_completed(history.timestamp(self._clock.time()), task.task_id, result)
            succeeded = True
        except FunctionFailed as failure:
            reason = f"Activity function '{task.name}' failed: {failure.message}"
            at = history.timestamp(self._clock.time())
            event = history.task_failed(at, task.task_id, reason, failure.details)
            succeeded = False
        except Exception:
            # A fault of the host, not of the function: the task is given back and run again.
            log.exception("activity %s of %s could not be run", task.name, task.instance_id)
            await self._give_back(task)
            return
        finally:
            self.let_go(1)
        self._ended(EndedActivity(task, event, succeeded))

    async def _give_back(self, task: ActivityTask) -> None:
        await asyncio.sleep(_RETRY_SECONDS)

        def work(transaction: Transaction) -> None:
            transaction.execute(
                "UPDATE durable_tasks SET owner = NULL WHERE sequence = ? AND owner = ?",
                (task.sequence, self.owner),
            )
            transaction.wake(WAKE_ACTIVITIES)

        await self._store.write(work)

    # --- finding work

    def claim_soon(self) -> None:
        """There may be tasks that nobody has leased."""
        self._maybe_waiting = True
        if not self._claiming and self.free() > 0:
            self._claiming = True
            self._work.start(self._claim())

    async def _claim(self) -> None:
        try:
            while self._maybe_waiting and self.free() > 0:
                wanted = self.hold(self.free())
                tasks: list[ActivityTask] = []
                try:
                    tasks = await self._store.write(partial(self._take, limit=wanted))
                finally:
                    self._maybe_waiting = len(tasks) == wanted
                    self._held -= wanted - len(tasks)
                self.run(tasks)
        finally:
            self._claiming = False

    def _take(self, transaction: Transaction, limit: int) -> list[ActivityTask]:
        rows = transaction.execute(
            "UPDATE durable_tasks SET owner = ? WHERE sequence IN "
            "(SELECT sequence FROM durable_tasks WHERE owner IS NULL ORDER BY sequence LIMIT ?) "
            "RETURNING sequence, instance_id, execution_id, task_id, name, input, traceparent",
            (self.owner, limit),
        ).fetchall()
        if rows:
            self.lease(transaction)
        return sorted((ActivityTask(*row) for row in rows), key=lambda task: task.sequence)

    async def scan(self) -> None:
        """Renew this owner's lease; free what dead owners have leased."""
        now = self._clock.time()
        if self._held and self._leased_until - now < _LEASE_SECONDS - _RENEW_SECONDS:
            await self._store.write(self.lease)
        dead = self._store.read(
            "SELECT DISTINCT owner FROM durable_tasks WHERE owner IS NOT NULL "
            "AND owner NOT IN (SELECT owner FROM durable_owners WHERE expires > ?)",
            (now,),
        )
        for (owner,) in dead:
            await self.release(owner)
        if self.free() > 0 and self._store.read("SELECT 1 FROM durable_tasks WHERE owner IS NULL LIMIT 1"):
            self.claim_soon()

    async def release(self, owner: str) -> None:
        """Give back what `owner` has leased; for an owner that is dead, or this one when it stops."""

        def work(transaction: Transaction) -> None:
            transaction.execute("DELETE FROM durable_owners WHERE owner = ?", (owner,))
            freed = transaction.execute("UPDATE durable_tasks SET owner = NULL WHERE owner = ?", (owner,))
            if freed.rowcount:
                transaction.wake(WAKE_ACTIVITIES)

        if owner == self.owner:
            self._leased_until = 0.0
        await self._store.write(work)
