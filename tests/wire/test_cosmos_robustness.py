"""Clients of the REST endpoint that are many, that fall silent, or that do not read."""

import asyncio
import resource
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.utils import formatdate
from pathlib import Path

import pytest

from emulator.documents.engine import DocumentsEngine
from emulator.documents.schema import SCHEMA
from emulator.metrics import Metrics
from emulator.store import Store
from emulator.wire.cosmos.server import CosmosServer
from tests.wire.cosmos_endpoint import CONTAINERS, KEY, Endpoint, HandClock, authorization, endpoint_at, send

HALF_A_HEAD = b"GET /dbs HTTP/1.1\r\nHost: x\r\nx-ms-da"
HALF_A_BODY = b"POST /dbs HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{"
DOCS = "/dbs/shop/colls/orders/docs"


@pytest.fixture
async def endpoint(tmp_path: Path) -> AsyncIterator[Endpoint]:
    async with endpoint_at(tmp_path / "store") as endpoint:
        yield endpoint


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


def signed(path: str, kind: str, link: str) -> bytes:
    date = formatdate(usegmt=True)
    signature = authorization("GET", kind, link, date)
    head = f"GET {path} HTTP/1.1\r\nHost: x\r\nx-ms-date: {date}\r\nauthorization: {signature}\r\n\r\n"
    return head.encode()


async def status(reader: asyncio.StreamReader) -> int:
    """Of the next answer, whose body is read too."""
    async with asyncio.timeout(60):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next(line for line in head.lower().split("\r\n") if line.startswith("content-length:"))
        await reader.readexactly(int(length.partition(":")[2]))
    return int(head.split()[1])


async def still_served(endpoint: Endpoint) -> None:
    async with asyncio.timeout(10):
        assert (await send(endpoint, "GET", "/dbs", kind="dbs", link="")).status == 200


async def test_a_thousand_connections_are_served_at_once(endpoint: Endpoint) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2200  # both ends are in this process
    if hard < wanted:
        pytest.skip(f"at most {hard} descriptors are allowed here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    peers = [await asyncio.open_connection("127.0.0.1", endpoint.server.port) for _ in range(1000)]
    for _ in range(2):  # on the same connections: all of them stayed
        for _, writer in peers:
            writer.write(signed("/dbs", "dbs", ""))
        assert {await status(reader) for reader, _ in peers} == {200}
    for _, writer in peers:
        writer.transport.abort()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize(
    "begun", [b"", HALF_A_HEAD, HALF_A_BODY], ids=["nothing", "half a head", "half a body"]
)
async def test_clients_that_fall_silent_keep_nobody_waiting(endpoint: Endpoint, begun: bytes) -> None:
    peers = [await asyncio.open_connection("127.0.0.1", endpoint.server.port) for _ in range(100)]
    for _, writer in peers:
        writer.write(begun)
        await writer.drain()
    await still_served(endpoint)
    for _, writer in peers:
        writer.transport.abort()


async def test_a_body_that_does_not_come_is_answered_with_a_timeout(tmp_path: Path) -> None:
    store = Store(tmp_path / "store", schema=SCHEMA, synchronous="OFF")
    server = CosmosServer(DocumentsEngine(store, HandClock(), CONTAINERS, Metrics()), KEY, body_s=0.05)
    await server.listen("127.0.0.1", 0)
    async with connected(server.port) as (reader, writer):
        writer.write(HALF_A_BODY)
        assert await status(reader) == 408
    await server.close()
    await store.close()


async def test_a_client_that_does_not_read_its_answers_keeps_nobody_waiting(endpoint: Endpoint) -> None:
    """What it asks after the first answers that do not fit is not even looked at."""
    for number in range(10):
        item = {"id": f"{number}", "stream": "s", "text": "x" * 200_000}
        await endpoint.engine.create("orders", "s", item)

    def answered() -> int:
        return endpoint.server._metrics.counts["cosmos.requests", "read feed orders"]

    async with connected(endpoint.server.port) as (_, writer):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        for _ in range(50):
            writer.write(signed(DOCS, "docs", "dbs/shop/colls/orders"))
        async with asyncio.timeout(20):
            while answered() == 0:
                await still_served(endpoint)
        for _ in range(10):
            await still_served(endpoint)
        assert answered() < 25
