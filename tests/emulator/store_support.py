"""What the tests of the store share."""

import sqlite3
import threading
from collections.abc import Callable, Sequence
from typing import Any

from emulator.store import Transaction

SCHEMA = ("CREATE TABLE numbers (n INTEGER PRIMARY KEY, blob BLOB)",)


def insert(n: int, size: int = 0) -> Callable[[Transaction], int]:
    def work(transaction: Transaction) -> int:
        transaction.execute("INSERT INTO numbers VALUES (?, zeroblob(?))", (n, size))
        return n

    return work


def numbers(reader: Any) -> list[int]:
    return [n for (n,) in reader.read("SELECT n FROM numbers ORDER BY n")]


class CommitSpy:
    """A connection whose COMMIT waits for `let_go`, or fails. Everything else is the real one."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self.reached = threading.Event()
        self.let_go = threading.Event()
        self.failure: Exception | None = None

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> sqlite3.Cursor:
        if sql == "COMMIT":
            self.reached.set()
            assert self.let_go.wait(10)
            if self.failure is not None:
                raise self.failure
        return self._db.execute(sql, parameters)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)
