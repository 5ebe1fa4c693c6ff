"""A Cosmos endpoint on a fresh store, the real SDK's client to it, and requests that no SDK would make."""

import base64
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
import yarl
from azure.cosmos.aio import ContainerProxy, CosmosClient
from azure.cosmos.exceptions import CosmosHttpResponseError

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


async def failed(request: Any, status: int) -> CosmosHttpResponseError:
    with pytest.raises(CosmosHttpResponseError) as caught:
        await request
    assert caught.value.status_code == status, caught.value
    return caught.value


async def listed(pages: Any) -> list[dict[str, Any]]:
    return [item async for item in pages]


@dataclass
class Reply:
    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def authorization(verb: str, kind: str, link: str, date: str, key: str = KEY) -> str:
    payload = f"{verb.lower()}\n{kind}\n{link}\n{date.lower()}\n\n"
    digest = hmac.digest(base64.b64decode(key), payload.encode(), "sha256")
    return quote(f"type=master&ver=1.0&sig={base64.b64encode(digest).decode()}", safe="")


async def send(
    endpoint: Endpoint,
    verb: str,
    path: str,
    *,
    kind: str = "docs",
    link: str | None = None,
    body: bytes | dict[str, Any] | list[Any] | None = None,
    **headers: str,
) -> Reply:
    """A signed request; `link` is signed, by default as of a feed, and headers are named with _ for -."""
    date = formatdate(usegmt=True)
    if link is None:
        link = path.strip("/").rpartition("/")[0]
    sent = {"x-ms-date": date, "authorization": authorization(verb, kind, link, date)}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    url = yarl.URL(endpoint.url.rstrip("/") + path, encoded=True)
    async with aiohttp.ClientSession() as session, session.request(verb, url, data=data, headers=sent) as got:
        return Reply(got.status, got.headers, await got.read())


class CosmosTests:
    """What the tests of the endpoint begin with."""

    @pytest.fixture
    async def endpoint(self, tmp_path: Path) -> AsyncIterator[Endpoint]:
        async with endpoint_at(tmp_path / "store") as endpoint:
            yield endpoint

    @pytest.fixture
    async def client(self, endpoint: Endpoint) -> AsyncIterator[CosmosClient]:
        async with endpoint.client() as client:
            yield client

    @pytest.fixture
    async def orders(self, client: CosmosClient) -> ContainerProxy:
        return container_of(client)
