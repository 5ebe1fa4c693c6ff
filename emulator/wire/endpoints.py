"""The wire endpoints of one emulator process: AMQP and Cosmos DB. Blob Storage is on the functions' port."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass

from emulator.engines import Engines
from emulator.wire.amqp.pipe import Limits
from emulator.wire.amqp.server import AmqpServer
from emulator.wire.cosmos.server import CosmosServer
from emulator.wire.keys import (
    WireKeys,
    cosmos_connection_string,
    servicebus_connection_string,
    storage_connection_string,
)

SERVICEBUS_SETTING = "ServiceBusConnection"
COSMOS_SETTING = "CosmosConnection"
STORAGE_SETTING = "BlobConnection"

_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  (it is what the user may have asked for)
"""Where to connect to what listens on all addresses."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    amqp: AmqpServer
    cosmos: CosmosServer

    async def close(self) -> None:
        await self.amqp.close()
        await self.cosmos.close()


async def start_endpoints(
    engines: Engines,
    keys: WireKeys,
    host: str,
    amqp_port: int,
    cosmos_port: int,
    *,
    limits: Limits | None = None,
) -> Endpoints:
    """On started engines. Other processes may listen on the same ports. Port 0 is any free one.

    Raises OSError.
    """
    amqp = AmqpServer(
        engines.bus, engines.store, engines.clock, keys.servicebus_key, limits=limits, metrics=engines.metrics
    )
    cosmos = CosmosServer(engines.documents, keys.cosmos_key, engines.clock, engines.metrics)
    await amqp.listen(host, amqp_port)
    try:
        await cosmos.listen(host, cosmos_port)
    except OSError:
        await amqp.close()
        raise
    return Endpoints(amqp, cosmos)


def connection_settings(
    keys: WireKeys, host: str, amqp_port: int, cosmos_port: int, http_port: int
) -> dict[str, str]:
    """The settings with which an app reaches the endpoints, by the names that its triggers use."""
    host = _ANY.get(host, host)
    return {
        SERVICEBUS_SETTING: servicebus_connection_string(keys, host, amqp_port),
        COSMOS_SETTING: cosmos_connection_string(keys, host, cosmos_port),
        STORAGE_SETTING: storage_connection_string(keys, host, http_port),
    }


def export(settings: dict[str, str], environment: MutableMapping[str, str]) -> None:
    """To the hosted app, unless it has its own: a setting of that name, or the parts of an identity's."""
    for name, value in settings.items():
        if name not in environment and not any(key.startswith(f"{name}__") for key in environment):
            environment[name] = value
