"""The keys in the state folder."""

import base64
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from emulator.wire.endpoints import connection_settings, export
from emulator.wire.keys import KeysError, WireKeys, load_or_create

KEYS = WireKeys("c2VydmljZSBidXM=", "Y29zbW9z", "c3RvcmFnZQ==")


def test_keys_are_random_of_their_length_and_kept(tmp_path: Path) -> None:
    keys = load_or_create(tmp_path)
    assert load_or_create(tmp_path) == keys
    assert len(base64.b64decode(keys.servicebus_key)) == 32
    assert len(base64.b64decode(keys.cosmos_key)) == 64
    assert len(base64.b64decode(keys.storage_key)) == 64
    (tmp_path / "other").mkdir()
    assert load_or_create(tmp_path / "other") != keys


def test_only_their_owner_may_read_them_and_no_draft_is_left(tmp_path: Path) -> None:
    load_or_create(tmp_path)
    (file,) = tmp_path.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_all_who_start_at_once_have_the_same(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as threads:
        assert len(set(threads.map(lambda _: load_or_create(tmp_path), range(16)))) == 1


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"servicebus_key": 1}', '{"servicebus_key": "??"}', '{"servicebus_key": "YQ=="}'],
)
def test_a_damaged_file_is_named_with_what_to_do(tmp_path: Path, text: str) -> None:
    (tmp_path / "wire-keys.json").write_text(text)
    with pytest.raises(KeysError, match=r"wire-keys\.json.*delete it"):
        load_or_create(tmp_path)


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeysError, match="missing"):
        load_or_create(tmp_path / "missing")


@pytest.mark.parametrize(
    ("host", "authority"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("box", "box")],  # noqa: S104
)
def test_the_settings_say_where_to_connect(host: str, authority: str) -> None:
    assert connection_settings(KEYS, host, 5672, 8081, 7071) == {
        "ServiceBusConnection": (
            f"Endpoint=sb://{authority}:5672;SharedAccessKeyName=RootManageSharedAccessKey;"
            "SharedAccessKey=c2VydmljZSBidXM=;UseDevelopmentEmulator=true;"
        ),
        "CosmosConnection": f"AccountEndpoint=http://{authority}:8081/;AccountKey=Y29zbW9z;",
        "BlobConnection": (
            "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey=c3RvcmFnZQ==;"
            f"BlobEndpoint=http://{authority}:7071/devstoreaccount1;"
        ),
    }


def test_a_setting_that_the_app_has_wins() -> None:
    environment = {"CosmosConnection__accountEndpoint": "https://mine"}
    export({"ServiceBusConnection": "a", "CosmosConnection": "b"}, environment)
    assert environment == {"CosmosConnection__accountEndpoint": "https://mine", "ServiceBusConnection": "a"}
    export({"ServiceBusConnection": "c"}, environment)
    assert environment["ServiceBusConnection"] == "a"
