"""The Azure documents adapter keeps the contract of the port, on the emulator's Cosmos DB endpoint."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.azure.charges import Charges
from adapters.azure.connections import Connection
from adapters.azure.cosmos_client import cosmos_client
from adapters.azure.documents import AzureDocuments
from core.documents import (
    BadDocumentRequest,
    Create,
    DocumentNotFound,
    Documents,
    DocumentsUnavailable,
    DocumentTimeout,
    Query,
    TooManyRequests,
)
from emulator.documents.engine import DocumentsEngine
from emulator.documents.schema import SCHEMA
from emulator.documents.topology import load_containers
from emulator.metrics import Metrics
from emulator.store import Store
from emulator.wire.cosmos.server import CosmosServer
from tests.contract.documents_suite import STREAM, DocumentsSuite, item, refused

pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")

TOPOLOGY = Path(__file__).parents[2] / "topology" / "cosmos.json"
KEY = base64.b64encode(b"a key for tests of 64 bytes".ljust(64)).decode()


class HandClock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def time(self) -> float:
        return self.now


class TestAzureDocuments(DocumentsSuite):
    @pytest.fixture
    async def engine(self, tmp_path: Path) -> AsyncIterator[DocumentsEngine]:
        store = Store(tmp_path / "store", schema=SCHEMA, synchronous="OFF")
        self.clock = HandClock()
        yield DocumentsEngine(store, self.clock, load_containers(TOPOLOGY), Metrics())
        await store.close()

    @pytest.fixture
    async def server(self, engine: DocumentsEngine) -> AsyncIterator[CosmosServer]:
        server = CosmosServer(engine, KEY)
        await server.listen("127.0.0.1", 0)
        yield server
        await server.close()

    @pytest.fixture
    async def documents(self, server: CosmosServer) -> AsyncIterator[Documents]:
        endpoint = f"http://127.0.0.1:{server.port}/"
        client = cosmos_client(Connection(endpoint, f"AccountEndpoint={endpoint};AccountKey={KEY};"))
        self.charges = Charges()
        yield AzureDocuments(client, "orderflow", self.charges)
        await client.close()

    async def let_pass(self, seconds: float) -> None:
        self.clock.now += seconds
