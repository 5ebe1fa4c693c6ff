"""Where the services are and who the app is: from settings, each mistake named by its rule, no key told."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from azure.identity.aio import DefaultAzureCredential, ManagedIdentityCredential

from adapters.azure import DATABASE, connect
from adapters.azure.connections import (
    Connection,
    blob_connection,
    cosmos_connection,
    identity,
    service_bus_connection,
)
from core.settings import InvalidSetting

ROOT = Path(__file__).parents[2]
KEY = "c2VjcmV0LWtleQ=="
BUS = f"Endpoint=sb://shop.servicebus.windows.net/;SharedAccessKeyName=app;SharedAccessKey={KEY}"
LOCAL_BUS = (
    f"Endpoint=sb://127.0.0.1:5673;SharedAccessKeyName=app;SharedAccessKey={KEY};UseDevelopmentEmulator=true;"
)
COSMOS = f"AccountEndpoint=https://shop.documents.azure.com:443/;AccountKey={KEY};"
BLOBS = f"DefaultEndpointsProtocol=https;AccountName=shop;AccountKey={KEY};EndpointSuffix=core.windows.net"
SIGNED = f"SharedAccessSignature=sv=2024&sig={KEY}"
READ = {
    "ServiceBusConnection": service_bus_connection,
    "CosmosConnection": cosmos_connection,
    "BlobConnection": blob_connection,
}


@pytest.mark.parametrize(
    ("name", "text", "endpoint"),
    [
        ("ServiceBusConnection", BUS, "shop.servicebus.windows.net"),
        ("ServiceBusConnection", LOCAL_BUS, "127.0.0.1:5673"),
        ("CosmosConnection", COSMOS, "https://shop.documents.azure.com:443/"),
        ("CosmosConnection", f"AccountEndpoint=http://127.0.0.1:8081/;AccountKey={KEY}", "http://127.0.0.1:8081/"),
        ("BlobConnection", BLOBS, "https://shop.blob.core.windows.net"),
        ("BlobConnection", f"AccountName=shop;AccountKey={KEY}", "https://shop.blob.core.windows.net"),
        ("BlobConnection", "UseDevelopmentStorage=true", "http://127.0.0.1:10000/devstoreaccount1"),
        (
            "BlobConnection",
            f"AccountName=a;AccountKey={KEY};BlobEndpoint=http://127.0.0.1:10001/a",
            "http://127.0.0.1:10001/a",
        ),
    ],
)  # fmt: skip
def test_a_connection_string_says_where_and_who(name: str, text: str, endpoint: str) -> None:
    assert READ[name]({name: f" {text} "}) == Connection(endpoint, text)


def test_an_address_is_used_with_the_identity_of_the_app() -> None:
    assert service_bus_connection(
        {"ServiceBusConnection__fullyQualifiedNamespace": "shop.servicebus.windows.net"}
    ) == Connection("shop.servicebus.windows.net")
    assert cosmos_connection(
        {
            "CosmosConnection__accountEndpoint": "https://shop.documents.azure.com",
            "CosmosConnection__credential": "managedidentity",
            "CosmosConnection__clientId": "7b0e",
        }
    ) == Connection("https://shop.documents.azure.com", client_id="7b0e", managed_identity=True)
    assert blob_connection(
        {"BlobConnection__blobServiceUri": "https://shop.blob.core.windows.net"}
    ) == Connection("https://shop.blob.core.windows.net")


def test_the_connection_string_wins_over_an_address_on_the_same_host() -> None:
    found = service_bus_connection(
        {
            "ServiceBusConnection": BUS,
            "ServiceBusConnection__fullyQualifiedNamespace": "Shop.ServiceBus.windows.net",
            "ServiceBusConnection__clientId": "7b0e",
        }
    )
    assert found == Connection("shop.servicebus.windows.net", BUS)


@pytest.mark.parametrize(
    ("name", "text", "suffix", "address"),
    [
        ("ServiceBusConnection", BUS, "fullyQualifiedNamespace", "other.servicebus.windows.net"),
        ("CosmosConnection", COSMOS, "accountEndpoint", "https://other.documents.azure.com"),
        ("BlobConnection", BLOBS, "blobServiceUri", "https://other.blob.core.windows.net"),
    ],
)
def test_two_hosts_for_one_service_are_refused(name: str, text: str, suffix: str, address: str) -> None:
    with pytest.raises(InvalidSetting, match=rf"^{name} and {name}__{suffix}: must name the same host") as no:
        READ[name]({name: text, f"{name}__{suffix}": address})
    assert "shop" in str(no.value)
    assert "other" in str(no.value)
    assert KEY not in str(no.value)


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("text", ["", "  "])
def test_what_is_missing_is_named_with_what_would_do(name: str, text: str) -> None:
    with pytest.raises(InvalidSetting, match=rf"^{name}: must be a connection string, or {name}__"):
        READ[name]({name: text})


@pytest.mark.parametrize(
    ("name", "text", "rule"),
    [
        ("ServiceBusConnection", KEY.strip("="), "Name=Value"),
        ("ServiceBusConnection", f"Endpoint=sb://h;{KEY.strip('=')}", "Name=Value"),
        ("ServiceBusConnection", f"SharedAccessKeyName=a;SharedAccessKey={KEY}", "must have Endpoint="),
        ("ServiceBusConnection", f"Endpoint=sb://h;SharedAccessKey={KEY}", "must have SharedAccessKeyName="),
        ("ServiceBusConnection", "Endpoint=sb://h;SharedAccessKeyName=a", "must have SharedAccessKey="),
        ("ServiceBusConnection", BUS.replace("sb://", "https://"), "Endpoint must be sb://host"),
        ("ServiceBusConnection", BUS.replace("sb://", ""), "Endpoint must be sb://host"),
        ("ServiceBusConnection", LOCAL_BUS.replace("5673", "567x3"), "Endpoint must be an address"),
        ("ServiceBusConnection", f"{BUS};EntityPath=payments", "EntityPath ties it to one entity"),
        ("ServiceBusConnection", LOCAL_BUS.replace("true", "True"), "UseDevelopmentEmulator must be true"),
        ("CosmosConnection", f"AccountKey={KEY}", "must have AccountEndpoint="),
        ("CosmosConnection", "AccountEndpoint=https://h/", "must have AccountKey="),
        ("CosmosConnection", f"AccountEndpoint=h;AccountKey={KEY}", "AccountEndpoint must be an http"),
        ("BlobConnection", f"AccountKey={KEY}", "must have AccountName="),
        ("BlobConnection", "AccountName=shop", "must have AccountKey="),
        ("BlobConnection", f"{BLOBS};BlobEndpoint=shop", "BlobEndpoint must be an http"),
        ("BlobConnection", f"SharedAccessSignature=sig={KEY}", "a SharedAccessSignature cannot sign"),
        ("BlobConnection", f"{SIGNED};BlobEndpoint=https://files.shop.com", "AccountName= and AccountKey="),
        ("BlobConnection", f"{SIGNED};AccountName=shop", "use the app's identity: .+__blobServiceUri"),
    ],
)
def test_a_connection_string_that_is_none_is_named_and_not_quoted(name: str, text: str, rule: str) -> None:
    with pytest.raises(InvalidSetting, match=rf"^{name}: .*{rule}") as refused:
        READ[name]({name: text})
    assert KEY.strip("=") not in str(refused.value)


@pytest.mark.parametrize(
    ("setting", "text", "rule"),
    [
        ("ServiceBusConnection__fullyQualifiedNamespace", "sb://shop.servicebus.windows.net", "a host name"),
        ("ServiceBusConnection__fullyQualifiedNamespace", "shop/payments", "a host name"),
        ("CosmosConnection__accountEndpoint", "shop.documents.azure.com", "an https:// address"),
        ("CosmosConnection__accountEndpoint", "http://127.0.0.1:8081", "an https:// address"),
        ("BlobConnection__blobServiceUri", "https://", "an https:// address"),
        ("BlobConnection__blobServiceUri", "https://files.shop.com", r"https://ACCOUNT\.blob\.core\."),
    ],
)
def test_an_address_that_is_none_is_refused_by_name(setting: str, text: str, rule: str) -> None:
    with pytest.raises(InvalidSetting, match=rf"^{setting}: must be {rule}"):
        READ[setting.partition("__")[0]]({setting: text})


def test_another_kind_of_credential_is_refused_by_name() -> None:
    with pytest.raises(InvalidSetting, match=r"^CosmosConnection__credential: must be managedidentity"):
        cosmos_connection(
            {"CosmosConnection__accountEndpoint": "https://h", "CosmosConnection__credential": "password"}
        )


def test_a_key_is_not_shown_where_a_connection_is() -> None:
    assert KEY not in repr(service_bus_connection({"ServiceBusConnection": BUS}))


async def test_without_a_key_the_app_is_who_azure_says() -> None:
    for connection, expected in (
        (Connection("h"), DefaultAzureCredential),
        (Connection("h", client_id="7b0e"), DefaultAzureCredential),
        (Connection("h", client_id="7b0e", managed_identity=True), ManagedIdentityCredential),
    ):
        async with identity(connection) as credential:
            assert isinstance(credential, expected)


def test_the_settings_of_all_services_are_checked_before_anything_is_opened() -> None:
    with pytest.raises(InvalidSetting, match=r"^ServiceBusConnection: "):
        connect({"CosmosConnection": COSMOS})
    with pytest.raises(InvalidSetting, match=r"^CosmosConnection: "):
        connect({"ServiceBusConnection": BUS})
    with pytest.raises(InvalidSetting, match=r"^BlobConnection: "):
        connect({"ServiceBusConnection": BUS, "CosmosConnection": COSMOS})


def test_the_database_is_that_of_the_topology() -> None:
    assert json.loads((ROOT / "topology" / "cosmos.json").read_text())["database"] == DATABASE


@pytest.mark.parametrize(
    ("settings", "code", "told"),
    [
        ({"ServiceBusConnection": BUS, "CosmosConnection": COSMOS, "BlobConnection": BLOBS}, 0, "[]"),
        ({"ServiceBusConnection": BUS}, 1, "CosmosConnection: must be a connection string"),
    ],
)
def test_the_app_is_indexed_without_the_emulator_a_connection_or_an_identity(
    settings: dict[str, str], code: int, told: str
) -> None:
    look = (
        "import sys, function_app; assert len(function_app.app.get_functions()) > 20;"
        "print([name for name in sys.modules if name.startswith(('emulator', 'azure.identity'))])"
    )
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", look],
        cwd=ROOT,
        env={"ORDERFLOW_ADAPTERS": "azure", "PATH": "", **settings},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == code, run.stderr
    assert told in run.stdout + run.stderr
    assert KEY not in run.stdout + run.stderr
