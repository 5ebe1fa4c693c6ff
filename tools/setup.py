"""`python -m tools.setup`: creates what the app expects to be there, on whatever the settings name.

In Cosmos DB (`CosmosConnection` or `CosmosConnection__accountEndpoint`) the database and the containers of
`topology/cosmos.json`; in Azure Storage the container of the blobs, where `BlobConnection` or
`BlobConnection__blobServiceUri` is set. What is there already is compared and left alone: it may run again.
"""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import ClientAuthenticationError

from adapters.azure.blobs import CONTAINER, blob_client, create_container
from adapters.azure.connections import Connection, blob_connection, cosmos_connection, identity
from adapters.azure.cosmos_client import cosmos_client
from adapters.azure.cosmos_containers import SetupError, read_topology, set_up
from core.blobs import BlobError
from core.settings import InvalidSetting

TOPOLOGY = Path(__file__).parents[1] / "topology" / "cosmos.json"
BLOBS = ("BlobConnection", "BlobConnection__blobServiceUri")


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tools.setup", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument(
        "--settings",
        type=Path,
        metavar="FILE",
        help="a local.settings.json; its values stand in for what is not in the environment",
    )
    options = parser.parse_args(arguments)
    try:
        values = {} if options.settings is None else _settings_in(options.settings)
        environment = {**values, **environment}
        cosmos = cosmos_connection(environment)
        blobs = blob_connection(environment) if any(environment.get(name) for name in BLOBS) else None
    except (InvalidSetting, OSError) as error:
        print(f"setup: {error}", file=sys.stderr)
        return 2
    try:
        asyncio.run(_set_up(cosmos, blobs))
    except SetupError as error:
        print(f"setup: {error}", file=sys.stderr)
        return 1
    return 0


async def _set_up(cosmos: Connection, blobs: Connection | None) -> None:
    """Raises SetupError."""
    await _set_up_one(cosmos, _containers_of_cosmos)
    if blobs is not None:
        await _set_up_one(blobs, _container_of_blobs)


async def _set_up_one(
    connection: Connection,
    create: Callable[[Connection, AsyncTokenCredential | None], Awaitable[None]],
) -> None:
    credential = None if connection.connection_string is not None else identity(connection)
    try:
        print(connection.endpoint)
        await create(connection, credential)
    except SetupError as error:
        raise SetupError(f"{connection.endpoint}: {error}") from error
    except ClientAuthenticationError as error:
        raise SetupError(f"{connection.endpoint}: {error.message}") from error
    finally:
        if credential is not None:
            await credential.close()


async def _containers_of_cosmos(connection: Connection, credential: AsyncTokenCredential | None) -> None:
    client = cosmos_client(connection, credential)
    try:
        async for found in set_up(client, read_topology(TOPOLOGY)):
            what = (
                f"database {found.database}" if found.container is None else f"  container {found.container}"
            )
            print(f"{what:<40} {found.state}")
    finally:
        await client.close()


async def _container_of_blobs(connection: Connection, credential: AsyncTokenCredential | None) -> None:
    async with blob_client(connection, credential) as client:
        try:
            created = await create_container(client)
        except BlobError as error:
            raise SetupError(str(error)) from error
    print(f"{f'  container {CONTAINER}':<40} {'created' if created else 'was there'}")


def _settings_in(path: Path) -> Mapping[str, str]:
    """Raises InvalidSetting, OSError."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InvalidSetting(f"{path}: not JSON: {error}") from error
    match content:
        case {"Values": dict(values)} if all(isinstance(value, str) for value in values.values()):
            return values
        case _:
            raise InvalidSetting(f"{path}: must have `Values`, an object of strings")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
