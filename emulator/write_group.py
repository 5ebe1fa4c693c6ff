"""Writes of the store that are run one after another and committed together."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import Any


class Transaction:
    """What a write may do. An exception undoes this write alone, not the others of its group."""

    __slots__ = ("_db", "counts", "wakes")

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self.wakes: dict[str, None] = {}
        self.counts: dict[tuple[str, str], int] = {}

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> sqlite3.Cursor:
        return self._db.execute(sql, parameters)

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]]) -> sqlite3.Cursor:
        return self._db.executemany(sql, parameters)

    def wake(self, name: str) -> None:
        """After the commit, tell whoever listens to `name` that there is work."""
        self.wakes[name] = None

    def count(self, subject: str, event: str, by: int = 1) -> None:
        """Add to a durable counter, written once for the whole group. See `Store.counters`."""
        key = (subject, event)
        self.counts[key] = self.counts.get(key, 0) + by


type Work[R] = Callable[[Transaction], R]
type Waiting = tuple[Work[Any], asyncio.Future[Any]]


class WriteGroup:
    """Writes that are committed together, and what to do once they are on disk."""

    def __init__(self, waiting: Sequence[Waiting]) -> None:
        self._waiting = waiting
        self._results: list[tuple[asyncio.Future[Any], Any]] = []
        self._refusals: list[tuple[asyncio.Future[Any], Exception]] = []
        self.wakes: dict[str, None] = {}
        self.begun = False
        """Its transaction waits for the commit."""
        self.changed = False
        self.written = False

    def run(self, db: sqlite3.Connection) -> None:
        """Raises what failed when it was not one write, but the whole transaction.

        Nearly always no write is refused, so the group is first run as one. When one is, all is undone and
        run again, each write within a savepoint of its own, which costs as much as a statement or two.
        """
        try:
            self._run(db, apart=False)
        except Exception:
            if not db.in_transaction:  # a full disk, among others, makes SQLite undo everything
                raise
            db.execute("ROLLBACK")
            db.execute("BEGIN IMMEDIATE")
            self._results, self._refusals, self.wakes = [], [], {}
            self._run(db, apart=True)

    def _run(self, db: sqlite3.Connection, *, apart: bool) -> None:
        counts: dict[tuple[str, str], int] = {}
        for work, future in self._waiting:
            if future.done():  # cancelled while it waited
                continue
            transaction = Transaction(db)
            if apart:
                db.execute("SAVEPOINT work")
            try:
                result = work(transaction)
            except Exception as error:
                if not apart or not db.in_transaction:
                    raise
                db.execute("ROLLBACK TO work")
                self._refusals.append((future, error))
            else:
                self._results.append((future, result))
                self.wakes |= transaction.wakes
                for key, by in transaction.counts.items():
                    counts[key] = counts.get(key, 0) + by
            if apart:
                db.execute("RELEASE work")
        if counts:
            db.executemany(
                "INSERT INTO counters VALUES (?, ?, ?) "
                "ON CONFLICT (subject, event) DO UPDATE SET total = total + excluded.total",
                [(subject, event, by) for (subject, event), by in counts.items()],
            )

    def fail(self, error: Exception) -> None:
        """None of it happened."""
        self._results = []
        self._refusals = [(future, error) for _, future in self._waiting]
        self.wakes = {}

    def answer(self) -> None:
        for future, result in self._results:
            if not future.done():
                future.set_result(result)
        for future, error in self._refusals:
            if not future.done():
                # A future refuses to carry a StopIteration.
                future.set_exception(RuntimeError(repr(error)) if isinstance(error, StopIteration) else error)
