"""Orders on both documents adapters: what a query finds, and streams that are long or old."""

import base64
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from adapters.azure.connections import Connection
from adapters.azure.cosmos_client import cosmos_client
from adapters.azure.documents import AzureDocuments
from adapters.embedded.documents import EmbeddedDocuments
from core.documents import Documents
from core.json import JsonObject
from core.read_models import rebuild
from emulator.clock import SystemClock
from emulator.documents.engine import DocumentsEngine
from emulator.documents.schema import SCHEMA
from emulator.documents.topology import load_containers
from emulator.metrics import Metrics
from emulator.store import Store
from emulator.wire.cosmos.server import CosmosServer
from services.orders.events import OrderLine
from services.orders.list_projection import ORDER_LIST
from services.orders.views import Wanted, list_orders
from tests.charges import Charges
from tests.fakes import START, FakeClock
from tests.order_support import COMPLETION, append, place

TOPOLOGY = Path(__file__).parents[2] / "topology" / "cosmos.json"
KEY = base64.b64encode(b"a key for tests of 64 bytes".ljust(64)).decode()


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[DocumentsEngine]:
    store = Store(tmp_path / "store", schema=SCHEMA, synchronous="OFF")
    yield DocumentsEngine(store, SystemClock(), load_containers(TOPOLOGY), Metrics())
    await store.close()


@pytest.fixture(params=["embedded", "azure"])
async def documents(engine: DocumentsEngine, request: pytest.FixtureRequest) -> AsyncIterator[Documents]:
    if request.param == "embedded":
        yield EmbeddedDocuments(lambda: engine)
        return
    server = CosmosServer(engine, KEY)
    await server.listen("127.0.0.1", 0)
    endpoint = f"http://127.0.0.1:{server.port}/"
    client = cosmos_client(Connection(endpoint, f"AccountEndpoint={endpoint};AccountKey={KEY};"))
    yield AzureDocuments(client, "orderflow", Charges())
    await client.close()
    await server.close()


async def listed(documents: Documents, wanted: Wanted, limit: int = 2) -> list[str]:
    """Every page of the list."""
    found: list[str] = []
    continuation = None
    while True:
        page: JsonObject = await list_orders(documents, wanted, limit, continuation)
        assert isinstance(page["items"], list)
        assert len(page["items"]) <= limit
        found += [item["id"] for item in page["items"]]  # type: ignore[index,call-overload]
        continuation = page["continuation"]  # type: ignore[assignment]
        if continuation is None:
            return found


async def test_orders_are_found_by_customer_status_sku_and_time_page_by_page(documents: Documents) -> None:
    clock = FakeClock()
    for number in range(6):
        id = f"ord-{number}"
        lines = (OrderLine("TEA", 1, 100), OrderLine(f"CUP {number % 2}", 1, 100))
        order = replace(place(id, f"c-{number % 3}"), lines=lines)
        await append(documents, id, order, *COMPLETION[: 3 * (number % 2)], clock=clock)
        clock.advance(60)
    continuation = None
    while True:
        progress = await rebuild(documents, ORDER_LIST, continuation)
        continuation = progress.continuation
        if continuation is None:
            break

    def minute(number: int) -> datetime:
        return START + timedelta(minutes=number)

    assert await listed(documents, Wanted(sku="TEA")) == [f"ord-{number}" for number in (5, 4, 3, 2, 1, 0)]
    assert await listed(documents, Wanted(sku="CUP 1", status="completed")) == ["ord-5", "ord-3", "ord-1"]
    assert await listed(documents, Wanted(sku="CUP 1", status="created")) == []
    assert await listed(documents, Wanted(sku="CUP 0", customer_id="c-1")) == ["ord-4"]
    assert await listed(documents, Wanted(start=minute(1), end=minute(4))) == ["ord-3", "ord-2", "ord-1"]
    found = Wanted(customer_id="c-0", status="completed", sku="TEA", start=minute(3), end=minute(4))
    assert await listed(documents, found) == ["ord-3"]
