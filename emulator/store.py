"""One SQLite file that all engines share, and the group commit in front of it.

Writes are plain synchronous functions over a `Transaction`. Those that wait are run one after another on the event
loop's thread, committed together, and only then answered: a reply leaves after its commit was synced
(`synchronous=FULL`). Only COMMIT, which waits for the disk, runs on a thread of its own: each statement gives up the
interpreter lock for a moment, and on a second thread it would get it back only after a switch interval.

Several processes may share the file. SQLite's own lock is unfair, so the turn to write passes through `turnstile.py`;
after a commit the others are told what became ready (`wakeups.py`).
"""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

SCHEMA_VERSION = 1


class StoreError(Exception):
    """The folder cannot be used; the message says what to do."""


class StoreStopped(Exception):
    """The store was closed, or has crashed: nothing more is written or answered."""


class WriteTurn(Protocol):
    """Who may write, among the processes that share the file."""

    async def acquire(self) -> None: ...

    def release(self) -> None: ...


class Peers(Protocol):
    """The other processes on the same file."""

    def tell(self, names: Iterable[str]) -> None:
        """Say that work became ready; may be lost, a scan each second is the net."""
        ...


class Transaction:
    """What a write may do. An exception undoes this write alone, not the others of its group."""

    __slots__ = ("_counts", "_db", "_wakes")

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._wakes: dict[str, None] = {}
        self._counts: Counter[tuple[str, str]] = Counter()

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> sqlite3.Cursor:
        return self._db.execute(sql, parameters)

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]]) -> sqlite3.Cursor:
        return self._db.executemany(sql, parameters)

    def wake(self, name: str) -> None:
        """After the commit, tell whoever listens to `name` that there is work."""
        self._wakes[name] = None

    def count(self, subject: str, event: str, by: int = 1) -> None:
        """Add to a durable counter, written once for the whole group. See `Store.counters`."""
        self._counts[subject, event] += by


type Work[R] = Callable[[Transaction], R]
type Listener = Callable[[], bool]


class Store:
    """Open with `Store.open`. Belongs to one event loop."""

    def __init__(
        self,
        path: Path,
        *,
        schema: Sequence[str],
        turn: WriteTurn | None = None,
        peers: Peers | None = None,
        commit_inline: bool = False,
        synchronous: str = "FULL",
        after_commit: Callable[[int], None] | None = None,
    ) -> None:
        """`turn` and `peers` are None when no other process shares the file.

        `commit_inline` commits on the loop's thread (for simulated time). `after_commit` is called with the number of
        commits so far, before anything of that commit is answered; when it raises, the store stops as a killed
        process would: what is committed stays, nothing is answered any more.
        """
        self.path = path
        self._turn = turn
        self._peers = peers
        self._commit_inline = commit_inline
        self._after_commit = after_commit
        self._writer = _connect(path, schema, synchronous)
        self._reader = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._reader.execute("PRAGMA query_only=ON")
        self._waiting: list[tuple[Work[Any], asyncio.Future[Any]]] = []
        self._listeners: dict[str, list[Listener]] = {}
        self._committer: asyncio.Task[None] | None = None
        self._threads = ThreadPoolExecutor(1, "store-commit")
        self._stopped: BaseException | None = None
        self.commits = 0

    async def write[R](self, work: Work[R]) -> R:
        """Run `work` in the next group and return its result once the group is on disk.

        What `work` raises undoes it and is raised here. Raises StoreStopped.
        """
        if self._stopped is not None:
            raise StoreStopped("the store is closed") from self._stopped
        loop = asyncio.get_running_loop()
        future: asyncio.Future[R] = loop.create_future()
        self._waiting.append((work, future))
        if self._committer is None:
            self._committer = loop.create_task(self._commit_groups())
        return await future

    def read(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """Rows as of the last commit. Never waits for a writer."""
        return self._reader.execute(sql, parameters).fetchall()

    def listen(self, name: str, listener: Listener) -> None:
        """Call `listener` after each commit that woke `name`, here or in another process.

        It returns whether it will look now; when no listener here will, the other processes are told.
        """
        self._listeners.setdefault(name, []).append(listener)

    def wake_from_peer(self, name: str) -> None:
        for listener in self._listeners.get(name, ()):
            listener()

    def counters(self) -> dict[tuple[str, str], int]:
        rows = self.read("SELECT subject, event, total FROM counters")
        return {(subject, event): total for subject, event, total in rows}

    async def close(self) -> None:
        """Finish the writes that wait, then close the file."""
        while self._committer is not None and self._stopped is None:
            await self._committer
        self.stop(StoreStopped("closed"))

    def stop(self, reason: BaseException) -> None:
        """Stop at once, as a killed process would: writes not yet committed are gone and never answered."""
        if self._stopped is not None:
            return
        self._stopped = reason
        self._waiting.clear()
        if self._committer is not None:
            self._committer.cancel()
        self._threads.shutdown(wait=True)
        self._writer.close()
        self._reader.close()

    async def _commit_groups(self) -> None:
        """Runs while writes wait: each round is one group, one commit."""
        try:
            while self._waiting:
                if self._turn is not None:
                    await self._turn.acquire()
                try:
                    answers, wakes = await self._commit_group()
                finally:
                    if self._turn is not None:
                        self._turn.release()
                self.commits += 1
                if self._after_commit is not None:
                    try:
                        self._after_commit(self.commits)
                    except Exception as crash:  # noqa: BLE001  (whatever it is, this process is now dead)
                        self._committer = None
                        self.stop(crash)
                        return
                for future, result, error in answers:
                    if not future.done():
                        if error is None:
                            future.set_result(result)
                        else:
                            future.set_exception(error)
                self._announce(wakes)
        finally:
            self._committer = None

    async def _commit_group(
        self,
    ) -> tuple[list[tuple[asyncio.Future[Any], Any, Exception | None]], dict[str, None]]:
        group, self._waiting = self._waiting, []
        db = self._writer
        answers: list[tuple[asyncio.Future[Any], Any, Exception | None]] = []
        wakes: dict[str, None] = {}
        counts: Counter[tuple[str, str]] = Counter()
        try:
            db.execute("BEGIN IMMEDIATE")
            for work, future in group:
                transaction = Transaction(db)
                db.execute("SAVEPOINT work")
                try:
                    result = work(transaction)
                except Exception as error:  # noqa: BLE001  (raised again where the write is awaited)
                    db.execute("ROLLBACK TO work")
                    answers.append((future, None, error))
                else:
                    answers.append((future, result, None))
                    wakes |= transaction._wakes
                    counts.update(transaction._counts)
                db.execute("RELEASE work")
            if counts:
                db.executemany(
                    "INSERT INTO counters VALUES (?, ?, ?) "
                    "ON CONFLICT (subject, event) DO UPDATE SET total = total + excluded.total",
                    [(subject, event, by) for (subject, event), by in counts.items()],
                )
            if self._commit_inline:
                db.execute("COMMIT")
            else:
                await asyncio.get_running_loop().run_in_executor(self._threads, db.execute, "COMMIT")
        except sqlite3.Error as error:
            # The disk is full, the file is gone ...: no write of this group happened.
            if db.in_transaction:
                db.execute("ROLLBACK")
            answers = [(future, None, error) for _, future in group]
            wakes = {}
        return answers, wakes

    def _announce(self, wakes: dict[str, None]) -> None:
        spilled: list[str] = []
        for name in wakes:
            taken = False
            for listener in self._listeners.get(name, ()):
                taken = listener() or taken
            if not taken:
                spilled.append(name)
        if spilled and self._peers is not None:
            self._peers.tell(spilled)


def _connect(path: Path, schema: Sequence[str], synchronous: str) -> sqlite3.Connection:
    try:
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=512)
        db.execute("PRAGMA busy_timeout=10000")
        db.execute("PRAGMA journal_mode=WAL")
        db.execute(f"PRAGMA synchronous={synchronous}")
        found = db.execute("PRAGMA user_version").fetchone()[0]
        if found > SCHEMA_VERSION:
            raise StoreError(
                f"{path} was written by a newer version (schema {found}, this one knows {SCHEMA_VERSION}): "
                "use that version, or another --state folder"
            )
        db.execute("BEGIN IMMEDIATE")
        if found < SCHEMA_VERSION:
            db.execute(
                "CREATE TABLE IF NOT EXISTS counters (subject TEXT, event TEXT, total INTEGER NOT NULL, "
                "PRIMARY KEY (subject, event)) WITHOUT ROWID"
            )
            for statement in schema:
                db.execute(statement)
            db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        db.execute("COMMIT")
    except sqlite3.Error as error:
        raise StoreError(f"{path} cannot be opened as a store: {error}") from error
    return db
