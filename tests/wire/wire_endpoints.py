"""Both wire endpoints in the process of the test, on a store of their own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from emulator.blobs import FILE, BlobsEngine
from emulator.clock import Clock, SystemClock
from emulator.documents.engine import DocumentsEngine
from emulator.documents.topology import load_containers
from emulator.engines import Engines
from emulator.host.schema import SCHEMA
from emulator.metrics import Metrics
from emulator.servicebus.engine import ServiceBusEngine
from emulator.servicebus.filters import TRUE_FILTER, CorrelationFilter
from emulator.servicebus.messages import Message
from emulator.servicebus.topology import Queue, Settlement, Subscription, Topic, Topology, read_topology
from emulator.store import Store
from emulator.wire.amqp.pipe import Limits
from emulator.wire.amqp.server import AmqpServer
from emulator.wire.endpoints import Endpoints, connection_settings, start_endpoints
from emulator.wire.keys import WireKeys, load_or_create

_TOPOLOGY = Path(__file__).parents[2] / "topology"
DEAD = "/$DeadLetterQueue"
LOCK_S = 30.0
SHORT_LOCK_S = 0.3
MAX_DELIVERIES = 3

_USUAL = Settlement(LOCK_S, MAX_DELIVERIES, None, dead_letter_expired=True)
QUEUES = Topology(
    queues=(
        *(Queue(f"queue-{number}", _USUAL, None) for number in range(60)),
        *(Queue(name, _USUAL, None) for name in ("sending", "receiving", "managing")),
        Queue("brief", Settlement(SHORT_LOCK_S, 10, None, dead_letter_expired=True), None),
        Queue("once", _USUAL, duplicate_window_s=60),
    ),
    topics=(
        Topic(
            "events",
            None,
            None,
            (
                Subscription("all", _USUAL, (TRUE_FILTER,)),
                Subscription("urgent", _USUAL, (CorrelationFilter((), (("urgent", "yes"),)),)),
            ),
        ),
    ),
)
"""For tests that share one server: each takes a queue of its own."""


@dataclass
class Wire:
    """What the tests need of the endpoints, and of the engines behind them."""

    engines: Engines
    endpoints: Endpoints
    keys: WireKeys

    @property
    def amqp(self) -> AmqpServer:
        return self.endpoints.amqp

    @property
    def bus(self) -> ServiceBusEngine:
        return self.engines.bus

    @property
    def settings(self) -> dict[str, str]:
        """`ServiceBusConnection` and `CosmosConnection`."""
        return connection_settings(self.keys, "127.0.0.1", self.amqp.port, self.endpoints.cosmos.port, 7071)

    @property
    def connection_string(self) -> str:
        return self.settings["ServiceBusConnection"]

    async def put(self, path: str, *bodies: str, **fields: object) -> None:
        """Send without the wire."""
        messages = [Message(body.encode(), **{"message_id": body, **fields}) for body in bodies]  # type: ignore[arg-type]
        await self.bus.send(path, messages)

    def held(self, path: str) -> list[str]:
        """The bodies of what lies there, locked or not."""
        return [message.body.decode() for message in self.bus.peek(path, 0, 10_000)]


@asynccontextmanager
async def serving(
    folder: Path,
    *,
    topology: Topology | None = None,
    amqp_port: int = 0,
    cosmos_port: int = 0,
    clock: Clock | None = None,
    limits: Limits | None = None,
) -> AsyncIterator[Wire]:
    """With the app's topology unless another is given; what the folder's store holds is there again."""
    clock, metrics = clock or SystemClock(), Metrics()
    store = Store(folder / "store.sqlite3", schema=SCHEMA, synchronous="OFF")
    queues = topology or read_topology(_TOPOLOGY / "servicebus.json")
    containers = dict(load_containers(_TOPOLOGY / "cosmos.json"))
    bus = ServiceBusEngine(store, clock, Random(1), queues, metrics)
    documents = DocumentsEngine(store, clock, containers, metrics)
    blobs = BlobsEngine(folder / FILE, clock, "http://127.0.0.1")
    engines = Engines(store, documents, bus, clock, Random(1), metrics, blobs)
    keys = load_or_create(folder)
    await bus.start()
    documents.start()
    endpoints = await start_endpoints(engines, keys, "127.0.0.1", amqp_port, cosmos_port, limits=limits)
    try:
        yield Wire(engines, endpoints, keys)
    finally:
        await endpoints.close()
        await bus.stop()
        await store.close()
