"""One SQLite file that all engines share, and the group commit in front of it.

Writes are plain synchronous functions over a `Transaction`. Those that wait are run one after another on the
event loop's thread, committed together, and only then answered: a reply leaves after its commit was synced
(`synchronous=FULL`). Only COMMIT, which waits for the disk, runs on a thread of its own: each statement gives
up the interpreter lock for a moment, and a second thread would get it back only after a switch interval. A
caller that writes alone pays neither for that thread nor for the forming of a group: see `ALONE`.

Several processes may share the file. SQLite's own lock is unfair, so the turn to write passes through
`turnstile.py`; after a commit the others are told what became ready (`wakeups.py`).
"""

import asyncio
import math
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, Protocol

from emulator.database import StoreError, open_reader, open_writer
from emulator.write_group import Transaction, Waiting, Work, WriteGroup

__all__ = ["Peers", "Store", "StoreError", "StoreStopped", "Transaction", "WriteTurn"]

MAX_GROUP: Final = 256
"""Writes in one commit: bounds how long the loop and the other processes wait for a group, to some 10 ms."""

BUSY: Final = 1600
"""Writes a second above which groups are paced; an order makes some 50. By the rate and not the size of
groups, because on a fast machine groups stay small however many writes there are."""

ALONE: Final = 8
"""So many groups of one write each say that one caller writes and waits, again and again. Its writes are then
done at once, and the loop waits for the disk itself: to hand the commit to the thread, and to hear of it,
costs a fifth of such a write. Not for every group of one: while others are about to write, answers that come
sooner only make groups smaller."""

APART_S: Final = 0.0002
"""Nobody gets an answer and writes again so soon, but who was waiting while the loop was at the disk does."""

QUICK_S: Final = 0.005
"""How long the loop may wait for the disk. Where commits usually take more they are the thread's."""


class StoreStopped(Exception):
    """The store was closed: nothing more is read or written."""


class WriteTurn(Protocol):
    """Who may write, among the processes that share the file."""

    def take_if_free(self) -> bool: ...

    async def acquire(self) -> None: ...

    def release(self) -> None:
        """Called on any thread."""
        ...


class Peers(Protocol):
    """The other processes on the same file."""

    def tell(self, names: Iterable[str]) -> None:
        """Say that work became ready; may be lost, a scan each second is the net."""
        ...


type Listener = Callable[[], bool]


class Store:
    """Belongs to one event loop."""

    def __init__(
        self,
        path: Path,
        *,
        schema: Sequence[str],
        turn: WriteTurn | None = None,
        peers: Peers | None = None,
        commit_inline: bool = False,
        pace_s: float = 0.0,
        synchronous: str = "FULL",
        after_commit: Callable[[int], None] | None = None,
    ) -> None:
        """Raises StoreError.

        `turn` and `peers` are None when no other process shares the file. `commit_inline` commits on the
        loop's thread (for simulated time). While many write, groups begin at least `pace_s` apart, so that
        more is done together, here and in all that a commit sets going. `after_commit` is called with the
        number of commits so far, before anything of that commit is answered; when it raises, the store
        crashes, see `stop`.
        """
        self.path = path
        self._turn = turn
        self._peers = peers
        self._commit_inline = commit_inline
        self._pace_s = pace_s
        self._next_group_at = 0.0
        self._recent_writes = 0.0
        self._counted_at = 0.0
        self._lone_groups = 0
        """Groups of one write, since the last that had more."""
        self._usual_commit_s = 10 * QUICK_S  # until it is known better, the disk is slow
        self._last_commit_at = 0.0
        self._after_commit = after_commit
        self._writer = open_writer(path, schema, synchronous)
        self._reader = open_reader(path)
        self._scanner: sqlite3.Connection | None = None
        self._waiting: list[Waiting] = []
        self._listeners: dict[str, list[Listener]] = {}
        self._committer: asyncio.Task[None] | None = None
        self._commit_thread = ThreadPoolExecutor(1, "store-commit")
        self._scan_thread = ThreadPoolExecutor(1, "store-scan")
        self._closing = False
        self._closed = False
        self._crash: BaseException | None = None
        self.commits = 0

    async def write[R](self, work: Work[R]) -> R:
        """Run `work` in the next group and return its result once the group is on disk.

        `work` may be run twice, so it changes nothing but the transaction. What it raises undoes it and is
        raised here. Raises StoreStopped, and sqlite3.Error when the disk fails: it is then not known to have
        happened. Nor does a caller know that is cancelled meanwhile.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[R] = loop.create_future()
        if self._closing:
            raise StoreStopped("the store is closed")
        if self._crash is None:
            alone = self._committer is None and self._may_commit_at_once()
            self._waiting.append((work, future))
            if alone:
                self._commit_at_once()
            elif self._committer is None:
                self._committer = loop.create_task(self._commit_groups())
        return await future

    def read(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """Rows as of the last commit. Never waits for a writer. Raises StoreStopped."""
        if self._closed:
            raise StoreStopped("the store is closed") from self._crash
        return self._reader.execute(sql, parameters).fetchall()

    async def scan(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """As `read`, for what may take long: on a thread, so that the loop goes on."""
        if self._closed:
            raise StoreStopped("the store is closed") from self._crash
        if self._scanner is None:
            self._scanner = open_reader(self.path)
        return await asyncio.get_running_loop().run_in_executor(
            self._scan_thread, _rows, self._scanner, sql, parameters
        )

    def listen(self, name: str, listener: Listener) -> None:
        """Call `listener` after each commit that woke `name`, here or in another process.

        It returns whether it will look now; when no listener here will, the other processes are told.
        """
        self._listeners.setdefault(name, []).append(listener)

    def wake_from_peer(self, name: str) -> None:
        self._call_listeners(name)

    def counters(self) -> dict[tuple[str, str], int]:
        rows = self.read("SELECT subject, event, total FROM counters")
        return {(subject, event): total for subject, event, total in rows}

    async def close(self) -> None:
        """Finish the writes that wait, refuse new ones, then close the file."""
        self._closing = True
        if self._committer is not None:
            await asyncio.wait([self._committer])
        self._release()

    def stop(self, reason: BaseException) -> None:
        """Crash, as a killed process would: what is committed stays, everything else is gone.

        Writes that wait and all later ones are neither done nor answered nor refused: code that went on (to
        abandon a message, to answer an error) would do what a dead process cannot. They hang until cancelled:
        whoever simulates the crash cancels the tasks of the dead process. Reads raise StoreStopped.
        """
        self._crash = self._crash or reason
        self._waiting.clear()
        if self._committer is not None:
            self._committer.cancel()
        self._release()

    def _release(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._commit_thread.shutdown(wait=True)
        if self._scanner is not None:
            self._scanner.interrupt()
        self._scan_thread.shutdown(wait=True)
        for db in (self._scanner, self._reader, self._writer):
            if db is not None:
                db.close()

    def _may_commit_at_once(self) -> bool:
        """Whether a lone caller writes; the turn to write is then taken. Raises OSError."""
        if self._commit_inline or self._lone_groups < ALONE or self._usual_commit_s >= QUICK_S:
            return False
        if time.monotonic() - self._last_commit_at < APART_S:
            self._lone_groups = 0
            return False
        return self._turn is None or self._turn.take_if_free()

    def _commit_at_once(self) -> None:
        group = self._begin_group()
        if group.begun:
            self._commit(group)
        self._conclude(group)

    async def _commit_groups(self) -> None:
        """Runs while writes wait: each round is one group, one commit."""
        try:
            while self._waiting:
                await self._keep_pace()
                if not self._conclude(await self._commit_group()):
                    return
        finally:
            self._committer = None

    def _conclude(self, group: WriteGroup) -> bool:
        """Whether the store lives on."""
        if group.written:
            self.commits += 1
            if not self._survives(self.commits):
                return False
        group.answer()
        self._announce(group.wakes)
        return True

    async def _keep_pace(self) -> None:
        if not self._pace_s:
            return
        loop = asyncio.get_running_loop()
        busy = self._recent_writes >= BUSY and len(self._waiting) < MAX_GROUP
        if busy and (early_s := self._next_group_at - loop.time()) > 0:
            await asyncio.sleep(early_s)
        self._next_group_at = loop.time() + self._pace_s

    def _count_recent(self, writes: int) -> None:
        """Of about the last second: each write counts less the longer ago it was."""
        now = asyncio.get_running_loop().time()
        self._recent_writes = self._recent_writes * math.exp(self._counted_at - now) + writes
        self._counted_at = now

    def _survives(self, commits: int) -> bool:
        if self._after_commit is None:
            return True
        try:
            self._after_commit(commits)
        except Exception as crash:
            self._committer = None
            self.stop(crash)
            return False
        return True

    async def _commit_group(self) -> WriteGroup:
        try:
            if self._turn is not None:
                await self._turn.acquire()
        except OSError as error:
            group = self._next_group()
            group.fail(error)
            return group
        group = self._begin_group()
        if group.begun:
            if self._commit_inline or not group.changed:
                self._commit(group)
            else:
                loop = asyncio.get_running_loop()
                await loop.run_in_executor(self._commit_thread, self._commit, group)
        return group

    def _begin_group(self) -> WriteGroup:
        """All but the commit."""
        group = self._next_group()
        db = self._writer
        before = db.total_changes
        try:
            db.execute("BEGIN IMMEDIATE")
            group.run(db)
        except Exception as error:
            self._end_turn()
            group.fail(error)
        else:
            group.begun = True
            group.changed = db.total_changes != before
        return group

    def _commit(self, group: WriteGroup) -> None:
        """On whichever thread: the next process must not wait until this one's loop has time again."""
        began = time.monotonic()
        try:
            self._writer.execute("COMMIT")
        except sqlite3.Error as error:
            group.fail(error)
        else:
            group.written = group.changed
        finally:
            self._end_turn()
            self._last_commit_at = time.monotonic()
            self._usual_commit_s += 0.1 * (self._last_commit_at - began - self._usual_commit_s)

    def _end_turn(self) -> None:
        try:
            if self._writer.in_transaction:  # it failed
                self._writer.execute("ROLLBACK")
        finally:
            if self._turn is not None:
                self._turn.release()

    def _next_group(self) -> WriteGroup:
        waiting = self._waiting
        self._waiting = waiting[MAX_GROUP:]
        self._count_recent(min(len(waiting), MAX_GROUP))
        self._lone_groups = self._lone_groups + 1 if len(waiting) == 1 else 0
        return WriteGroup(waiting[:MAX_GROUP])

    def _announce(self, wakes: Iterable[str]) -> None:
        spilled = []
        for name in wakes:
            # The other processes host the same app: what nobody listens to here, nobody does there.
            if name in self._listeners and not self._call_listeners(name):
                spilled.append(name)
        if spilled and self._peers is not None:
            self._peers.tell(spilled)

    def _call_listeners(self, name: str) -> bool:
        taken = False
        for listener in self._listeners.get(name, ()):
            try:
                taken = listener() or taken
            except Exception as error:
                # A fault in one listener must not stop the commits of all others.
                context = {"message": f"a listener to {name} failed", "exception": error}
                asyncio.get_running_loop().call_exception_handler(context)
        return taken


def _rows(db: sqlite3.Connection, sql: str, parameters: Sequence[Any]) -> list[Any]:
    return db.execute(sql, parameters).fetchall()
