"""`python -m tools.setup` on the emulator's Cosmos DB endpoint and on Azurite."""

import asyncio
import base64
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from adapters.azure.connections import Connection
from adapters.azure.cosmos_client import cosmos_client
from adapters.azure.cosmos_containers import Container, SetupError, Topology, read_topology, set_up
from emulator.clock import SystemClock
from emulator.documents.engine import DocumentsEngine
from emulator.documents.schema import SCHEMA
from emulator.metrics import Metrics
from emulator.store import Store
from emulator.wire.cosmos.server import CosmosServer
from tests.wire.node_peers import azurite
from tools.setup import main

ROOT = Path(__file__).parents[2]
KEY = base64.b64encode(b"a key for tests of 64 bytes".ljust(64)).decode()
OTHER_KEY = base64.b64encode(b"another".ljust(64)).decode()
CONTAINERS = [
    one["name"] for one in json.loads((ROOT / "topology" / "cosmos.json").read_text())["containers"]
]


@pytest.fixture
async def endpoint(tmp_path: Path) -> AsyncIterator[str]:
    """Of an account without any database."""
    store = Store(tmp_path / "store", schema=SCHEMA, synchronous="OFF")
    server = CosmosServer(DocumentsEngine(store, SystemClock(), {}, Metrics()), KEY)
    await server.listen("127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.port}/"
    await server.close()
    await store.close()


type Command = Callable[..., Awaitable[tuple[int, str, str]]]


@pytest.fixture
def setup_command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Gives the exit code and what is written to stdout and stderr."""

    async def run(*arguments: str, **settings: str) -> tuple[int, str, str]:
        code = await asyncio.to_thread(main, arguments, settings)
        return code, *capsys.readouterr()

    return run


async def states(endpoint: str, topology: Topology, key: str = KEY) -> dict[str | None, str]:
    client = cosmos_client(Connection(endpoint, f"AccountEndpoint={endpoint};AccountKey={key};"))
    try:
        return {found.container: found.state async for found in set_up(client, topology)}
    finally:
        await client.close()


async def test_the_command_creates_everything_and_again_finds_it_there(
    setup_command: Command, endpoint: str
) -> None:
    connection = f"AccountEndpoint={endpoint};AccountKey={KEY};"
    for state in ("created", "was there"):
        code, out, err = await setup_command(CosmosConnection=connection)
        assert (code, err) == (0, "")
        first, *lines = out.splitlines()
        assert first == endpoint
        assert [line.split()[1] for line in lines] == ["orderflow", *CONTAINERS]
        assert all(line.endswith(f" {state}") for line in lines)


async def test_the_command_creates_the_container_of_the_blobs_too(
    setup_command: Command, endpoint: str, tmp_path: Path
) -> None:
    (tmp_path / "azurite").mkdir()
    with azurite(tmp_path / "azurite") as blobs:
        cosmos = f"AccountEndpoint={endpoint};AccountKey={KEY};"
        code, out, err = await setup_command(CosmosConnection=cosmos, BlobConnection=blobs)
    assert (code, err) == (0, "")
    assert out.splitlines()[-1].split() == ["container", "orderflow", "created"]
    assert out.splitlines()[-2].endswith("/orderflow")


async def test_the_command_takes_what_is_not_in_the_environment_from_a_settings_file(
    setup_command: Command, endpoint: str, tmp_path: Path
) -> None:
    settings = tmp_path / "local.settings.json"
    values = {"CosmosConnection": f"AccountEndpoint={endpoint};AccountKey={KEY};"}
    settings.write_text(json.dumps({"IsEncrypted": False, "Values": values}))
    code, out, _ = await setup_command("--settings", str(settings))
    assert code == 0
    assert "created" in out
    wrong = f"AccountEndpoint={endpoint};AccountKey={OTHER_KEY};"
    code, _, err = await setup_command("--settings", str(settings), CosmosConnection=wrong)
    assert code == 1
    assert f"setup: {endpoint}: the account does not take the key (401)" in err
    assert OTHER_KEY not in err


def test_the_command_can_be_run() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tools.setup"], cwd=ROOT, env={}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "setup: CosmosConnection: must be" in done.stderr


async def test_the_command_names_a_missing_setting(setup_command: Command, tmp_path: Path) -> None:
    code, out, err = await setup_command()
    assert (code, out) == (2, "")
    assert "setup: CosmosConnection: must be" in err
    (tmp_path / "broken.json").write_text("{")
    code, _, err = await setup_command("--settings", str(tmp_path / "broken.json"))
    assert code == 2
    assert "broken.json: not JSON" in err


async def test_an_endpoint_that_is_not_there_is_named(setup_command: Command, unused_tcp_port: int) -> None:
    endpoint = f"http://127.0.0.1:{unused_tcp_port}/"
    code, _, err = await setup_command(CosmosConnection=f"AccountEndpoint={endpoint};AccountKey={KEY};")
    assert code == 1
    assert f"setup: {endpoint}: cannot be reached" in err


async def test_another_partition_key_or_ttl_is_named_and_nothing_is_changed(endpoint: str) -> None:
    there = Topology("shop", (Container("orders", "/stream", -1),))
    assert await states(endpoint, there) == {None: "created", "orders": "created"}
    with pytest.raises(SetupError, match=r"container orders: its partition key is \['/stream'\].*'/id'"):
        await states(endpoint, Topology("shop", (Container("orders", "/id", -1),)))
    with pytest.raises(SetupError, match=r"container orders: its default TTL is -1, it must be None"):
        await states(endpoint, Topology("shop", (Container("orders", "/stream", None),)))
    more = Topology("shop", (*there.containers, Container("leases", "/id", 60)))
    assert await states(endpoint, more) == {None: "was there", "orders": "was there", "leases": "created"}


async def test_many_may_set_up_at_once(endpoint: str) -> None:
    topology = read_topology(ROOT / "topology" / "cosmos.json")
    done = await asyncio.gather(*(states(endpoint, topology) for _ in range(4)))
    for container in (None, *CONTAINERS):
        assert [one[container] for one in done].count("created") == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ('{"containers": []}', "`database`"),
        ('{"database": "d", "containers": [{"name": "", "partitionKey": "/id"}]}', r"containers\[0\].name"),
        ('{"database": "d", "containers": [{"name": "a", "partitionKey": "id"}]}', "partitionKey"),
        (
            '{"database": "d", "containers": [{"name": "a", "partitionKey": "/id", "defaultTtl": 0}]}',
            "defaultTtl",
        ),
    ],
)
def test_a_topology_that_is_wrong_is_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "cosmos.json"
    path.write_text(content)
    with pytest.raises(SetupError, match=message):
        read_topology(path)
