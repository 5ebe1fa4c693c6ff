"""`endpoints` anew for a test; `shared` for all to whom a queue of their own is enough."""

import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from azure.servicebus.aio import ServiceBusClient

from tests.wire.raw_peer import RawPeer, ready
from tests.wire.wire_endpoints import QUEUES, Wire, serving


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
    """The SDK's, on `shared`: to open its links and to close them takes it a second."""
    async with ServiceBusClient.from_connection_string(shared.connection_string, retry_total=0) as client:
        yield client


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
