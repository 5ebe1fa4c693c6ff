"""How this app talks to Cosmos DB."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from azure.core.pipeline.transport import AioHttpTransport
from azure.cosmos.aio import CosmosClient

from adapters.azure.connections import Connection

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.core.pipeline.transport import AsyncHttpTransport

_OPTIONS: Final[dict[str, Any]] = {
    # Whoever asks repeats transient errors (core/resilience.py). A write that the SDK repeats after a broken
    # connection may meet its own first attempt, as a conflict. -1, because 0 means the SDK's default of 9.
    "retry_throttle_total": -1,
    "retry_total": 0,
    "retry_connect": 0,
    "retry_read": 0,
    "retry_status": 0,
    "connection_timeout": 5,
    "read_timeout": 10,
    # Shorter request bodies, and less to escape.
    "enable_compact_utf8_item_writes": True,
}


def cosmos_client(
    connection: Connection,
    credential: AsyncTokenCredential | None = None,
    transport: AsyncHttpTransport[Any, Any] | None = None,
) -> CosmosClient:
    """To be closed by the caller. Connects with the first request, by `transport` or aiohttp's own.

    `credential` is for a connection without a connection string. What the SDK still repeats: once, after half
    a second, a request that met a 503 and a read that met a 500 or 408, in another region if there is one.
    """
    if transport is None:
        transport = AioHttpTransport(use_env_settings=is_proxied(connection.endpoint))
    if connection.connection_string is not None:
        return CosmosClient.from_connection_string(
            connection.connection_string, transport=transport, **_OPTIONS
        )
    if credential is None:
        raise ValueError("credential: must be given with a connection that has no connection string")
    return CosmosClient(connection.endpoint, credential, transport=transport, **_OPTIONS)


def is_proxied(endpoint: str) -> bool:
    """For the transport, which would otherwise look in the environment and read ~/.netrc at each request."""
    return bool(getproxies()) and not proxy_bypass(urlsplit(endpoint).hostname or "")
