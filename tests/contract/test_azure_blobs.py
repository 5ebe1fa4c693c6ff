"""The Azure blobs adapter keeps the contract of the port, on Azurite."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from itertools import count

import aiohttp
import pytest

from adapters.azure.blobs import AzureBlobs, blob_client, create_container
from adapters.azure.connections import Connection, blob_connection
from core.blobs import Blob, BlobError, Blobs, BlobsUnavailable
from tests.contract.blobs_suite import LABEL, BlobsSuite
from tests.wire.node_peers import azurite

# The SDK hands a blob of more than a mebibyte over in one piece.
pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")

NEVER_S = 10.0


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    with azurite(tmp_path_factory.mktemp("azurite")) as text:
        yield blob_connection({"BlobConnection": text})


class TestAzureBlobs(BlobsSuite):
    numbers = count()

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

    async def test_a_server_that_is_not_there_is_worth_another_try(self, unused_tcp_port: int) -> None:
        text = f"AccountName=a;AccountKey=a2V5;BlobEndpoint=http://127.0.0.1:{unused_tcp_port}/a;"
        async with blob_client(blob_connection({"BlobConnection": text})) as client:
            with pytest.raises(BlobsUnavailable):
                await AzureBlobs(client).get("a")
