"""One instance put together: the store, the engines on it, and the host."""

from __future__ import annotations

import asyncio
import os
from random import Random

from emulator import engines
from emulator.clock import Clock
from emulator.documents.engine import DocumentsEngine
from emulator.host.app import App
from emulator.host.functions_host import FunctionsHost, HostOptions
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
        self.store = store
        metrics = Metrics()
        self.engines = engines.Engines(
            store=store,
            documents=DocumentsEngine(store, clock, app.containers, metrics),
            bus=ServiceBusEngine(store, clock, random, app.queues, metrics, faults=faults),
            clock=clock,
            random=random,
            metrics=metrics,
        )
        self.host = FunctionsHost(app, self.engines, os.environ, options)

    async def start(self) -> None:
        engines.use(self.engines)
        await self.engines.bus.start()
        self.engines.documents.start()
        await self.host.start(None)

    async def stop(self, patience_s: float) -> None:
        """Finish what is in hand, for so long at most, then close the store."""
        try:
            async with asyncio.timeout(patience_s):
                await self.host.drain()
        except TimeoutError:
            pass  # what is unfinished comes again after the next start
        await self._stop_engines()
        await self.store.close()

    async def abort(self) -> None:
        """As a killed process: nothing more is written or answered."""
        await self._stop_engines()
        self.store.stop(RuntimeError("aborted"))

    async def _stop_engines(self) -> None:
        self.host.stop()
        self.engines.documents.stop()
        await self.engines.bus.stop()
