"""The embedded bus adapter keeps the contract of the port."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest

from adapters.embedded.bus import EmbeddedBus
from core.bus import Bus, BusThrottled, OutgoingMessage
from emulator.clock import SystemClock
from emulator.metrics import Metrics
from emulator.servicebus.engine import ServiceBusEngine
from emulator.servicebus.messages import LockedMessage
from emulator.servicebus.schema import SCHEMA
from emulator.servicebus.topology import read_topology
from emulator.store import Store
from tests.contract.bus_suite import QUEUE, BusSuite, message

TOPOLOGY = Path(__file__).parents[2] / "topology" / "servicebus.json"


class TestEmbeddedBus(BusSuite):
    @pytest.fixture
    async def engine(self, tmp_path: Path) -> AsyncIterator[ServiceBusEngine]:
        store = Store(tmp_path / "store.db", schema=SCHEMA, synchronous="OFF")
        engine = ServiceBusEngine(store, SystemClock(), Random(1), read_topology(TOPOLOGY), Metrics())
        await engine.start()
        self.engine = engine
        yield engine
        await engine.stop()
        await store.close()

    @pytest.fixture
    def bus(self, engine: ServiceBusEngine) -> Bus:
        return EmbeddedBus(lambda: engine)

    async def arrived(self, bus: Bus, queue: str) -> Sequence[OutgoingMessage]:
        return [as_sent(each) for each in await self.engine.receive(queue, 1000, "test")]

    async def put_dead_letter(
        self, bus: Bus, path: str, message: OutgoingMessage, reason: str, description: str
    ) -> None:
        await dead_letter(self.engine, bus, path, message, reason, description)

    async def test_an_engine_that_fails_raises_the_transient_error_of_the_port(self, bus: Bus) -> None:
        self.engine.fail_until(datetime.now(UTC).timestamp() + 3600)
        with pytest.raises(BusThrottled):
            await bus.send(QUEUE, [message()])
        self.engine.fail_until(0)
        await bus.send(QUEUE, [message()])
        assert await self.arrived(bus, QUEUE) == [message()]


def as_sent(held: LockedMessage) -> OutgoingMessage:
    return OutgoingMessage(
        body=held.body,
        message_id=held.message_id,
        subject=held.subject or "",
        correlation_id=held.correlation_id,
        session_id=held.session_id,
        content_type=held.content_type or "",
        properties={name: str(value) for name, value in held.properties.items()},
    )


async def dead_letter(
    engine: ServiceBusEngine, bus: Bus, path: str, message: OutgoingMessage, reason: str, description: str
) -> None:
    entity, _, subscription = path.partition("/Subscriptions/")
    if subscription:  # what the filters of the subscription let through
        message = OutgoingMessage(message.body, message.message_id, "orders.shipping_created")
    await bus.send(entity, [message])
    [held] = await engine.receive(path, 1, "test")
    await engine.dead_letter(path, [held.lock_token], reason, description)
