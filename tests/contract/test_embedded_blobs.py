"""The embedded blobs adapter keeps the contract of the port."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from adapters.embedded.blobs import CONTAINER, EmbeddedBlobs
from core.blobs import Blob, Blobs, BlobsUnavailable
from emulator.blobs import FILE, BlobsEngine
from tests.contract.blobs_suite import LABEL, BlobsSuite
from tests.contract.engine_suite import HandClock


class TestEmbeddedBlobs(BlobsSuite):
    @pytest.fixture
    def engine(self, tmp_path: Path) -> Iterator[BlobsEngine]:
        self.clock = HandClock()
        self.path = tmp_path / FILE
        self.engine_here = BlobsEngine(self.path, self.clock, "http://127.0.0.1:7071", [CONTAINER])
        yield self.engine_here
        self.engine_here.close()

    @pytest.fixture
    def blobs(self, engine: BlobsEngine) -> Blobs:
        return EmbeddedBlobs(lambda: engine)

    async def fetch(self, url: str) -> Blob | None:
        parts = urlsplit(url)
        answer = self.engine_here.answer("GET", parts.path, parts.query)
        return Blob(answer.body, answer.headers["content-type"]) if answer.status == 200 else None

    async def expire(self, url: str) -> None:
        self.clock.now += 3

    async def test_another_process_reads_what_was_put_and_honours_its_urls(self, blobs: Blobs) -> None:
        await blobs.put("a", LABEL.content, LABEL.content_type)
        url = urlsplit(await blobs.read_url("a", 60))
        other = BlobsEngine(self.path, self.clock, "http://127.0.0.1:7071", [CONTAINER])
        answer = other.answer("GET", url.path, url.query)
        other.close()
        assert (answer.status, answer.body) == (200, LABEL.content)

    @pytest.mark.parametrize(
        ("name", "old", "new"),
        [
            ("the name", "/a?", "/b?"),
            ("the time", "until=", "until=9"),
            ("no time", "until=", "until=x"),
            ("the signature", "signature=", "signature=0"),
            ("a signature that is no ASCII", "signature=", "signature=%C3%BC"),
        ],
    )
    async def test_a_url_that_was_changed_is_refused(
        self, blobs: Blobs, name: str, old: str, new: str
    ) -> None:
        for each in ("a", "b"):
            await blobs.put(each, LABEL.content, LABEL.content_type)
        url = await blobs.read_url("a", 60)
        assert old in url, name
        assert await self.fetch(url.replace(old, new)) is None

    async def test_a_url_lets_nobody_write(self, blobs: Blobs, engine: BlobsEngine) -> None:
        url = urlsplit(await blobs.read_url("a", 60))
        assert engine.answer("PUT", url.path, url.query).status == 405

    async def test_a_fault_of_the_file_is_worth_another_try(self, blobs: Blobs, engine: BlobsEngine) -> None:
        await blobs.put("a", LABEL.content, LABEL.content_type)
        with sqlite3.connect(self.path) as other:
            other.execute("DROP TABLE blobs")
        other.close()
        for request in (
            blobs.get("a"),
            blobs.get_part("a", 0, 1),
            blobs.delete("a"),
            blobs.put("a", b"", "text/plain"),
        ):
            with pytest.raises(BlobsUnavailable):
                await request
