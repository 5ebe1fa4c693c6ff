"""`python -m tools.doctor [--port 7071]`: exit 0 when the embedded emulator can run, whatever else is not."""

import argparse
import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from adapters.easypost.settings import NAMES as EASYPOST_NAMES
from adapters.easypost.settings import read_easypost_settings
from adapters.notifications.settings import read_notification_settings
from adapters.stripe.settings import NAMES, read_stripe_settings
from core.settings import read_settings
from tools.doctor import endpoints, entities, machine, outside, settings
from tools.doctor.findings import Finding, Place, Status, report

PROJECT = Path(__file__).parents[2]
PACKAGES = (
    "aiohttp",
    "azure.cosmos",
    "azure.durable_functions",
    "azure.functions",
    "azure.identity",
    "azure.servicebus",
    "azure.storage.blob",
    "azure_functions_runtime",
    "orjson",
)
WIRE_PORTS = (5672, 8081)


def embedded(port: int, missing: Sequence[str]) -> list[Finding]:
    return [
        machine.operating_system(platform.system(), platform.release()),
        machine.python(sys.version_info[:3]),
        machine.packages(missing),
        endpoints.own_port(outside.ask, port),
        endpoints.wire_ports(outside.ask, WIRE_PORTS),
        machine.node(outside.run),
    ]


def func_start(missing: Sequence[str]) -> list[Finding]:
    example = settings.values_of((PROJECT / f"{settings.FILE}.example").read_text())
    path = PROJECT / settings.FILE
    text = path.read_text() if path.is_file() else None
    of_app = [read_settings, _read_notification_settings, _read_payment_settings, _read_carrier_settings]
    readers = of_app if missing else [*of_app, *_readers_of_connections()]
    known = (NAMES | EASYPOST_NAMES).union(*map(settings.names_read_by, of_app))
    about_settings = settings.local_settings(text, example, known, readers, os.environ)
    values = {} if text is None or missing or _any_wrong(about_settings) else settings.values_of(text)
    listening = endpoints.emulators(outside.ask, endpoints.EMULATORS, "make emulators")
    if settings.uses_scheduler(values):
        listening += endpoints.emulators(outside.ask, endpoints.SCHEDULER, "make emulators SCHEDULER=1")
    found = [
        machine.core_tools(outside.run),
        *machine.docker(outside.run),
        machine.architecture(platform.machine()),
        *about_settings,
        *listening,
    ]
    if values and not _any_wrong(listening):
        found += topology({**values, **os.environ})
    return found


def topology(environment: Mapping[str, str]) -> list[Finding]:
    bus = json.loads((PROJECT / "topology" / "servicebus.json").read_bytes())
    cosmos = json.loads((PROJECT / "topology" / "cosmos.json").read_bytes())
    storage = json.loads((PROJECT / "topology" / "storage.json").read_bytes())
    return [
        entities.bus_entities(partial(outside.entities_there, environment), entities.entity_names(bus)),
        entities.containers(partial(outside.container_keys, environment, cosmos["database"]), cosmos),
        entities.blob_containers(partial(outside.blob_containers_there, environment), storage),
    ]


def missing_packages() -> list[str]:
    def is_there(name: str) -> bool:
        try:
            return find_spec(name) is not None
        except ModuleNotFoundError:  # its parent package
            return False

    return [name for name in PACKAGES if not is_there(name)]


def _read_payment_settings(values: Mapping[str, str]) -> object:
    return read_stripe_settings(values) if values.get("ORDERFLOW_PAYMENT_GATEWAY") == "stripe" else None


def _read_carrier_settings(values: Mapping[str, str]) -> object:
    used = "easypost" in values.get("ORDERFLOW_CARRIERS", "")
    return read_easypost_settings(values) if used else None


def _read_notification_settings(values: Mapping[str, str]) -> object:
    return read_notification_settings(values, values.get("ORDERFLOW_ADAPTERS", ""))


def _readers_of_connections() -> list[settings.Read]:
    from adapters.azure.connections import (  # noqa: PLC0415  (needs packages)
        blob_connection,
        cosmos_connection,
        service_bus_connection,
    )

    return [service_bus_connection, cosmos_connection, blob_connection]


def _any_wrong(findings: Sequence[Finding]) -> bool:
    return any(finding.status is Status.WRONG for finding in findings)


def main() -> int:
    parser = argparse.ArgumentParser(prog="doctor", description=__doc__)
    parser.add_argument("--port", type=int, default=7071, help="where make start shall serve")
    port = parser.parse_args().port
    missing = missing_packages()
    here = Place("embedded emulator", "make demo, make start, make test", embedded(port, missing))
    with_docker = Place("func start", "make emulators, make func", func_start(missing))
    print("\n".join(report([here, with_docker])))
    return 1 if here.to_mend else 0


if __name__ == "__main__":
    sys.exit(main())
