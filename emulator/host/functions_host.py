"""One instance of the functions host: the app's triggers on the engines, until it is drained or stopped."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping
from contextvars import Context
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from emulator import blobs
from emulator.durable.engine import DurableEngine
from emulator.engines import Engines
from emulator.host.app import App
from emulator.host.cosmos_trigger import CosmosTrigger, feed_options
from emulator.host.durable_invoker import DurableInvoker
from emulator.host.functions import AppRefused, Function
from emulator.host.http_trigger import run_http_function
from emulator.host.invocations import Invocations
from emulator.host.service_bus_trigger import ServiceBusTrigger, entity_path
from emulator.host.settings import resolve
from emulator.host.timer_trigger import Schedule, TimerTrigger
from emulator.http import HttpAnswer
from emulator.servicebus.entities import paths
from emulator.wire import storage

DURABLE_PATH = "/runtime/webhooks/durabletask/"
FEED_PACE_S = 0.3


@dataclass(frozen=True, slots=True)
class HostOptions:
    owner: str = "instance-0"
    """Names this instance in locks and leases: unique among those that run, the same after a restart."""
    base_url: str = "http://127.0.0.1:7071"
    first_instance: bool = True
    """Of several instances only the first obeys a timer's `run_on_startup`."""
    feed_pace_s: float | None = None
    """Batches of one feed range begin at least so long apart, so that under load they are larger. None: the
    `feedPollDelay` of each function, FEED_PACE_S for one without; a number holds for all of them."""
    scan_s: float = 1.0
    """How soon work is found of which nobody was told: the net under wake-ups, which processes may lose."""
    fast_timestamps: bool = True
    in_process_rpc: bool = True
    storage_key: str | None = None
    """Of the Blob Storage endpoint, in base64; None when there is none."""


class FunctionsHost:
    def __init__(self, app: App, engines: Engines, settings: Mapping[str, str], options: HostOptions) -> None:
        """Raises AppRefused for a setting, queue or container that a trigger names and that is not there."""
        self._app = app
        self._engines = engines
        self._settings = settings
        self._options = options
        self._durable: DurableEngine | None = None
        key = options.storage_key
        self._storage = None if key is None else storage.BlobStorage(engines.blobs, key, engines.clock)
        self._scanner: asyncio.Task[None] | None = None
        self.invocations = Invocations(engines.random)
        self.invoker = DurableInvoker(app.functions, self.invocations)
        self._queues = [self._service_bus(each) for each in app.functions if _is(each, "serviceBusTrigger")]
        self._feeds = [self._cosmos(each) for each in app.functions if _is(each, "cosmosDBTrigger")]
        self._timers = [self._timer(each) for each in app.functions if _is(each, "timerTrigger")]

    async def start(self, durable: DurableEngine | None) -> None:
        """The engines are running; `durable` is there when the app needs it."""
        self._durable = durable
        if durable is not None:
            self.invocations.give_clients(durable.client_binding(self._options.base_url))
        for queue in self._queues:
            self._engines.store.listen(f"queue:{queue.path}", queue.wake)
        for feed in self._feeds:
            feed.start()
        for timer in self._timers:
            timer.start()
        self._scanner = asyncio.get_running_loop().create_task(self._scan())

    async def request(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> HttpAnswer:
        """An HTTP request, however it came here. `url` is absolute; header names are in lower case."""
        parts = urlsplit(url)
        headers = headers or {}
        if parts.path.startswith(DURABLE_PATH):
            if self._durable is None:
                return HttpAnswer(404)
            query = dict(parse_qsl(parts.query, keep_blank_values=True))
            return await self._durable.handle_http(method, parts.path, query, headers, body)
        match = self._app.routes.find(method, parts.path)
        if match is None:
            return self._read_or_store_a_file(method, url, headers, body)
        work = run_http_function(self.invocations, match, method=method, url=url, headers=headers, body=body)
        # In a context of its own: what a function leaves in its context variables must not meet the next
        # request of the same connection.
        return await asyncio.Task(work, loop=asyncio.get_running_loop(), context=Context(), eager_start=True)

    def _read_or_store_a_file(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> HttpAnswer:
        parts = urlsplit(url)
        try:
            if parts.path.startswith(blobs.PATH):
                return self._engines.blobs.answer(method, parts.path, parts.query)
            if self._storage is not None and parts.path.startswith(storage.PATH):
                return self._storage.answer(method, url, headers, body)
        except sqlite3.Error as error:
            return HttpAnswer(503, body=f"the blobs cannot be used: {error}".encode())
        return HttpAnswer(404)

    async def drain(self) -> None:
        """Take no more work and finish what is in hand."""
        self._stop_scanning()
        await asyncio.gather(*(trigger.drain() for trigger in self._triggers()))

    def stop(self) -> None:
        """At once, as a killed process would."""
        self._stop_scanning()
        for trigger in self._triggers():
            trigger.stop()

    def _triggers(self) -> list[ServiceBusTrigger | CosmosTrigger | TimerTrigger]:
        return [*self._queues, *self._feeds, *self._timers]

    async def _scan(self) -> None:
        """The net under the wake-ups, which may be lost between processes."""
        while True:
            for queue in self._queues:
                queue.wake()
            for feed in self._feeds:
                feed.wake_all()
            await asyncio.sleep(self._options.scan_s)

    def _stop_scanning(self) -> None:
        if self._scanner is not None:
            self._scanner.cancel()
            self._scanner = None

    def _service_bus(self, function: Function) -> ServiceBusTrigger:
        path = resolve(entity_path(function), self._settings, f"function {function.name}")
        topics = {topic.name for topic in self._app.queues.topics}
        known = {each.lower(): each for each in paths(self._app.queues) if each not in topics}
        if path.lower() not in known:
            raise AppRefused(f"function {function.name}: topology/servicebus.json has no {path!r}")
        return ServiceBusTrigger(
            function,
            known[path.lower()],
            bus=self._engines.bus,
            invocations=self.invocations,
            clock=self._engines.clock,
            limits=self._app.limits.service_bus,
            owner=self._options.owner,
            fast_decoding=self._options.fast_timestamps,
        )

    def _cosmos(self, function: Function) -> CosmosTrigger:
        options = feed_options(function, self._settings)
        for container in (options.container, options.lease_container):
            if container not in self._app.containers:
                raise AppRefused(f"function {function.name}: topology/cosmos.json has no {container!r}")
        pace_s = self._options.feed_pace_s
        return CosmosTrigger(
            function,
            options,
            store=self._engines.store,
            documents=self._engines.documents,
            invocations=self.invocations,
            clock=self._engines.clock,
            owner=self._options.owner,
            pace_s=FEED_PACE_S if pace_s is None else pace_s,
            poll_s=options.poll_s if pace_s is None else None,
        )

    def _timer(self, function: Function) -> TimerTrigger:
        where = f"function {function.name}"
        expression = resolve(function.trigger.text("schedule"), self._settings, where)
        return TimerTrigger(
            function,
            Schedule(function.name, expression),
            store=self._engines.store,
            invocations=self.invocations,
            clock=self._engines.clock,
            owner=self._options.owner,
            first_instance=self._options.first_instance,
        )


def _is(function: Function, trigger: str) -> bool:
    return function.trigger.type == trigger
