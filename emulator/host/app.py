"""The function app as read from its folder: functions, limits, routes. Read once per process."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from emulator.documents.model import Container
from emulator.documents.topology import TopologyError as CosmosTopologyError
from emulator.documents.topology import load_containers
from emulator.host.functions import AppRefused, Function
from emulator.host.http_routes import Routes
from emulator.host.limits import Limits, read_limits
from emulator.host.settings import load_local_settings
from emulator.host.worker import SCRIPT, index
from emulator.servicebus.topology import Topology, TopologyError, read_topology


@dataclass(frozen=True, slots=True)
class App:
    functions: tuple[Function, ...]
    limits: Limits
    routes: Routes
    queues: Topology
    containers: dict[str, Container]
    blob_containers: tuple[str, ...] = ()

    @property
    def is_durable(self) -> bool:
        durable = {"orchestrationTrigger", "activityTrigger"}
        return any(each.clients or each.trigger.type in durable for each in self.functions)


def load_app(directory: Path) -> App:
    """The app of a folder: host.json, local.settings.json, topology/*.json and the script of the functions.

    An app without a topology folder has no queues and no containers. Raises AppRefused.
    """
    if not directory.is_dir():
        raise AppRefused(f"{directory} is not a folder")
    load_local_settings(directory)
    limits = read_limits(directory)
    queues, containers = _topology(directory / "topology")
    blob_containers = _blob_containers(directory / "topology" / "storage.json")
    functions = index(directory, os.environ.get("PYTHON_SCRIPT_FILE_NAME", SCRIPT))
    return App(functions, limits, Routes(functions, limits.route_prefix), queues, containers, blob_containers)


def _topology(directory: Path) -> tuple[Topology, dict[str, Container]]:
    bus, cosmos = directory / "servicebus.json", directory / "cosmos.json"
    try:
        queues = read_topology(bus) if bus.is_file() else Topology()
        containers = dict(load_containers(cosmos)) if cosmos.is_file() else {}
    except (TopologyError, CosmosTopologyError) as error:
        raise AppRefused(str(error)) from None
    return queues, containers


def _blob_containers(path: Path) -> tuple[str, ...]:
    """{"blobContainers": [names]}"""
    if not path.is_file():
        return ()
    try:
        names = json.loads(path.read_text(encoding="utf-8"))["blobContainers"]
    except (ValueError, KeyError, TypeError) as error:
        raise AppRefused(f"{path}: must be an object with the list blobContainers ({error!r})") from None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise AppRefused(f"{path}: blobContainers must be a list of names")
    return tuple(names)
