"""`python -m tools.setup`: creates the database and the containers of `topology/cosmos.json`.

Where, the settings say: `CosmosConnection` or `CosmosConnection__accountEndpoint`. What is there already is
compared and left alone, so it may run again and again.
"""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from adapters.azure.connections import Connection, cosmos_connection, identity
from adapters.azure.cosmos_client import cosmos_client
from adapters.azure.cosmos_containers import SetupError, read_topology, set_up
from core.settings import InvalidSetting

TOPOLOGY = Path(__file__).parents[1] / "topology" / "cosmos.json"


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tools.setup", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument(
        "--settings",
        type=Path,
        metavar="FILE",
        help="a local.settings.json; its values stand in for what is not in the environment",
    )
    arguments = parser.parse_args()
    try:
        values = {} if arguments.settings is None else _settings_in(arguments.settings)
        connection = cosmos_connection({**values, **os.environ})
    except (InvalidSetting, OSError) as error:
        print(f"setup: {error}", file=sys.stderr)
        return 2
    try:
        asyncio.run(_set_up(connection))
    except SetupError as error:
        print(f"setup: {connection.endpoint}: {error}", file=sys.stderr)
        return 1
    return 0


async def _set_up(connection: Connection) -> None:
    topology = read_topology(TOPOLOGY)
    credential = None if connection.connection_string is not None else identity(connection)
    client = cosmos_client(connection, credential)
    try:
        print(connection.endpoint)
        async for found in set_up(client, topology):
            what = f"database {found.database}" if found.container is None else f"  {found.container}"
            print(f"{what:<24} {found.state}")
    finally:
        await client.close()
        if credential is not None:
            await credential.close()


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
    sys.exit(main())
