"""Files by name, and URLs that let anyone read one of them for a while.

In an SQLite file of their own beside the store, so that large content never waits in the commits of messages
and documents. Requests run on the loop's thread: meant for labels and exports, not for films.
"""

from __future__ import annotations

import hashlib
import hmac
import sqlite3
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


class BlobsEngine:
    """Several processes may have the same file open. What `put` has returned from is on disk."""

    def __init__(self, path: Path, clock: Clock, base_url: str) -> None:
        """The file is made when it is first needed: most apps have no blobs."""
        self._path = path
        self._clock = clock
        self._base_url = base_url
        self._opened: tuple[sqlite3.Connection, bytes] | None = None

    def put(self, name: str, content: bytes, content_type: str) -> None:
        """Raises sqlite3.Error."""
        db, _ = self._open()
        db.execute("INSERT OR REPLACE INTO blobs VALUES (?, ?, ?)", (name, content_type, content))

    def get(self, name: str) -> StoredBlob | None:
        """Raises sqlite3.Error."""
        db, _ = self._open()
        row = db.execute("SELECT content, content_type FROM blobs WHERE name = ?", (name,)).fetchone()
        return None if row is None else StoredBlob(row[0], row[1])

    def read_url(self, name: str, seconds: int) -> str:
        """Raises sqlite3.Error."""
        until = int(self._clock.time()) + seconds
        return f"{self._base_url}{PATH}{name}?until={until}&signature={self._signature(name, until)}"

    def answer(self, method: str, path: str, query: str) -> HttpAnswer:
        """To a request for what `read_url` gave: 403 for a wrong signature or one that has expired."""
        if method not in ("GET", "HEAD"):
            return HttpAnswer(405, {"allow": "GET, HEAD"})
        given = parse_qs(query)
        name, until = path.removeprefix(PATH), given.get("until", [""])[0]
        if not (until.isascii() and until.isdecimal() and len(until) <= _MOST_DIGITS):
            return HttpAnswer(403)
        signed = self._signature(name, int(until))
        genuine = hmac.compare_digest(signed.encode(), given.get("signature", [""])[0].encode())
        if not genuine or self._clock.time() >= int(until):
            return HttpAnswer(403)
        blob = self.get(name)
        if blob is None:
            return HttpAnswer(404)
        return HttpAnswer(200, {"content-type": blob.content_type}, blob.content)

    def close(self) -> None:
        if self._opened is not None:
            self._opened[0].close()
            self._opened = None

    def _signature(self, name: str, until: int) -> str:
        _, key = self._open()
        return hmac.digest(key, f"{until}\n{name}".encode(), hashlib.sha256).hex()

    def _open(self) -> tuple[sqlite3.Connection, bytes]:
        """The connection, and the key that signs URLs."""
        if self._opened is None:
            db = sqlite3.connect(self._path, isolation_level=None, timeout=_BUSY_TIMEOUT_S)
            db.execute("PRAGMA synchronous=FULL")
            db.execute("BEGIN IMMEDIATE")
            db.execute(
                "CREATE TABLE IF NOT EXISTS blobs (name TEXT PRIMARY KEY, content_type TEXT, content BLOB)"
            )
            db.execute("CREATE TABLE IF NOT EXISTS url_key (only_row INTEGER PRIMARY KEY, key BLOB)")
            db.execute("INSERT OR IGNORE INTO url_key VALUES (1, randomblob(32))")
            db.execute("COMMIT")
            self._opened = db, db.execute("SELECT key FROM url_key").fetchone()[0]
        return self._opened
