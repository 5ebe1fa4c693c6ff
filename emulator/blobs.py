"""Files in containers, by name, and URLs that let anyone read one of them for a while.

In an SQLite file of their own beside the store, so that large content never waits in the commits of messages
and documents. Requests run on the loop's thread: meant for labels and exports, not for films.
"""

from __future__ import annotations

import hashlib
import hmac
import sqlite3
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs

from emulator.clock import Clock
from emulator.http import HttpAnswer

FILE: Final = "blobs.sqlite3"
PATH: Final = "/blobs/"
"""Of the URLs, on the port of the functions. A function whose route matches goes first."""

_BUSY_TIMEOUT_S: Final = 10.0
_MOST_DIGITS: Final = 15
"""Of a time in seconds; more would only cost."""


@dataclass(frozen=True, slots=True)
class StoredBlob:
    content: bytes
    content_type: str
    changed_at: int
    """Seconds since the epoch."""


class ContainerNotFound(Exception):
    def __init__(self, container: str) -> None:
        super().__init__(f"there is no blob container {container!r}")


class BlobsEngine:
    """Several processes may have the same file open. What `put` has returned from is on disk.

    All raise sqlite3.Error when the file cannot be used.
    """

    def __init__(self, path: Path, clock: Clock, base_url: str, containers: Collection[str] = ()) -> None:
        """`containers` are there from the start. The file is made when it is first needed: most apps have no
        blobs.
        """
        self._path = path
        self._clock = clock
        self._base_url = base_url
        self._containers = frozenset(containers)
        self._opened: tuple[sqlite3.Connection, bytes] | None = None

    def create_container(self, container: str) -> bool:
        """False when it was there."""
        db, _ = self._open()
        if container in self._containers:
            return False
        return db.execute("INSERT OR IGNORE INTO containers VALUES (?)", (container,)).rowcount == 1

    def put(self, container: str, name: str, content: bytes, content_type: str) -> StoredBlob:
        """Raises ContainerNotFound."""
        self._check(container)
        db, _ = self._open()
        blob = StoredBlob(content, content_type, int(self._clock.time()))
        db.execute(
            "INSERT OR REPLACE INTO blobs VALUES (?, ?, ?, ?, ?)",
            (container, name, content_type, blob.changed_at, content),
        )
        return blob

    def get(self, container: str, name: str) -> StoredBlob | None:
        """Raises ContainerNotFound."""
        self._check(container)
        db, _ = self._open()
        row = db.execute(
            "SELECT content, content_type, changed_at FROM blobs WHERE container = ? AND name = ?",
            (container, name),
        ).fetchone()
        return None if row is None else StoredBlob(*row)

    def get_part(self, container: str, name: str, start: int, end: int) -> bytes | None:
        """As a slice of the content: shorter where that ends. Raises ContainerNotFound."""
        self._check(container)
        db, _ = self._open()
        row = db.execute(
            "SELECT coalesce(substr(content, ?, ?), x'') FROM blobs WHERE container = ? AND name = ?",
            (start + 1, end - start, container, name),
        ).fetchone()
        return None if row is None else row[0]

    def delete(self, container: str, name: str) -> bool:
        """False when there was none. Raises ContainerNotFound."""
        self._check(container)
        db, _ = self._open()
        deleted = db.execute("DELETE FROM blobs WHERE container = ? AND name = ?", (container, name))
        return deleted.rowcount == 1

    def read_url(self, container: str, name: str, seconds: int) -> str:
        """Whether there is such a blob is not looked up."""
        until = int(self._clock.time()) + seconds
        path = f"{PATH}{container}/{name}"
        return f"{self._base_url}{path}?until={until}&signature={self._signature(path, until)}"

    def answer(self, method: str, path: str, query: str) -> HttpAnswer:
        """To a request for what `read_url` gave: 403 for a wrong signature or one that has expired."""
        if method not in ("GET", "HEAD"):
            return HttpAnswer(405, {"allow": "GET, HEAD"})
        given = parse_qs(query)
        until = given.get("until", [""])[0]
        if not (until.isascii() and until.isdecimal() and len(until) <= _MOST_DIGITS):
            return HttpAnswer(403)
        signed = self._signature(path, int(until))
        genuine = hmac.compare_digest(signed.encode(), given.get("signature", [""])[0].encode())
        if not genuine or self._clock.time() >= int(until):
            return HttpAnswer(403)
        container, _, name = path.removeprefix(PATH).partition("/")
        try:
            blob = self.get(container, name)
        except ContainerNotFound:
            blob = None
        if blob is None:
            return HttpAnswer(404)
        return HttpAnswer(200, {"content-type": blob.content_type}, blob.content)

    def close(self) -> None:
        if self._opened is not None:
            self._opened[0].close()
            self._opened = None

    def _check(self, container: str) -> None:
        if container not in self._containers:
            db, _ = self._open()
            if db.execute("SELECT 1 FROM containers WHERE name = ?", (container,)).fetchone() is None:
                raise ContainerNotFound(container)

    def _signature(self, path: str, until: int) -> str:
        _, key = self._open()
        return hmac.digest(key, f"{until}\n{path}".encode(), hashlib.sha256).hex()

    def _open(self) -> tuple[sqlite3.Connection, bytes]:
        """The connection, and the key that signs URLs."""
        if self._opened is None:
            db = sqlite3.connect(self._path, isolation_level=None, timeout=_BUSY_TIMEOUT_S)
            db.execute("PRAGMA synchronous=FULL")
            db.execute("BEGIN IMMEDIATE")
            db.execute("CREATE TABLE IF NOT EXISTS containers (name TEXT PRIMARY KEY) WITHOUT ROWID")
            db.execute(
                "CREATE TABLE IF NOT EXISTS blobs (container TEXT, name TEXT, content_type TEXT, "
                "changed_at INTEGER, content BLOB, PRIMARY KEY (container, name))"
            )
            db.execute("CREATE TABLE IF NOT EXISTS url_key (only_row INTEGER PRIMARY KEY, key BLOB)")
            db.execute("INSERT OR IGNORE INTO url_key VALUES (1, randomblob(32))")
            db.execute("COMMIT")
            self._opened = db, db.execute("SELECT key FROM url_key").fetchone()[0]
        return self._opened
