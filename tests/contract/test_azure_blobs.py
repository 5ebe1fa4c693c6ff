"""The Azure blobs adapter keeps the contract of the port, on Azurite and on the emulator's endpoint."""

import asyncio
import base64
import re
import time
from abc import abstractmethod
from collections.abc import AsyncIterator, Iterator, Mapping
from email.utils import formatdate
from itertools import count
from pathlib import Path

import aiohttp
import pytest
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceExistsError
from azure.core.pipeline import PipelineRequest
from azure.core.rest import HttpRequest
from azure.storage.blob import BlobType

from adapters.azure.blobs import AzureBlobs, blob_client, create_container
from adapters.azure.connections import Connection, blob_connection
from core.blobs import Blob, BlobError, Blobs, BlobsUnavailable
from emulator.blobs import FILE, BlobsEngine
from emulator.clock import SystemClock
from emulator.host.http_server import HttpServer
from emulator.http import HttpAnswer
from emulator.wire.keys import load_or_create, storage_connection_string
from emulator.wire.storage import BlobStorage
from tests.contract.blobs_suite import LABEL, BlobsSuite
from tests.wire.node_peers import azurite

# The SDK hands a blob of more than a mebibyte over in one piece.
pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")

NEVER_S = 10.0


class AzureBlobsSuite(BlobsSuite):
    numbers = count()

    @pytest.fixture
    @abstractmethod
    def connection(self) -> Connection: ...

    @pytest.fixture
    async def blobs(self, connection: Connection) -> AsyncIterator[Blobs]:
        async with blob_client(connection) as client:
            container = f"orderflow-{next(self.numbers)}"
            assert await create_container(client, container)
            yield AzureBlobs(client, container)

    async def fetch(self, url: str) -> Blob | None:
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            if answer.status in {401, 403, 404, 409}:
                return None
            assert answer.status == 200
            return Blob(await answer.read(), answer.headers["content-type"])

    async def expire(self, url: str) -> None:
        """The server's clock is the real one."""
        async with asyncio.timeout(NEVER_S):
            while await self.fetch(url) is not None:  # noqa: ASYNC110  (another process's doing)
                await asyncio.sleep(0.1)

    async def test_a_read_url_does_not_let_write_or_list(self, blobs: Blobs) -> None:
        await blobs.put("a", LABEL.content, LABEL.content_type)
        url = await blobs.read_url("a", 60)
        async with aiohttp.ClientSession(headers={"x-ms-blob-type": "BlockBlob"}) as session:
            assert (await session.put(url, data=b"other")).status == 403
            assert (await session.delete(url)).status == 403
            assert (await session.get(url.replace("/a?", "/b?"))).status == 403
        assert await blobs.get("a") == LABEL

    async def test_a_container_is_created_once(self, connection: Connection) -> None:
        async with blob_client(connection) as client:
            assert [await create_container(client, "twice") for _ in range(2)] == [True, False]

    async def test_a_missing_container_is_named_and_is_no_missing_blob(self, connection: Connection) -> None:
        async with blob_client(connection) as client:
            blobs = AzureBlobs(client, "nowhere")
            for request in (blobs.put("a", b"", "text/plain"), blobs.get("a")):
                with pytest.raises(BlobError, match="container") as caught:
                    await request
                assert type(caught.value) is BlobError

    async def test_the_wrong_key_is_refused(self, connection: Connection) -> None:
        assert connection.connection_string is not None
        key = base64.b64encode(b"another key").decode()
        text = re.sub("AccountKey=[^;]*", f"AccountKey={key}", connection.connection_string)
        async with blob_client(blob_connection({"BlobConnection": text})) as client:
            with pytest.raises(HttpResponseError) as caught:
                await AzureBlobs(client, "twice").get("a")
            assert caught.value.status_code == 403
            url = await AzureBlobs(client, "twice").read_url("a", 60)
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            assert answer.status == 403

    async def test_a_server_that_is_not_there_is_worth_another_try(self, unused_tcp_port: int) -> None:
        text = f"AccountName=a;AccountKey=a2V5;BlobEndpoint=http://127.0.0.1:{unused_tcp_port}/a;"
        async with blob_client(blob_connection({"BlobConnection": text})) as client:
            with pytest.raises(BlobsUnavailable):
                await AzureBlobs(client).get("a")


@pytest.fixture(scope="module")
def on_azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    with azurite(tmp_path_factory.mktemp("azurite")) as text:
        yield blob_connection({"BlobConnection": text})


class TestAzureBlobsOnAzurite(AzureBlobsSuite):
    @pytest.fixture
    def connection(self, on_azurite: Connection) -> Connection:
        return on_azurite


class TestAzureBlobsOnTheEmulator(AzureBlobsSuite):
    @pytest.fixture
    async def connection(self, tmp_path: Path) -> AsyncIterator[Connection]:
        keys = load_or_create(tmp_path)
        engine = BlobsEngine(tmp_path / FILE, SystemClock(), "http://127.0.0.1", {"of-the-topology"})
        storage = BlobStorage(engine, keys.storage_key, SystemClock())

        async def answer(method: str, url: str, headers: Mapping[str, str], body: bytes) -> HttpAnswer:
            return storage.answer(method, url, headers, body)

        server = HttpServer(answer, 2**24)
        await server.listen("127.0.0.1", 0)
        text = storage_connection_string(keys, "127.0.0.1", server.port)
        yield blob_connection({"BlobConnection": text})
        await server.close()
        engine.close()

    async def test_a_container_of_the_topology_is_there(self, connection: Connection) -> None:
        async with blob_client(connection) as client:
            assert not await create_container(client, "of-the-topology")
            blobs = AzureBlobs(client, "of-the-topology")
            await blobs.put("a", LABEL.content, LABEL.content_type)
            assert await blobs.get("a") == LABEL

    @pytest.mark.parametrize("name", ["A", "a", "-ab", "a--b", "a_b"])
    async def test_what_is_no_container_name_is_refused(self, connection: Connection, name: str) -> None:
        async with blob_client(connection) as client:
            with pytest.raises(BlobError, match="400"):
                await create_container(client, name)

    async def test_what_is_not_served_is_refused_by_name(self, connection: Connection) -> None:
        async with blob_client(connection) as client:
            container = client.get_container_client("of-the-topology")
            with pytest.raises(HttpResponseError) as caught:
                await container.get_blob_client("a").undelete_blob()
            assert (caught.value.status_code, caught.value.error_code) == (501, "NotImplemented")
            with pytest.raises(HttpResponseError, match="block blobs"):
                await container.upload_blob("a", b"x" * 512, BlobType.PAGEBLOB)

    async def test_a_blob_is_read_in_parts_and_not_overwritten_unasked(self, connection: Connection) -> None:
        async with blob_client(connection) as client:
            blob = client.get_container_client("of-the-topology").get_blob_client("a")
            await blob.upload_blob(b"0123456789")
            assert await (await blob.download_blob(offset=3, length=4)).readall() == b"3456"
            assert await (await blob.download_blob(offset=8)).readall() == b"89"
            with pytest.raises(ResourceExistsError):
                await blob.upload_blob(b"other")
            assert (await blob.get_blob_properties()).size == 10

    async def test_a_request_without_key_or_of_another_time_is_refused(self, connection: Connection) -> None:
        url = f"{connection.endpoint}/of-the-topology/a"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            assert answer.status == 401
            assert "NoAuthenticationInformation" in await answer.text()
        async with blob_client(connection) as client:
            blob = client.get_container_client("of-the-topology").get_blob_client("a")

            def an_hour_ago(request: PipelineRequest[HttpRequest]) -> None:
                request.http_request.headers["x-ms-date"] = formatdate(time.time() - 3600, usegmt=True)

            with pytest.raises(ClientAuthenticationError, match="date"):
                await blob.upload_blob(b"", raw_request_hook=an_hour_ago)
