"""One instance of the functions host: the app's triggers on the engines, until it is drained or stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import parse_qsl, urlsplit

from emulator.engines import Engines
from emulator.host.app import App
from emulator.host.durable_invoker import DurableInvoker
from emulator.host.functions import AppRefused, Function
from emulator.host.http_trigger import run_http_function
from emulator.host.invocations import Invocations
from emulator.host.service_bus_trigger import ServiceBusTrigger, entity_path
from emulator.host.settings import resolve
from emulator.http import HttpAnswer
from emulator.servicebus.errors import EntityNotFound

DURABLE_PATH = "/runtime/webhooks/durabletask/"
_SCAN_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class HostOptions:
    owner: str = "instance-0"
    """Names this instance in locks and leases: unique among those that run, the same after a restart."""
    base_url: str = "http://127.0.0.1:7071"


class DurableHttp(Protocol):
    """What the host needs of the durable engine."""

    async def handle_http(
        self, method: str, path: str, query: dict[str, str], headers: Mapping[str, str], body: bytes
    ) -> HttpAnswer: ...

    def client_binding(self, base_url: str) -> str: ...


class FunctionsHost:
    def __init__(self, app: App, engines: Engines, settings: Mapping[str, str], options: HostOptions) -> None:
        """Raises AppRefused for a setting that a trigger names and that is not set."""
        self._app = app
        self._engines = engines
        self._settings = settings
        self._options = options
        self._durable: DurableHttp | None = None
        self._scanner: asyncio.Task[None] | None = None
        self.invocations = Invocations(engines.random)
        self.invoker = DurableInvoker(app.functions, self.invocations)
        self._queues = [self._service_bus(each) for each in app.functions if _is(each, "serviceBusTrigger")]

    async def start(self, durable: DurableHttp | None) -> None:
        """The engines are running. Raises AppRefused for a queue that is not there."""
        self._durable = durable
        if durable is not None:
            self.invocations.give_clients(durable.client_binding(self._options.base_url))
        for trigger in self._queues:
            try:
                self._engines.bus.is_ready(trigger.path)
            except EntityNotFound as error:
                raise AppRefused(f"a function is triggered by {trigger.path!r}: {error}") from None
        for trigger in self._queues:
            self._engines.store.listen(f"queue:{trigger.path}", trigger.wake)
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
            return HttpAnswer(404)
        return await run_http_function(
            self.invocations, match, method=method, url=url, headers=headers, body=body
        )

    async def drain(self) -> None:
        """Take no more work and finish what is in hand."""
        self._stop_scanning()
        await asyncio.gather(*(trigger.drain() for trigger in self._queues))

    def stop(self) -> None:
        """At once, as a killed process would."""
        self._stop_scanning()
        for trigger in self._queues:
            trigger.stop()

    async def _scan(self) -> None:
        """The net under the wake-ups, which may be lost between processes."""
        while True:
            for trigger in self._queues:
                trigger.wake()
            await asyncio.sleep(_SCAN_SECONDS)

    def _stop_scanning(self) -> None:
        if self._scanner is not None:
            self._scanner.cancel()
            self._scanner = None

    def _service_bus(self, function: Function) -> ServiceBusTrigger:
        return ServiceBusTrigger(
            function,
            resolve(entity_path(function), self._settings, f"function {function.name}"),
            bus=self._engines.bus,
            invocations=self.invocations,
            clock=self._engines.clock,
            limits=self._app.limits.service_bus,
            owner=self._options.owner,
        )


def _is(function: Function, trigger: str) -> bool:
    return function.trigger.type == trigger
