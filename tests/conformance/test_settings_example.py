"""Every setting that something asks for is in local.settings.json.example, and nothing else is."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from adapters.azure.connections import blob_connection, cosmos_connection, service_bus_connection
from adapters.notifications.settings import read_notification_settings
from core.settings import read_settings
from tests.conformance.host_json_keys import KNOWN, unknown_keys
from tests.conformance.indexed import PROJECT, Indexed

PLATFORM = {
    "FUNCTIONS_WORKER_RUNTIME": "Core Tools starts the worker of this language",
    "AzureWebJobsStorage": "the host keeps keys, timers and its own leases there; so does Durable on Azurite",
}
"""What the host itself reads, and why it is there."""

OVERRIDE = "AzureFunctionsJobHost__"
NAMES_A_SETTING = ("connection", "leaseConnection", "connectionName")


class Noting(dict[str, str]):
    """An environment that notes which settings are asked for."""

    def __init__(self, values: Mapping[str, str]) -> None:
        super().__init__(values)
        self.asked: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        self.asked.add(key)
        return super().get(key, default)

    def __getitem__(self, key: str) -> str:
        self.asked.add(key)
        return super().__getitem__(key)


READERS: tuple[Callable[[Mapping[str, str]], object], ...] = (
    read_settings,
    service_bus_connection,
    cosmos_connection,
    blob_connection,
    lambda environment: read_notification_settings(environment, "azure"),
)


def placeholders(value: object) -> Iterator[str]:
    """`%NAME%` anywhere in a document."""
    if isinstance(value, str):
        yield from re.findall(r"%(\w+)%", value)
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from placeholders(each)
    elif isinstance(value, list):
        for each in value:
            yield from placeholders(each)


def test_every_setting_that_a_binding_names_is_there(
    functions: list[Indexed], example: Mapping[str, str]
) -> None:
    bindings = [binding for function in functions for binding in function.bindings]
    named = {binding[key] for binding in bindings for key in NAMES_A_SETTING if key in binding}
    assert named == {"ServiceBusConnection", "CosmosConnection"}
    assert named | {name for binding in bindings for name in placeholders(binding)} <= example.keys()


def test_every_setting_that_host_json_names_is_there(
    host: Mapping[str, Any], example: Mapping[str, str]
) -> None:
    storage = host["extensions"]["durableTask"]["storageProvider"]
    named = {*placeholders(host), storage["connectionStringName"]}
    assert named == {"TASKHUB_NAME", "DURABLE_TASK_SCHEDULER_CONNECTION_STRING"}
    assert named <= example.keys()


def test_nothing_is_there_that_nobody_reads(
    functions: list[Indexed], host: Mapping[str, Any], example: Mapping[str, str]
) -> None:
    noting = Noting(example)
    for read in READERS:
        read(noting)
    read_by_host = {
        *placeholders(host),
        host["extensions"]["durableTask"]["storageProvider"]["connectionStringName"],
    }
    overrides = {name for name in example if name.startswith(OVERRIDE)}
    assert example.keys() - noting.asked - read_by_host - overrides == PLATFORM.keys()


def test_an_override_names_a_key_that_host_json_may_have(example: Mapping[str, str]) -> None:
    overrides = {name: value for name, value in example.items() if name.startswith(OVERRIDE)}
    assert len(overrides) == 3
    for name, value in overrides.items():
        document: object = value
        for part in reversed(name.removeprefix(OVERRIDE).split("__")):
            document = {part: document}
        assert list(unknown_keys(document, KNOWN)) == [], name


def test_durable_is_on_azurite_by_default_and_host_json_is_for_azure(
    host: Mapping[str, Any], example: Mapping[str, str]
) -> None:
    storage = f"{OVERRIDE}extensions__durableTask__storageProvider__"
    assert host["extensions"]["durableTask"]["storageProvider"] == {
        "type": "azureManaged",
        "connectionStringName": "DURABLE_TASK_SCHEDULER_CONNECTION_STRING",
    }
    assert example[f"{storage}type"] == "AzureStorage"
    assert example[f"{storage}connectionStringName"] == "AzureWebJobsStorage"


def test_the_connections_lead_to_ports_of_the_compose_file(example: Mapping[str, str]) -> None:
    """Service Bus without a port means 5672, development storage 10000 to 10002."""
    published = set(re.findall(r'"127\.0\.0\.1:(\d+):', (PROJECT / "docker-compose.yml").read_text()))
    named = {port for value in example.values() for port in re.findall(r"://[\w.]+:(\d+)", value)}
    assert named == {"8081", "8090", "10000"}
    assert named | {"5672", "10001", "10002"} <= published
    assert "sb://localhost;" in example["ServiceBusConnection"]
    assert example["AzureWebJobsStorage"] == "UseDevelopmentStorage=true"


def test_the_scheduler_emulator_has_the_hub_of_the_example(example: Mapping[str, str]) -> None:
    compose = (PROJECT / "docker-compose.yml").read_text()
    [hubs] = re.findall(r"DTS_TASK_HUB_NAMES: (\S+)", compose)
    assert example["TASKHUB_NAME"] in hubs.split(",")
    assert f"TaskHub={example['TASKHUB_NAME']};" in example["DURABLE_TASK_SCHEDULER_CONNECTION_STRING"]
    # Of the tables and queues that Durable makes of it on Azure Storage.
    assert re.fullmatch(r"[A-Za-z][A-Za-z0-9]{2,44}", example["TASKHUB_NAME"])
