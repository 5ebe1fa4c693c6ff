"""The doctor's questions and the app's connections, with the real SDKs on the emulator's endpoints."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from adapters.azure.blobs import blob_client, create_container
from adapters.azure.bus import AzureBus
from adapters.azure.connections import blob_connection, service_bus_connection
from core.bus import OutgoingMessage
from emulator.clock import SystemClock
from emulator.documents.engine import DocumentsEngine
from emulator.documents.schema import SCHEMA as DOCUMENTS
from emulator.documents.topology import load_containers
from emulator.metrics import Metrics
from emulator.servicebus.engine import ServiceBusEngine
from emulator.servicebus.schema import SCHEMA as QUEUES
from emulator.servicebus.topology import read_topology
from emulator.store import Store
from emulator.wire.amqp.server import AmqpServer
from emulator.wire.cosmos.server import CosmosServer
from emulator.wire.keys import (
    WireKeys,
    cosmos_connection_string,
    load_or_create,
    servicebus_connection_string,
)
from tests.conformance.indexed import PROJECT
from tests.conformance.servicebus_emulator import MAX_CONNECTIONS
from tests.wire.node_peers import azurite
from tools.doctor import endpoints, outside
from tools.doctor.entities import (
    NoConnectionFree,
    Unreachable,
    blob_containers,
    bus_entities,
    containers,
    entity_names,
)
from tools.doctor.findings import Status
from triggers.service_bus.receiving import PARKED
from triggers.timers.dead_letters import QUEUES as REDRIVEN
from triggers.timers.dead_letters import SUBSCRIPTIONS

TOPOLOGY = PROJECT / "topology"


class Served:
    def __init__(self, amqp: AmqpServer, cosmos: CosmosServer, keys: WireKeys) -> None:
        self.amqp, self.cosmos, self.keys = amqp, cosmos, keys

    @property
    def settings(self) -> Mapping[str, str]:
        return {
            "ServiceBusConnection": servicebus_connection_string(self.keys, "127.0.0.1", self.amqp.port),
            "CosmosConnection": cosmos_connection_string(self.keys, "127.0.0.1", self.cosmos.port),
        }


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[Served]:
    """What topology/ says, on an empty store."""
    store = Store(folder / "store.db", schema=QUEUES + DOCUMENTS, synchronous="OFF")
    clock, keys, metrics = SystemClock(), load_or_create(folder), Metrics()
    bus = ServiceBusEngine(store, clock, Random(1), read_topology(TOPOLOGY / "servicebus.json"), metrics)
    documents = DocumentsEngine(store, clock, load_containers(TOPOLOGY / "cosmos.json"), metrics)
    await bus.start()
    amqp = AmqpServer(bus, store, clock, keys.servicebus_key)
    cosmos = CosmosServer(documents, keys.cosmos_key, clock)
    await amqp.listen("127.0.0.1", 0)
    await cosmos.listen("127.0.0.1", 0)
    yield Served(amqp, cosmos, keys)
    await cosmos.close()
    await amqp.close()
    await bus.stop()
    await store.close()


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path) as found:
        yield found


def there(settings: Mapping[str, str], *names: str) -> Sequence[str]:
    return outside.entities_there(settings, names)


async def test_every_entity_of_the_topology_is_found(served: Served, bus: Mapping[str, Any]) -> None:
    names = list(entity_names({"UserConfig": {"Namespaces": [bus]}}))
    finding = await asyncio.to_thread(bus_entities, lambda wanted: there(served.settings, *wanted), names)
    assert (finding.status, finding.found) == (
        Status.OK,
        f"{len(names)} queues, topics and subscriptions",
    )


async def test_an_entity_that_is_not_there_is_missed(served: Served) -> None:
    names = ("inventory", "nowhere", "order-events/Subscriptions/nobody", "parked")
    assert await asyncio.to_thread(there, served.settings, *names) == ["inventory", "parked"]


async def test_every_container_of_the_topology_is_found_with_its_key(
    served: Served, cosmos: Mapping[str, Any]
) -> None:
    def look_up(names: Sequence[str]) -> Mapping[str, str]:
        return outside.container_keys(served.settings, cosmos["database"], names)

    finding = await asyncio.to_thread(containers, look_up, cosmos)
    assert (finding.status, finding.found) == (Status.OK, f"{len(cosmos['containers'])} containers")
    assert await asyncio.to_thread(look_up, ["orders", "nowhere"]) == {"orders": "/stream"}


@pytest.fixture(scope="module")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with azurite(tmp_path_factory.mktemp("azurite")) as connection:
        yield connection


async def test_the_container_of_the_blobs_is_found_once_it_is_set_up(blobs: str) -> None:
    def look_up(names: Sequence[str]) -> Sequence[str]:
        return outside.blob_containers_there({"BlobConnection": blobs}, names)

    storage = json.loads((TOPOLOGY / "storage.json").read_text())
    assert await asyncio.to_thread(look_up, storage["blobContainers"]) == []
    async with blob_client(blob_connection({"BlobConnection": blobs})) as client:
        await create_container(client)
    assert (await asyncio.to_thread(blob_containers, look_up, storage)).status is Status.OK


async def test_a_wrong_key_of_the_blobs_is_said(blobs: str) -> None:
    settings = {"BlobConnection": re.sub("AccountKey=[^;]*", "AccountKey=AAAA", blobs)}
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1"):
        await asyncio.to_thread(outside.blob_containers_there, settings, ["orderflow"])


async def test_connections_that_are_all_taken_are_told_from_other_faults(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit is one of links here: the emulator has none of connections, and the condition is the same."""
    monkeypatch.setattr("emulator.wire.amqp.connection._MAX_LINKS", 2)  # those of the token
    with pytest.raises(NoConnectionFree, match=r"127\.0\.0\.1"):
        await asyncio.to_thread(there, served.settings, "inventory")


async def test_a_wrong_key_is_said(served: Served) -> None:
    other = WireKeys("AAAA", "AAAA", "AAAA")
    settings = {
        "ServiceBusConnection": servicebus_connection_string(other, "127.0.0.1", served.amqp.port),
        "CosmosConnection": cosmos_connection_string(other, "127.0.0.1", served.cosmos.port),
    }
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1"):
        await asyncio.to_thread(there, settings, "inventory", "payments", "parked")
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1"):
        await asyncio.to_thread(outside.container_keys, settings, "orderflow", ["orders"])


async def test_what_answers_on_a_port_is_known_by_what_it_says(served: Served) -> None:
    by_port = {endpoint.port: endpoint for endpoint in endpoints.EMULATORS}
    for usual, port in ((5672, served.amqp.port), (8081, served.cosmos.port)):
        endpoint = by_port[usual]
        answer = await asyncio.to_thread(outside.ask, port, endpoint.question)
        assert answer is not None
        assert endpoint.sign.search(answer), answer


async def test_one_worker_stays_within_the_connections_of_the_official_emulator(
    served: Served, bus: Mapping[str, Any]
) -> None:
    """After it has sent everywhere and looked through every dead-letter queue. The SDK opens a connection for
    each sender, which is kept, and for each receiver; the host itself has one more, for all triggers."""
    senders = [*(each["Name"] for each in bus["Queues"]), *(each["Name"] for each in bus["Topics"])]
    assert PARKED in senders
    adapter = AzureBus(service_bus_connection(served.settings))
    most = 0
    try:
        message = OutgoingMessage(body=b"{}", message_id="1", subject="test")
        await asyncio.gather(*(adapter.send(name, [message]) for name in senders))
        for entity in (*REDRIVEN, *SUBSCRIPTIONS):
            assert await adapter.receive_dead_letters(entity, 10) == []
            most = max(most, served.amqp.connections)
        assert len(senders) <= most
        assert most + 1 <= MAX_CONNECTIONS
        assert f" {len(senders)} senders, which stay open" in (PROJECT / "docs" / "func-start.md").read_text()
    finally:
        await adapter.close()
