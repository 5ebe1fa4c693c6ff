"""Runs orchestrations and their activities on the store, beside other engines on the same file.

An episode needs no lease: it has no effect before its one write, and that write fails when another was
faster (`commit.Conflict`). An activity has effects, so it is leased (`activities.py`). What a write of this
engine made ready is known in memory; what others made ready is found when they say so, and by a regular
scan as the net.
"""

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from random import Random

from emulator.clock import Clock
from emulator.durable import commit, episode, history, http_api
from emulator.durable.activities import Activities
from emulator.durable.commit import WAKE_ACTIVITIES, WAKE_ORCHESTRATIONS, Conflict, LeaseLost
from emulator.durable.episode import Inbox, Outcome
from emulator.durable.instance import (
    FINISHED,
    PENDING,
    RUNNING,
    SUSPENDED,
    Instance,
    Waiting,
    load,
    read_waiting,
)
from emulator.durable.invoker import Invoker
from emulator.durable.tasks import ActivityTask, EndedActivity
from emulator.durable.timers import Timers
from emulator.durable.work import Work
from emulator.http import HttpAnswer
from emulator.metrics import Metrics
from emulator.store import Store, StoreStopped, Transaction

log = logging.getLogger("emulator.durable")

_SCAN_LIMIT = 1000
_RETRY_SECONDS = 1.0
_WAITING = "SELECT instance_id FROM durable_messages WHERE sequence <= ? ORDER BY sequence LIMIT ?"
_REMEMBERED = 2000
"""Instances whose history stays in memory between episodes."""


@dataclass(frozen=True)
class DurableOptions:
    """From host.json; the defaults are those of a plan with one core."""

    task_hub: str = "emulator"
    max_concurrent_activities: int = 10
    max_concurrent_orchestrators: int = 10
    default_version: str | None = None
    scan_s: float = 1.0
    """How soon what other processes left is found, also when none of them said so."""


class DurableEngine:
    def __init__(
        self,
        store: Store,
        clock: Clock,
        random: Random,
        metrics: Metrics,
        invoker: Invoker,
        options: DurableOptions,
        owner: str,
    ) -> None:
        """`owner` names this process among those on the same file, and is its own after a restart."""
        self.store = store
        self.clock = clock
        self.random = random
        self.metrics = metrics
        self.invoker = invoker
        self.options = options
        self.work = Work()
        self._activities = Activities(
            store,
            clock,
            invoker,
            limit=options.max_concurrent_activities,
            owner=owner,
            work=self.work,
            ended=self._activity_ended,
        )
        self._timers = Timers(store, clock, self.work, self.ready, self.ask_for_help)
        self._ready: deque[str] = deque()
        self._queued: set[str] = set()
        self._busy: set[str] = set()
        self._again: set[str] = set()
        self._draining = False
        self._ended: dict[str, list[EndedActivity]] = {}
        self._instances: OrderedDict[str, Instance] = OrderedDict()
        self._listening = False
        self._scanner: asyncio.TimerHandle | None = None
        self._scanned_to = 0

    async def start(self) -> None:
        """Take up what was left by a process of this owner's name, or by a dead one."""
        self.work.running = True
        if not self._listening:
            self._listening = True
            self.store.listen(WAKE_ORCHESTRATIONS, self._on_orchestrations)
            self.store.listen(WAKE_ACTIVITIES, self._on_activities)
        await self._activities.release(self._activities.owner)
        self._take_waiting(_WAITING, 1 << 62, _SCAN_LIMIT)
        self._activities.claim_soon()
        self._timers.look()
        self._scan_later()

    async def stop(self, grace: float = 0.0) -> None:
        """Let what runs end for `grace` seconds, then cancel it: an activity cancelled so is run again.

        On a store that has crashed nothing is written: the leases end by themselves, as after a kill.
        """
        self.work.running = False
        if self._scanner is not None:
            self._scanner.cancel()
        self._timers.stop()
        self._ready.clear()
        self._queued.clear()
        await self.work.stop(grace)
        try:
            self.store.read("SELECT 1")
        except StoreStopped:
            return
        await self._record_ended(*chain.from_iterable(self._ended.values()))
        await self._activities.release(self._activities.owner)

    async def release(self, owner: str) -> None:
        """Give back what `owner`, a process that is known to be dead, has leased."""
        await self._activities.release(owner)

    def ready(self, instance_id: str) -> None:
        """Events wait for this instance."""
        if instance_id in self._busy:
            self._again.add(instance_id)
        elif instance_id not in self._queued and self.work.running:
            self._queued.add(instance_id)
            self._ready.append(instance_id)
            self._drain_soon()

    def ask_for_help(self, transaction: Transaction) -> None:
        """Part of a write that leaves events: tell the others when there is no free place here."""
        if self._free() <= len(self._ready):
            transaction.wake(WAKE_ORCHESTRATIONS)

    async def handle_http(
        self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes
    ) -> HttpAnswer:
        """Serve `http_api.ROOT`. `path` is not decoded; header names are in lower case."""
        return await http_api.handle_http(self, method, path, query, headers, body)

    def client_binding(self, base_url: str) -> str:
        """The JSON datum of a `durableClient` binding; `base_url` without a slash at its end."""
        return http_api.client_binding(self.options.task_hub, base_url)

    # --- dispatch

    def _drain_soon(self) -> None:
        if not self._draining:
            self._draining = True
            asyncio.get_running_loop().call_soon(self._drain)

    def _drain(self) -> None:
        """Start an episode for each ready instance that has a place; one read for all of them."""
        self._draining = False
        free = self._free()
        if not self._ready or free <= 0:
            return
        ids = [self._ready.popleft() for _ in range(min(free, len(self._ready)))]
        self._queued.difference_update(ids)
        self._busy.update(ids)
        try:
            found = read_waiting(self.store, ids)
        except StoreStopped:
            return
        for instance_id in ids:
            self.work.start(self._serve(instance_id, found.get(instance_id)))

    def _free(self) -> int:
        return self.options.max_concurrent_orchestrators - len(self._busy) if self.work.running else 0

    def _on_orchestrations(self) -> bool:
        """An engine without a free place has left events. The newest, because it begins with the oldest."""
        free = self._free() - len(self._ready)
        if free > 0:
            self._take_waiting(
                "SELECT instance_id FROM durable_messages ORDER BY sequence DESC LIMIT ?", free
            )
        return free > 0

    def _on_activities(self) -> bool:
        if not self.work.running:
            return False
        self._activities.claim_soon()
        return self._activities.free() > 0

    def _take_waiting(self, sql: str, *parameters: int) -> None:
        for (instance_id,) in self.store.read(sql, parameters):
            self.ready(instance_id)

    def _scan_later(self) -> None:
        self._scanner = asyncio.get_running_loop().call_later(
            self.options.scan_s, lambda: self.work.start(self._scan())
        )

    async def _scan(self) -> None:
        """The net: what has waited since the scan before was lost by whoever was told of it."""
        try:
            if self._free() > 0:
                self._take_waiting(_WAITING, self._scanned_to, _SCAN_LIMIT)
            self._scanned_to = self.store.read("SELECT coalesce(max(sequence), 0) FROM durable_messages")[0][
                0
            ]
            self._timers.look()
            await self._activities.scan()
        except StoreStopped:
            return
        if self.work.running:
            self._scan_later()

    def _activity_ended(self, ended: EndedActivity) -> None:
        self.metrics.durable_action("activity")
        instance_id = ended.task.instance_id
        instance = self._instances.get(instance_id)
        if (
            ended.succeeded
            and instance is not None
            and instance.execution_id == ended.task.execution_id
            and instance_id not in self._busy
            and instance_id not in self._queued
            and instance.patience.waits_on(ended.task.task_id)
        ):
            self.work.start(self._leave(ended, instance))
            return
        self._ended.setdefault(instance_id, []).append(ended)
        self.ready(instance_id)

    async def _leave(self, ended: EndedActivity, instance: Instance) -> None:
        """Record it for the episode that something else will lead to; see `replay.Patience`."""
        instance_id, state = instance.instance_id, (instance.execution_id, instance.episode)
        await self._record_ended(ended, patient=True)
        found = self.store.read(
            "SELECT execution_id, episode FROM durable_instances WHERE instance_id = ?", (instance_id,)
        )
        if instance_id in self._busy or found != [state]:
            self.ready(instance_id)  # the episode came first, here or in another process

    async def _record_ended(self, *activities: EndedActivity, patient: bool = False) -> None:
        for ended in activities:

            def work(transaction: Transaction, ended: EndedActivity = ended) -> None:
                if not patient:
                    self.ask_for_help(transaction)
                commit.record_ended(transaction, ended, self._activities.owner)

            try:
                await self.store.write(work)
            except LeaseLost:
                continue  # whoever has the lease now tells the same

    # --- one episode

    async def _serve(self, instance_id: str, waiting: Waiting | None) -> None:
        """Run an episode, then make room for the next. `waiting` is None when there is no such instance."""
        ended = self._ended.pop(instance_id, [])
        try:
            await self._episode(instance_id, waiting, ended)
            ended = []
        except StoreStopped:
            return
        except Conflict:
            self._instances.pop(instance_id, None)
            self._again.add(instance_id)
        except LeaseLost as lost:
            ended.remove(next(activity for activity in ended if activity.task is lost.task))
            self._again.add(instance_id)
        except Exception:
            # A fault of the host or of the disk, not of the orchestrator: its events wait.
            log.exception("an episode of %s could not be run", instance_id)
            self._instances.pop(instance_id, None)
            asyncio.get_running_loop().call_later(_RETRY_SECONDS, self.ready, instance_id)
        finally:
            self._busy.discard(instance_id)
            if ended:
                self._ended[instance_id] = ended + self._ended.get(instance_id, [])
        if instance_id in self._again:
            self._again.discard(instance_id)
            self.ready(instance_id)
        elif self._ready:
            self._drain_soon()

    async def _episode(self, instance_id: str, waiting: Waiting | None, ended: list[EndedActivity]) -> None:
        instance = None if waiting is None else self._known(instance_id, waiting)
        if waiting is None or instance is None or instance.status in FINISHED:
            await self._record_ended(*ended)
            return
        inbox = episode.sort_messages(instance, waiting.messages, ended)
        if not ended and len(inbox.left) == len(waiting.messages):
            return
        at = history.timestamp(self.clock.time())
        status = SUSPENDED if inbox.suspended else RUNNING
        if inbox.terminated is not None:
            outcome = episode.terminated(instance, inbox.terminated, at)
        elif inbox.run:
            outcome = await episode.run(instance, inbox.run, at, self.invoker)
            if outcome.status == RUNNING:
                outcome.status = status
        else:
            if not instance.past and not inbox.suspended:
                status = PENDING
            outcome = Outcome(status, instance.custom_status)
        await self._commit(instance, outcome, inbox)

    def _known(self, instance_id: str, waiting: Waiting) -> Instance | None:
        """The instance as of the last commit."""
        instance = self._instances.get(instance_id)
        if instance is None or (instance.execution_id, instance.episode) != waiting.state:
            return load(self.store, instance_id)
        return instance

    async def _commit(self, instance: Instance, outcome: Outcome, inbox: Inbox) -> None:
        held = self._activities.hold(len(outcome.activities)) if outcome.activities else 0
        tasks: list[ActivityTask] = []

        def work(transaction: Transaction) -> list[ActivityTask]:
            if outcome.continued_input is not None or outcome.sub_orchestrations or instance.parent:
                self.ask_for_help(transaction)
            if held:
                self._activities.lease(transaction)
            return commit.commit_episode(
                transaction,
                instance,
                outcome,
                inbox,
                now=self.clock.time(),
                owner=self._activities.owner,
                own=held,
                default_version=self.options.default_version,
                random=self.random,
            )

        try:
            tasks = await self.store.write(work)
        finally:
            self._activities.let_go(held - len(tasks))
        self._activities.run(tasks)
        self._after_commit(instance, outcome)

    def _after_commit(self, instance: Instance, outcome: Outcome) -> None:
        instance_id = instance.instance_id
        self._count(outcome)
        if outcome.timers and outcome.status not in FINISHED:
            self._timers.expect(min(history.seconds(timer.fire_at) for timer in outcome.timers))
        for child in outcome.sub_orchestrations:
            self.ready(episode.child_id(instance, child))
        if outcome.status in FINISHED:
            self._instances.pop(instance_id, None)
            if instance.parent is not None:
                self.ready(instance.parent.instance_id)
        elif outcome.continued_input is not None:
            self._instances.pop(instance_id, None)
            self._again.add(instance_id)
        else:
            instance.episode += 1
            instance.status = outcome.status
            instance.custom_status = outcome.custom_status
            instance.patience = outcome.patience
            if outcome.new:
                instance.append(outcome.new, outcome.events)
            self.remember(instance)

    def remember(self, instance: Instance) -> None:
        """As it is after the last commit."""
        self._instances[instance.instance_id] = instance
        self._instances.move_to_end(instance.instance_id)
        if len(self._instances) > _REMEMBERED:
            self._instances.popitem(last=False)

    def _count(self, outcome: Outcome) -> None:
        for kind, decisions in (
            ("activity", outcome.activities),
            ("timer", outcome.timers),
            ("sub-orchestration", outcome.sub_orchestrations),
        ):
            for _ in decisions:
                self.metrics.durable_action(kind)
