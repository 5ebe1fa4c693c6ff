"""Blobs in memory, for unit tests."""

from urllib.parse import parse_qs, urlsplit

from core.blobs import (
    Blob,
    BlobNotFound,
    Blobs,
    check_content_type,
    check_name,
    check_part,
    check_seconds,
    no_such_part,
)
from core.clock import Clock
from tests.fakes import Hook


async def _at_once(request: str) -> None:
    """What the other fakes do in front of a request."""


class FakeBlobs(Blobs):
    """`before` is awaited in front of each request but those for URLs."""

    def __init__(self, clock: Clock, before: Hook = _at_once) -> None:
        self._clock = clock
        self.before = before
        self.blobs: dict[str, Blob] = {}

    async def put(self, name: str, content: bytes, content_type: str) -> None:
        check_name(name)
        check_content_type(content_type)
        await self.before("put blob")
        self.blobs[name] = Blob(content, content_type)

    async def get(self, name: str) -> Blob:
        check_name(name)
        await self.before("get blob")
        return self._found(name)

    async def get_part(self, name: str, start: int, end: int) -> bytes:
        check_name(name)
        check_part(start, end)
        await self.before("get blob")
        part = self._found(name).content[start:end]
        if len(part) < end - start:
            raise no_such_part(name, start, end)
        return part

    async def delete(self, name: str) -> None:
        check_name(name)
        await self.before("delete blob")
        self.blobs.pop(name, None)

    async def read_url(self, name: str, seconds: int) -> str:
        check_name(name)
        check_seconds(seconds)
        return f"https://blobs.test/{name}?until={self._clock.now().timestamp() + seconds}"

    def _found(self, name: str) -> Blob:
        if name not in self.blobs:
            raise BlobNotFound(f"there is no blob {name!r}")
        return self.blobs[name]

    def open(self, url: str) -> Blob | None:
        """What whoever has the URL sees; None when it is no longer, or never was, one to read with."""
        parts = urlsplit(url)
        until = parse_qs(parts.query).get("until", ["0"])[0]
        if self._clock.now().timestamp() >= float(until):
            return None
        return self.blobs.get(parts.path.removeprefix("/"))
