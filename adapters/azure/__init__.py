"""The ports on Service Bus and Cosmos DB, in Azure or wherever else their protocols are spoken."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from azure.core.credentials_async import AsyncTokenCredential
from opentelemetry.metrics import get_meter

from adapters.azure.blobs import AzureBlobs, blob_client
from adapters.azure.bus import AzureBus
from adapters.azure.charges import metered
from adapters.azure.connections import (
    Connection,
    blob_connection,
    cosmos_connection,
    identity,
    service_bus_connection,
)
from adapters.azure.cosmos_client import cosmos_client, is_proxied
from adapters.azure.documents import AzureDocuments
from adapters.azure.lifetime import Closable, ClosingTransport, give_up
from core.blobs import Blobs
from core.bus import Bus
from core.clock import Clock, SystemClock
from core.documents import Documents

DATABASE = "orderflow"
"""As in topology/cosmos.json and in the triggers."""


@dataclass(frozen=True)
class Adapters:
    """`close` waits for what is being sent. Without it everything is closed with the event loop."""

    documents: Documents
    bus: Bus
    blobs: Blobs
    clock: Clock
    close: Callable[[], Awaitable[None]]


def connect(environment: Mapping[str, str]) -> Adapters:
    """Checks the settings and opens nothing yet. Raises InvalidSetting."""
    bus = AzureBus(service_bus_connection(environment))
    cosmos, close_cosmos = _client(cosmos_connection(environment), cosmos_client)
    storage, close_storage = _client(blob_connection(environment), blob_client)

    async def close() -> None:
        await bus.close()
        await close_cosmos()
        await close_storage()

    documents = AzureDocuments(cosmos, DATABASE, metered(get_meter("orderflow")))
    return Adapters(documents, bus, AzureBlobs(storage), SystemClock(), close)


def _client[C: Closable](
    connection: Connection, make: Callable[[Connection, AsyncTokenCredential | None, ClosingTransport], C]
) -> tuple[C, Callable[[], Awaitable[None]]]:
    """A client over HTTP that is closed with the event loop, or by what is returned with it."""

    async def close() -> None:
        await give_up(client)
        if credential is not None:
            await give_up(credential)

    credential = None if connection.connection_string is not None else identity(connection)
    client = make(connection, credential, ClosingTransport(close, is_proxied(connection.endpoint)))
    return client, close
