"""One instance put together: the store, the engines on it, and the host."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random

from emulator import blobs, engines
from emulator.blobs import BlobsEngine
from emulator.clock import Clock
from emulator.documents.engine import DocumentsEngine
from emulator.durable import sdk
from emulator.durable.engine import DurableEngine, DurableOptions
from emulator.host import shortcuts
from emulator.host.app import App
from emulator.host.functions import AppRefused
from emulator.host.functions_host import FunctionsHost, HostOptions
from emulator.host.settings import resolve_or
from emulator.metrics import Metrics
from emulator.servicebus.engine import ServiceBusEngine
from emulator.servicebus.faults import Faults
from emulator.store import Store


class Instance:
    """Not started until `start`; belongs to the running event loop."""

    def __init__(
        self,
        app: App,
        store: Store,
        *,
        clock: Clock,
        random: Random,
        options: HostOptions,
        faults: Faults | None = None,
    ) -> None:
        """Raises AppRefused, as FunctionsHost does; the store is then closed."""
        metrics = Metrics()
        self.store = store
        self.engines = engines.Engines(
            store=store,
            documents=DocumentsEngine(store, clock, app.containers, metrics),
            bus=ServiceBusEngine(
                store, clock, random, app.queues, metrics, faults=faults, scan_s=options.scan_s
            ),
            clock=clock,
            random=random,
            metrics=metrics,
            blobs=BlobsEngine(store.path.with_name(blobs.FILE), clock, options.base_url, app.blob_containers),
        )
        try:
            self.host = FunctionsHost(app, self.engines, os.environ, options)
        except AppRefused as refusal:
            store.stop(refusal)
            raise
        self.durable: DurableEngine | None = None
        if app.is_durable:
            limits = app.limits.durable
            durable_options = DurableOptions(
                task_hub=resolve_or(limits.hub, os.environ, "TestHubName"),
                max_concurrent_activities=limits.max_activities,
                max_concurrent_orchestrators=limits.max_orchestrators,
                default_version=limits.default_version,
                scan_s=options.scan_s,
            )
            self.durable = DurableEngine(
                store, clock, random, metrics, self.host.invoker, durable_options, options.owner
            )
        self._options = options
        self._undo: list[Callable[[], None]] = []

    async def start(self, serve: Callable[[], Awaitable[None]] | None = None) -> None:
        """`serve` is called before the first function runs: it may want what is served there."""
        engines.use(self.engines)
        if self._options.fast_timestamps:
            self._undo.append(shortcuts.use())
        await self.engines.bus.start()
        self.engines.documents.start()
        if self.durable is not None:
            if self._options.in_process_rpc:
                self._undo.append(sdk.install_in_process_rpc(self.durable, self._options.base_url))
            await self.durable.start()
        if serve is not None:
            await serve()
        await self.host.start(self.durable)

    async def stop(self, patience_s: float) -> None:
        """Finish what is in hand, for so long at most, then close the store."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + patience_s
        with suppress(TimeoutError):  # what is unfinished comes again after the next start
            async with asyncio.timeout_at(deadline):
                await self.host.drain()
        self.host.stop()
        if self.durable is not None:
            await self.durable.stop(max(0.0, deadline - loop.time()))
        await self._stop_engines()
        await self.store.close()

    async def abort(self) -> None:
        """As a killed process: nothing more is written or answered."""
        self.store.stop(RuntimeError("aborted"))
        self.host.stop()
        if self.durable is not None:
            stopping = asyncio.ensure_future(self.durable.stop())
            for _ in range(10):  # it ends its tasks; that it then waits for the dead store is of no use
                await asyncio.sleep(0)
            stopping.cancel()
        await self._stop_engines()

    async def _stop_engines(self) -> None:
        self.engines.documents.stop()
        self.engines.blobs.close()
        await self.engines.bus.stop()
        while self._undo:
            self._undo.pop()()
