"""A Cosmos endpoint on a fresh store, and the real SDK's client to it."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azure.cosmos.aio import ContainerProxy, CosmosClient

from emulator.clock import SystemClock
from emulator.documents.engine import DocumentsEngine
from emulator.documents.model import Container
from emulator.documents.schema import SCHEMA
from emulator.metrics import Metrics
from emulator.store import Store
from emulator.wire.cosmos.server import CosmosServer

KEY = base64.b64encode(bytes(range(64))).decode()
DATABASE = "shop"
CONTAINERS = {
    "orders": Container("orders", "stream", -1, DATABASE),
    "stock": Container("stock", "sku", None, DATABASE),
}


class HandClock(SystemClock):
    """The system's, put forward by hand."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def time(self) -> float:
        return super().time() + self.ahead_s


@dataclass
class Endpoint:
    engine: DocumentsEngine
    server: CosmosServer
    clock: HandClock

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}/"

    def client(self, key: str = KEY, **options: Any) -> CosmosClient:
        """To be closed by `async with`."""
        return CosmosClient(self.url, key, **options)


@asynccontextmanager
async def endpoint_at(path: Path, port: int = 0) -> AsyncIterator[Endpoint]:
    """Serves what the store at `path` holds, until the end of the block."""
    store = Store(path, schema=SCHEMA, synchronous="OFF")
    clock = HandClock()
    engine = DocumentsEngine(store, clock, CONTAINERS, Metrics())
    server = CosmosServer(engine, KEY)
    await server.listen("127.0.0.1", port)
    try:
        yield Endpoint(engine, server, clock)
    finally:
        await server.close()
        await store.close()


def container_of(client: CosmosClient, name: str = "orders") -> ContainerProxy:
    return client.get_database_client(DATABASE).get_container_client(name)
