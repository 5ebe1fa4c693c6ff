from pathlib import Path

import orjson
import pytest

from emulator.documents.model import Container
from emulator.documents.topology import TopologyError, load_containers

TOPOLOGY = Path(__file__).parents[2] / "topology" / "cosmos.json"


def declare(tmp_path: Path, *containers: object) -> Path:
    path = tmp_path / "cosmos.json"
    path.write_bytes(orjson.dumps({"database": "orderflow", "containers": containers}))
    return path


def test_the_apps_containers_are_read() -> None:
    containers = load_containers(TOPOLOGY)
    assert containers["orders"] == Container("orders", "stream", -1, "orderflow")
    assert {"inventory", "leases", "order-list"} <= containers.keys()


def test_a_container_without_a_ttl_has_expiry_switched_off(tmp_path: Path) -> None:
    path = declare(tmp_path, {"name": "a", "partitionKey": "/id"})
    assert load_containers(path) == {"a": Container("a", "id", None, "orderflow")}


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"partitionKey": "/id"}, r"containers\[1\].name"),
        ({"name": "", "partitionKey": "/id"}, r"containers\[1\].name"),
        ({"name": "first", "partitionKey": "/id"}, "`first` is declared twice"),
        ({"name": "a"}, r"containers\[1\].partitionKey"),
        ({"name": "a", "partitionKey": "id"}, r"containers\[1\].partitionKey"),
        ({"name": "a", "partitionKey": "/a/b"}, r"containers\[1\].partitionKey"),
        ({"name": "a", "partitionKey": "/id", "defaultTtl": 0}, r"containers\[1\].defaultTtl"),
        ({"name": "a", "partitionKey": "/id", "defaultTtl": True}, r"containers\[1\].defaultTtl"),
        ("a", r"containers\[1\] must be an object"),
    ],
)
def test_what_is_declared_wrongly_is_named(tmp_path: Path, fields: object, named: str) -> None:
    path = declare(tmp_path, {"name": "first", "partitionKey": "/id"}, fields)
    with pytest.raises(TopologyError, match=named):
        load_containers(path)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"containers": {}}'])
def test_a_file_that_describes_no_containers_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "cosmos.json"
    path.write_text(text)
    with pytest.raises(TopologyError):
        load_containers(path)
