"""Blobs in memory, for unit tests."""

from urllib.parse import parse_qs, urlsplit

from core.blobs import Blob, BlobNotFound, Blobs, check_content_type, check_name, check_seconds
from core.clock import Clock


class FakeBlobs(Blobs):
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.blobs: dict[str, Blob] = {}

    async def put(self, name: str, content: bytes, content_type: str) -> None:
        check_name(name)
        check_content_type(content_type)
        self.blobs[name] = Blob(content, content_type)

    async def get(self, name: str) -> Blob:
        check_name(name)
        if name not in self.blobs:
            raise BlobNotFound(f"there is no blob {name!r}")
        return self.blobs[name]

    async def read_url(self, name: str, seconds: int) -> str:
        check_name(name)
        check_seconds(seconds)
        return f"https://blobs.test/{name}?until={self._clock.now().timestamp() + seconds}"

    def open(self, url: str) -> Blob | None:
        """What whoever has the URL sees; None when it is no longer, or never was, one to read with."""
        parts = urlsplit(url)
        until = parse_qs(parts.query).get("until", ["0"])[0]
        if self._clock.now().timestamp() >= float(until):
            return None
        return self.blobs.get(parts.path.removeprefix("/"))
