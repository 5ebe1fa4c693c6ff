"""The blobs port: files such as shipping labels and imports, by name."""

import re
from dataclasses import dataclass
from typing import Final, Protocol

from core.resilience import TransientError

MAX_NAME_CHARACTERS: Final = 1024
LONGEST_URL_S: Final = 6 * 86400
"""Azure Storage lets a URL that is signed with an identity live for a week, less what clocks may differ."""

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*")


class BlobError(Exception):
    """A refused or failed request."""


class BadBlobRequest(BlobError):
    """The message names what is wrong: the name, the content type, the time a URL is to live."""


class BlobNotFound(BlobError):
    pass


class BlobsUnavailable(BlobError, TransientError):
    """Worth repeating. A put may have taken effect."""


@dataclass(frozen=True, slots=True)
class Blob:
    content: bytes
    content_type: str


class Blobs(Protocol):
    """Names are paths of letters, digits, `_`, `-` and `.`, as in `labels/ord-1.pdf`; no part begins or ends
    with a dot. All raise BadBlobRequest for another name and BlobsUnavailable for infrastructure faults.
    """

    async def put(self, name: str, content: bytes, content_type: str) -> None:
        """Creates or overwrites."""
        ...

    async def get(self, name: str) -> Blob:
        """Raises BlobNotFound."""
        ...

    async def get_part(self, name: str, start: int, end: int) -> bytes:
        """The bytes from `start` up to `end`, as of a slice that is not empty. Raises BlobNotFound, and
        BadBlobRequest for a part that the blob does not have."""
        ...

    async def delete(self, name: str) -> None:
        """Whether there is such a blob or not."""
        ...

    async def read_url(self, name: str, seconds: int) -> str:
        """Whoever has this URL may read the blob, and nothing else, for so many seconds, at most six days.

        Whether there is such a blob is not looked up. Raises BadBlobRequest.
        """
        ...


def check_name(name: str) -> None:
    """Raises BadBlobRequest."""
    if len(name) > MAX_NAME_CHARACTERS or _NAME.fullmatch(name) is None or "./" in f"{name}/":
        raise BadBlobRequest(
            f"the name of a blob: must be a path of letters, digits, _ - and . with at most"
            f" {MAX_NAME_CHARACTERS} characters, no part beginning or ending with a dot, not {name!r}"
        )


def check_part(start: int, end: int) -> None:
    """Raises BadBlobRequest."""
    if not 0 <= start < end:
        raise BadBlobRequest(f"the part of a blob: must not be empty, is {start} to {end}")


def no_such_part(name: str, start: int, end: int) -> BadBlobRequest:
    return BadBlobRequest(f"the part of a blob: {name!r} ends before byte {end} (from {start})")


def check_content_type(content_type: str) -> None:
    """Raises BadBlobRequest."""
    if not content_type.isascii() or not content_type.isprintable() or "/" not in content_type:
        raise BadBlobRequest(
            f"the content type: must be a media type as application/pdf, not {content_type!r}"
        )


def check_seconds(seconds: int) -> None:
    """Raises BadBlobRequest."""
    if not 1 <= seconds <= LONGEST_URL_S:
        raise BadBlobRequest(f"the time a URL is to live: must be 1 to {LONGEST_URL_S} s, not {seconds}")
