"""Reads the containers of an app from its `topology/cosmos.json`."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from emulator.documents.model import Container

_PARTITION_KEY = re.compile(r"/([A-Za-z_][A-Za-z0-9_]*)")


class TopologyError(ValueError):
    """The file does not describe containers; the message names the field and the rule."""


def load_containers(path: Path) -> Mapping[str, Container]:
    """Containers by name; the file may name their `database`. Raises TopologyError, OSError."""
    try:
        topology: Any = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise TopologyError(f"{path}: not JSON: {error}") from error
    declared = topology.get("containers") if isinstance(topology, dict) else None
    if not isinstance(declared, list):
        raise TopologyError(f"{path}: `containers` must be a list")
    database = topology.get("database", "default")
    if not isinstance(database, str) or not database:
        raise TopologyError(f"{path}: `database` must be a non-empty string")
    containers: dict[str, Container] = {}
    for index, fields in enumerate(declared):
        container = _container(fields, database, f"{path}: containers[{index}]")
        if container.name in containers:
            raise TopologyError(f"{path}: containers[{index}].name: `{container.name}` is declared twice")
        containers[container.name] = container
    return containers


def _container(fields: object, database: str, where: str) -> Container:
    if not isinstance(fields, dict):
        raise TopologyError(f"{where} must be an object")
    name, key, ttl = fields.get("name"), fields.get("partitionKey"), fields.get("defaultTtl")
    if not isinstance(name, str) or not name:
        raise TopologyError(f"{where}.name must be a non-empty string")
    matched = _PARTITION_KEY.fullmatch(key) if isinstance(key, str) else None
    if matched is None:
        raise TopologyError(f"{where}.partitionKey must be `/` and the name of one top-level field")
    if ttl is not None and (not isinstance(ttl, int) or isinstance(ttl, bool) or (ttl < 1 and ttl != -1)):
        raise TopologyError(f"{where}.defaultTtl must be a number of seconds, or -1")
    return Container(name, matched[1], ttl, database)
