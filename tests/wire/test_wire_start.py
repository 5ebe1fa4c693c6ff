"""`python -m emulator start --wire`, with real processes."""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from azure.cosmos.aio import CosmosClient
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient

from adapters.azure.blobs import AzureBlobs, blob_client, create_container
from adapters.azure.connections import blob_connection
from tools.emulator_process import WIRE, Emulator, EmulatorFailed, running

pytestmark = pytest.mark.slow

APP = Path(__file__).parents[1] / "emulator" / "apps" / "served"


@pytest.fixture
async def emulator(tmp_path: Path) -> AsyncIterator[Emulator]:
    async with running(tmp_path, app=APP, instances=2, options=WIRE) as emulator:
        yield emulator


async def said(emulator: Emulator, setting: str) -> str:
    """The value that is printed after the ready line."""
    for _ in range(100):
        lines = emulator.log.read_text().splitlines()
        for line in lines[[line.startswith("ready: ") for line in lines].index(True) :]:
            if line.startswith(f"{setting}="):
                return line.removeprefix(f"{setting}=")
        await asyncio.sleep(0.05)
    raise AssertionError(f"{setting} is not said")


async def test_the_printed_connection_strings_lead_to_the_apps_queues_and_containers(
    emulator: Emulator,
) -> None:
    async with (
        ServiceBusClient.from_connection_string(await said(emulator, "ServiceBusConnection")) as bus,
        bus.get_queue_sender("work") as sender,
    ):
        await sender.send_messages([ServiceBusMessage(b"", message_id=f"{number}") for number in range(20)])
    async with CosmosClient.from_connection_string(await said(emulator, "CosmosConnection")) as cosmos:
        (database,) = [each["id"] async for each in cosmos.list_databases()]
        done = cosmos.get_database_client(database).get_container_client("done")
        for _ in range(200):
            items = [item["id"] async for item in done.read_all_items()]
            if len(items) == 20:
                break
            await asyncio.sleep(0.05)
    assert sorted(items, key=int) == [f"{number}" for number in range(20)]


async def test_the_printed_connection_string_of_blobs_leads_to_what_the_instances_share(
    emulator: Emulator,
) -> None:
    connection = blob_connection({"BlobConnection": await said(emulator, "BlobConnection")})
    async with blob_client(connection) as client:
        assert await create_container(client, "labels")
    for number in range(8):  # on connections of their own, dealt to either instance
        async with blob_client(connection) as client:
            blobs = AzureBlobs(client, "labels")
            await blobs.put("a", b"%d" % number, "text/plain")
            url = await blobs.read_url("a", 60)
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            assert (answer.status, await answer.read()) == (200, b"%d" % number)


async def test_the_keys_stay_those_of_the_folder(tmp_path: Path) -> None:
    strings = []
    for _ in range(2):
        async with running(tmp_path, app=APP, options=WIRE) as emulator:
            strings.append(await said(emulator, "ServiceBusConnection"))
            emulator.log.rename(emulator.log.with_suffix(".old"))
    keys = [string.partition("SharedAccessKey=")[2] for string in strings]
    assert keys[0] == keys[1]


@pytest.mark.parametrize("flag", ["--amqp-port", "--cosmos-port"])
async def test_a_port_that_is_taken_is_named_with_its_flag(tmp_path: Path, flag: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        options = (*WIRE, flag, str(other.getsockname()[1]))
        with pytest.raises(EmulatorFailed, match=flag):
            async with running(tmp_path, app=APP, options=options):
                pass


async def test_without_the_flag_nothing_is_served(tmp_path: Path) -> None:
    async with running(tmp_path, app=APP) as emulator:
        assert "Connection=" not in emulator.log.read_text()
        assert not (tmp_path / "wire-keys.json").exists()
