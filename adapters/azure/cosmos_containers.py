"""Brings the containers of `topology/cosmos.json` into being."""

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from azure.core.exceptions import ServiceRequestError, ServiceResponseError
from azure.cosmos import PartitionKey
from azure.cosmos.aio import CosmosClient, DatabaseProxy
from azure.cosmos.exceptions import (
    CosmosHttpResponseError,
    CosmosResourceExistsError,
    CosmosResourceNotFoundError,
)

_PARTITION_KEY = re.compile(r"/[A-Za-z_][A-Za-z0-9_]*")


class SetupError(Exception):
    """What is wrong, and with which database, container or field."""


@dataclass(frozen=True, slots=True)
class Container:
    """`default_ttl` in seconds: -1 leaves expiry to the items, None switches it off."""

    name: str
    partition_key: str
    default_ttl: int | None


@dataclass(frozen=True, slots=True)
class Topology:
    database: str
    containers: tuple[Container, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """`container` is None for the database itself."""

    database: str
    container: str | None
    state: Literal["created", "was there"]


def read_topology(path: Path) -> Topology:
    """Raises SetupError, OSError."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SetupError(f"{path}: not JSON: {error}") from error
    match content:
        case {"database": str(database), "containers": list(containers)} if database:
            declared = tuple(
                _container(fields, f"{path}: containers[{index}]") for index, fields in enumerate(containers)
            )
            return Topology(database, declared)
        case _:
            raise SetupError(f"{path}: must have `database`, a name, and `containers`, a list")


async def set_up(client: CosmosClient, topology: Topology) -> AsyncIterator[Found]:
    """Creates what is missing and compares what is there, which it never changes. Raises SetupError."""
    try:
        database = client.get_database_client(topology.database)
        yield Found(topology.database, None, await _ensure_database(client, database))
        for container in topology.containers:
            yield Found(topology.database, container.name, await _ensure_container(database, container))
    except CosmosHttpResponseError as error:
        raise SetupError(_refusal(error)) from error
    except (ServiceRequestError, ServiceResponseError) as error:
        raise SetupError(f"cannot be reached: {error.message}") from error


async def _ensure_database(client: CosmosClient, database: DatabaseProxy) -> Literal["created", "was there"]:
    try:
        await database.read()
    except CosmosResourceNotFoundError:
        try:
            await client.create_database(database.id)
        except CosmosResourceExistsError:
            return "was there"
        return "created"
    return "was there"


async def _ensure_container(database: DatabaseProxy, container: Container) -> Literal["created", "was there"]:
    proxy = database.get_container_client(container.name)
    try:
        _compare(container, await proxy.read())
    except CosmosResourceNotFoundError:
        try:
            await database.create_container(
                container.name, PartitionKey(container.partition_key), default_ttl=container.default_ttl
            )
        except CosmosResourceExistsError:
            _compare(container, await proxy.read())
            return "was there"
        return "created"
    return "was there"


def _compare(wanted: Container, found: dict[str, object]) -> None:
    """The partition key of a container cannot be changed, and another TTL is not for this to overwrite."""
    key = found.get("partitionKey")
    paths = key.get("paths") if isinstance(key, dict) else None
    if paths != [wanted.partition_key]:
        raise SetupError(
            f"container {wanted.name}: its partition key is {paths}, it must be [{wanted.partition_key!r}];"
            " delete the container if its items are not needed"
        )
    ttl = found.get("defaultTtl")
    if ttl != wanted.default_ttl:
        raise SetupError(
            f"container {wanted.name}: its default TTL is {ttl}, it must be {wanted.default_ttl}"
        )


def _refusal(error: CosmosHttpResponseError) -> str:
    if error.status_code == 401:
        return "the account does not take the key (401): copy the connection string again"
    if error.status_code == 403:
        return (
            "the identity may not create databases and containers (403): data roles never may;"
            " deploy infra/, or use a connection string"
        )
    return f"the account answered {error.status_code}: {error.message}"


def _container(fields: object, where: str) -> Container:
    if not isinstance(fields, dict):
        raise SetupError(f"{where} must be an object")
    name, key, ttl = fields.get("name"), fields.get("partitionKey"), fields.get("defaultTtl")
    if not isinstance(name, str) or not name:
        raise SetupError(f"{where}.name must be a non-empty string")
    if not isinstance(key, str) or _PARTITION_KEY.fullmatch(key) is None:
        raise SetupError(f"{where}.partitionKey must be `/` and the name of one top-level field")
    if ttl is not None and (not isinstance(ttl, int) or isinstance(ttl, bool) or (ttl < 1 and ttl != -1)):
        raise SetupError(f"{where}.defaultTtl must be a number of seconds, or -1")
    return Container(name, key, ttl)
