"""What the tests of the Service Bus engine share."""

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from emulator.clock import Clock, LoopClock
from emulator.metrics import Metrics
from emulator.servicebus.accounting import Account, accounting
from emulator.servicebus.engine import ServiceBusEngine
from emulator.servicebus.faults import Faults
from emulator.servicebus.filters import CorrelationFilter
from emulator.servicebus.messages import LockedMessage, Message
from emulator.servicebus.schema import SCHEMA
from emulator.servicebus.topology import Queue, Settlement, Subscription, Topic, Topology
from emulator.simulation import run_simulated
from emulator.store import Store

DEAD = "/$DeadLetterQueue"
ALL, SHIPPED = "events/Subscriptions/all", "events/Subscriptions/shipped"

TOPOLOGY = Topology(
    queues=(
        Queue("work", Settlement(10, 3, 100, dead_letter_expired=True), duplicate_window_s=None),
        Queue("notes", Settlement(20, 2, 60, dead_letter_expired=False), duplicate_window_s=50),
        Queue("patient", Settlement(30, 2000, None, dead_letter_expired=True), duplicate_window_s=None),
    ),
    topics=(
        Topic(
            "events",
            time_to_live_s=80,
            duplicate_window_s=30,
            subscriptions=(
                Subscription(
                    "all", Settlement(10, 2, None, dead_letter_expired=True), (CorrelationFilter(),)
                ),
                Subscription(
                    "shipped",
                    Settlement(10, 5, 40, dead_letter_expired=True),
                    (
                        CorrelationFilter((("subject", "shipped"),)),
                        CorrelationFilter((), (("urgent", "yes"),)),
                    ),
                ),
            ),
        ),
    ),
)


@dataclass
class Bus:
    """An engine on its store, with shorthands."""

    store: Store
    clock: Clock
    engine: ServiceBusEngine
    metrics: Metrics

    async def send(self, entity: str, *bodies: str, **fields: Any) -> list[int]:
        return await self.engine.send(
            entity, [Message(body.encode(), **{"message_id": body, **fields}) for body in bodies]
        )

    async def receive(self, path: str, limit: int = 100) -> list[LockedMessage]:
        return await self.engine.receive(path, limit, "test")

    async def bodies(self, path: str) -> list[str]:
        """Received, and left locked."""
        return [message.body.decode() for message in await self.receive(path)]

    def account(self, path: str) -> Account:
        account = accounting(self.store.read)[path]
        assert account.missing == 0
        return account


@asynccontextmanager
async def opened(
    folder: Path,
    *,
    clock: Clock | None = None,
    topology: Topology = TOPOLOGY,
    faults: Faults | None = None,
    seed: int = 1,
    after_commit: Callable[[int], None] | None = None,
) -> AsyncIterator[Bus]:
    clock = clock or LoopClock(asyncio.get_running_loop())
    store = Store(
        folder / "store.db",
        schema=SCHEMA,
        commit_inline=True,
        synchronous="OFF",
        after_commit=after_commit,
    )
    metrics = Metrics()
    engine = ServiceBusEngine(store, clock, Random(seed), topology, metrics, faults=faults)
    try:
        await engine.start()
        yield Bus(store, clock, engine, metrics)
    finally:
        await engine.stop()
        await store.close()


def simulated[**P](test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run an async test on a loop whose time is simulated."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        run_simulated(test(*args, **kwargs))

    return run
