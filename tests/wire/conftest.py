"""`endpoints` anew for a test; `shared` for all to whom a queue of their own is enough."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from azure.servicebus._pyamqp.aio._connection_async import Connection
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver, ServiceBusSender

from tests.sdk_pace import faster_sdk
from tests.wire.raw_peer import RawPeer, ready
from tests.wire.sdk import HeardFrame, Keep
from tests.wire.wire_endpoints import QUEUES, Wire, serving


@pytest.fixture(autouse=True, scope="module")
def _faster_sdk() -> Iterator[None]:
    with faster_sdk():
        yield


@pytest.fixture(autouse=True)
def no_faults_in_the_server(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever a peer does, the server foresaw it."""
    yield
    faults = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [record.getMessage() for record in faults if record.name == "emulator.wire.amqp"] == []


@pytest.fixture
async def endpoints(tmp_path: Path) -> AsyncIterator[Wire]:
    """With the app's topology, on an empty store."""
    async with serving(tmp_path) as wire:
        yield wire


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Wire]:
    """One for all tests with loop_scope="session", with the topology QUEUES."""
    async with serving(tmp_path_factory.mktemp("shared"), topology=QUEUES) as wire:
        yield wire


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def client(shared: Wire) -> AsyncIterator[ServiceBusClient]:
    """The SDK's, on `shared`. Of an answer that it does not understand a test hears soon."""
    async with ServiceBusClient.from_connection_string(
        shared.connection_string, retry_total=0, try_timeout=10
    ) as client:
        yield client


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def kept(client: ServiceBusClient) -> AsyncIterator[Keep]:
    """Called with a sender or receiver it gives it back; those of a file are closed together in the end."""
    handlers: list[ServiceBusSender | ServiceBusReceiver] = []

    def keep[Handler: (ServiceBusSender, ServiceBusReceiver)](handler: Handler) -> Handler:
        handlers.append(handler)
        return handler

    yield keep
    await asyncio.gather(*(handler.close() for handler in handlers))


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[HeardFrame]:
    """What the SDK is sent in this test, as it decodes it."""
    frames: list[HeardFrame] = []
    process = Connection._process_incoming_frame

    async def spy(self: Connection, channel: int, frame: tuple[int, Sequence[Any]] | None) -> bool:
        if frame is not None and isinstance(frame[0], int):
            frames.append(HeardFrame(channel, frame[0], tuple(frame[1])))
        return await process(self, channel, frame)

    monkeypatch.setattr(Connection, "_process_incoming_frame", spy)
    return frames


@pytest_asyncio.fixture(loop_scope="session")
async def peer(shared: Wire) -> AsyncIterator[RawPeer]:
    """On `shared`, with a session and the rights to everything."""
    async with ready(shared.amqp.port, shared.keys.servicebus_key) as peer:
        yield peer


@pytest.fixture(scope="session")
def _queues() -> Iterator[str]:
    return (queue.name for queue in QUEUES.queues if queue.name.startswith("queue-"))


@pytest.fixture
def queue(_queues: Iterator[str]) -> str:
    """The name of a queue of `shared` that no other test has."""
    return next(_queues)
