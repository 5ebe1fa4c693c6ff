"""The blobs port on the emulator's blobs."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from core.blobs import (
    Blob,
    BlobNotFound,
    Blobs,
    BlobsUnavailable,
    check_content_type,
    check_name,
    check_part,
    check_seconds,
    no_such_part,
)
from emulator import engines
from emulator.blobs import BlobsEngine

CONTAINER = "orderflow"
"""As in topology/storage.json."""


def _current() -> BlobsEngine:
    return engines.current().blobs


class EmbeddedBlobs(Blobs):
    """`engine` gives the engine to talk to, by default the one of this emulator process."""

    def __init__(self, engine: Callable[[], BlobsEngine] = _current) -> None:
        self._engine = engine

    async def put(self, name: str, content: bytes, content_type: str) -> None:
        check_name(name)
        check_content_type(content_type)
        with _errors_of_the_port():
            self._engine().put(CONTAINER, name, content, content_type)

    async def get(self, name: str) -> Blob:
        check_name(name)
        with _errors_of_the_port():
            found = self._engine().get(CONTAINER, name)
        if found is None:
            raise BlobNotFound(f"there is no blob {name!r}")
        return Blob(found.content, found.content_type)

    async def get_part(self, name: str, start: int, end: int) -> bytes:
        check_name(name)
        check_part(start, end)
        with _errors_of_the_port():
            part = self._engine().get_part(CONTAINER, name, start, end)
        if part is None:
            raise BlobNotFound(f"there is no blob {name!r}")
        if len(part) < end - start:
            raise no_such_part(name, start, end)
        return part

    async def delete(self, name: str) -> None:
        check_name(name)
        with _errors_of_the_port():
            self._engine().delete(CONTAINER, name)

    async def read_url(self, name: str, seconds: int) -> str:
        check_name(name)
        check_seconds(seconds)
        with _errors_of_the_port():
            return self._engine().read_url(CONTAINER, name, seconds)


@contextmanager
def _errors_of_the_port() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise BlobsUnavailable(str(error)) from error
