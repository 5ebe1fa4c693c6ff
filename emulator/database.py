"""Opens the SQLite file of a store: its settings, its schema, its version."""

import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

SCHEMA_VERSION: Final = 3
"""2: messages may be deferred, and have headers and properties that version 1 cannot read. 3: those that came
over the wire have headers that version 2 cannot read. The tables are the same, so an older file becomes one
of version 3 as it is.
"""

_CHECKPOINT_PAGES: Final = 4000
"""16 MB of WAL: a page written in many commits is copied to the file once."""
_WAL_BYTES_KEPT: Final = 64 * 1024 * 1024
"""A long read lets the WAL grow; above this it is cut when it is begun anew."""
_BUSY_TIMEOUT_S: Final = 10.0
_STATEMENTS: Final = 512
"""Prepared statements kept per connection; the engines together have fewer."""


class StoreError(Exception):
    """The folder cannot be used; the message says what to do."""


def open_writer(path: Path, schema: Sequence[str], synchronous: str) -> sqlite3.Connection:
    """Create the tables in a new file. Raises StoreError.

    Several processes may open a new file at once: the first creates the tables, the others find them.
    """
    try:
        db = _connect(path)
        try:
            _use_wal(db)
            db.execute(f"PRAGMA synchronous={synchronous}")
            db.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")
            db.execute(f"PRAGMA journal_size_limit={_WAL_BYTES_KEPT}")
            # Debian's SQLite overwrites with zeros what is deleted, and here each replaced item is.
            db.execute("PRAGMA secure_delete=OFF")
            db.execute("BEGIN IMMEDIATE")
            found = schema_version(db, path)
            if found == 0:
                db.execute(
                    "CREATE TABLE counters (subject TEXT, event TEXT, total INTEGER NOT NULL, "
                    "PRIMARY KEY (subject, event)) WITHOUT ROWID"
                )
                for statement in schema:
                    db.execute(statement)
            if found < SCHEMA_VERSION:
                db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
            db.execute("COMMIT")
        except BaseException:
            db.close()
            raise
    except sqlite3.Error as error:
        raise StoreError(f"{path} cannot be opened as a store: {error}") from error
    return db


def _use_wal(db: sqlite3.Connection) -> None:
    """SQLite does not wait when another process turns a new file to WAL at the same moment."""
    deadline = time.monotonic() + _BUSY_TIMEOUT_S
    while True:
        try:
            db.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.005)
        else:
            return


def open_reader(path: Path) -> sqlite3.Connection:
    db = _connect(path)
    db.execute("PRAGMA query_only=ON")
    return db


def schema_version(db: sqlite3.Connection, path: Path) -> int:
    """Raises StoreError when it is newer than this code knows."""
    found: int = db.execute("PRAGMA user_version").fetchone()[0]
    if found > SCHEMA_VERSION:
        raise StoreError(
            f"{path} was written by a newer version (schema {found}, this one knows {SCHEMA_VERSION}): "
            "use that version, or another --state folder"
        )
    return found


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(
        path,
        timeout=_BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=_STATEMENTS,
    )
