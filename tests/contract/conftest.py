"""What the tests of the adapters share."""

import base64
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from adapters.azure.connections import Connection
from adapters.azure.cosmos_client import cosmos_client
from adapters.azure.documents import AzureDocuments
from adapters.embedded.documents import EmbeddedDocuments
from core.documents import Documents
from emulator.clock import SystemClock
from emulator.documents.engine import DocumentsEngine
from emulator.documents.schema import SCHEMA
from emulator.documents.topology import load_containers
from emulator.metrics import Metrics
from emulator.store import Store
from emulator.wire.cosmos.server import CosmosServer
from tests.charges import Charges
from tests.sdk_pace import faster_sdk

TOPOLOGY = Path(__file__).parents[2] / "topology" / "cosmos.json"
KEY = base64.b64encode(b"a key for tests of 64 bytes".ljust(64)).decode()


@pytest.fixture(autouse=True, scope="module")
def _faster_sdk() -> Iterator[None]:
    with faster_sdk():
        yield


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def engine(tmp_path: Path, metrics: Metrics) -> AsyncIterator[DocumentsEngine]:
    """With the containers of the app."""
    store = Store(tmp_path / "store", schema=SCHEMA, synchronous="OFF")
    yield DocumentsEngine(store, SystemClock(), load_containers(TOPOLOGY), metrics)
    await store.close()


@pytest.fixture(params=["embedded", "azure"])
async def documents(engine: DocumentsEngine, request: pytest.FixtureRequest) -> AsyncIterator[Documents]:
    """One adapter after the other, on the same engine."""
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
