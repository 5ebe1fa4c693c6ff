"""What every adapter of `core.blobs.Blobs` must do. Subclass it and give the blobs."""

from abc import ABC, abstractmethod

import pytest

from core.blobs import LONGEST_URL_S, BadBlobRequest, Blob, BlobNotFound, Blobs

LABEL = Blob(b"%PDF-1.7 \x00\xff", "application/pdf")


class BlobsSuite(ABC):
    @pytest.fixture
    @abstractmethod
    def blobs(self) -> Blobs:
        """Without any blob."""

    @abstractmethod
    async def fetch(self, url: str) -> Blob | None:
        """What anyone gets who has the URL, None when it is refused."""

    @abstractmethod
    async def expire(self, url: str) -> None:
        """Return when the URL, good for a second or two, must have expired."""

    async def test_a_blob_is_got_as_it_was_put(self, blobs: Blobs) -> None:
        await blobs.put("labels/ord-1.pdf", LABEL.content, LABEL.content_type)
        assert await blobs.get("labels/ord-1.pdf") == LABEL

    async def test_a_blob_may_be_empty(self, blobs: Blobs) -> None:
        await blobs.put("empty", b"", "text/plain; charset=utf-8")
        assert await blobs.get("empty") == Blob(b"", "text/plain; charset=utf-8")

    async def test_a_blob_may_be_large(self, blobs: Blobs) -> None:
        content = bytes(range(256)) * 2**15
        await blobs.put("export.csv", content, "text/csv")
        assert (await blobs.get("export.csv")).content == content

    async def test_a_put_overwrites_the_content_and_its_type(self, blobs: Blobs) -> None:
        await blobs.put("a", b"old", "text/plain")
        await blobs.put("a", LABEL.content, LABEL.content_type)
        assert await blobs.get("a") == LABEL

    async def test_a_part_is_got_as_a_slice(self, blobs: Blobs) -> None:
        await blobs.put("a", b"0123456789", "text/plain")
        assert await blobs.get_part("a", 3, 7) == b"3456"
        assert await blobs.get_part("a", 0, 10) == b"0123456789"

    @pytest.mark.parametrize(("start", "end"), [(3, 3), (3, 2), (-1, 2), (8, 11), (10, 11), (11, 12)])
    async def test_a_part_that_the_blob_does_not_have_is_refused(
        self, blobs: Blobs, start: int, end: int
    ) -> None:
        await blobs.put("a", b"0123456789", "text/plain")
        with pytest.raises(BadBlobRequest, match="part"):
            await blobs.get_part("a", start, end)

    async def test_an_empty_blob_has_no_part(self, blobs: Blobs) -> None:
        await blobs.put("a", b"", "text/plain")
        with pytest.raises(BadBlobRequest, match="part"):
            await blobs.get_part("a", 0, 1)

    async def test_a_deleted_blob_is_not_found_and_may_be_deleted_again(self, blobs: Blobs) -> None:
        await blobs.put("a", LABEL.content, LABEL.content_type)
        await blobs.put("b", LABEL.content, LABEL.content_type)
        for _ in range(2):
            await blobs.delete("a")
            for request in (blobs.get("a"), blobs.get_part("a", 0, 1)):
                with pytest.raises(BlobNotFound):
                    await request
        assert await blobs.get("b") == LABEL

    async def test_a_missing_blob_is_not_found(self, blobs: Blobs) -> None:
        await blobs.put("labels/ord-1.pdf", LABEL.content, LABEL.content_type)
        for name in ("labels/ord-2.pdf", "labels", "ord-1.pdf"):
            with pytest.raises(BlobNotFound):
                await blobs.get(name)

    @pytest.mark.parametrize(
        "name",
        [
            "",
            "/a",
            "a/",
            "a//b",
            ".",
            "..",
            "a/../b",
            "a.",
            "a./b",
            ".a",
            "ü",
            "a b",
            "a?b",
            "a#b",
            "a\\b",
            "x" * 1025,
        ],
    )
    async def test_a_name_that_is_not_a_plain_path_is_refused(self, blobs: Blobs, name: str) -> None:
        for request in (
            blobs.put(name, b"", "text/plain"),
            blobs.get(name),
            blobs.get_part(name, 0, 1),
            blobs.delete(name),
            blobs.read_url(name, 1),
        ):
            with pytest.raises(BadBlobRequest, match="name"):
                await request

    async def test_a_name_may_have_1024_characters(self, blobs: Blobs) -> None:
        name = "/".join(["x" * 127] * 8) + "y"
        await blobs.put(name, LABEL.content, LABEL.content_type)
        assert await blobs.get(name) == LABEL

    @pytest.mark.parametrize("content_type", ["", "pdf", "text/plain\r\nx-evil: 1", "text/ü"])
    async def test_what_is_not_a_media_type_is_refused(self, blobs: Blobs, content_type: str) -> None:
        with pytest.raises(BadBlobRequest, match="content type"):
            await blobs.put("a", b"", content_type)
        with pytest.raises(BlobNotFound):
            await blobs.get("a")

    async def test_a_read_url_is_good_for_its_blob_alone(self, blobs: Blobs) -> None:
        await blobs.put("labels/ord-1.pdf", LABEL.content, LABEL.content_type)
        await blobs.put("labels/ord-2.pdf", b"secret", "text/plain")
        url = await blobs.read_url("labels/ord-1.pdf", 60)
        assert await self.fetch(url) == LABEL
        assert await self.fetch(url.partition("?")[0]) is None

    async def test_a_read_url_may_be_made_before_the_blob(self, blobs: Blobs) -> None:
        url = await blobs.read_url("later", 60)
        await blobs.put("later", LABEL.content, LABEL.content_type)
        assert await self.fetch(url) == LABEL

    async def test_a_read_url_expires(self, blobs: Blobs) -> None:
        await blobs.put("a", LABEL.content, LABEL.content_type)
        url = await blobs.read_url("a", 2)
        assert await self.fetch(url) == LABEL
        await self.expire(url)
        assert await self.fetch(url) is None
        assert await self.fetch(await blobs.read_url("a", 2)) == LABEL

    @pytest.mark.parametrize("seconds", [0, -1, LONGEST_URL_S + 1])
    async def test_a_url_lives_at_least_a_second_and_at_most_six_days(
        self, blobs: Blobs, seconds: int
    ) -> None:
        with pytest.raises(BadBlobRequest, match="URL"):
            await blobs.read_url("a", seconds)
        await blobs.read_url("a", LONGEST_URL_S)
