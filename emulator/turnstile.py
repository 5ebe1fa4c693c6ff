"""The turn to write, passed fairly among the processes that share a store.

SQLite's own lock is unfair: a process that writes again at once nearly always wins, and the others starve for
seconds. Here a process first queues at one file lock and then waits for a second, which is the turn itself;
one that has just written queues again behind the one that waits. The kernel frees what a dead process held.
"""

import asyncio
import fcntl
import os
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from emulator.store import WriteTurn


class Turnstile(WriteTurn):
    """One per process and store, for one waiter at a time. Locks `turn.queue` and `turn` in `folder`."""

    def __init__(self, folder: Path) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self._queue = os.open(folder / "turn.queue", flags, 0o644)
        self._turn = os.open(folder / "turn", flags, 0o644)
        self._threads = ThreadPoolExecutor(1, "write-turn")

    async def acquire(self) -> None:
        if self.take_if_free():
            return
        waiting = self._threads.submit(self._wait)
        try:
            await asyncio.wrap_future(waiting)
        except asyncio.CancelledError:
            # The thread cannot be called back: it will get the turn, and gives it up as soon as it has it.
            waiting.add_done_callback(self._give_up)
            raise

    def release(self) -> None:
        fcntl.flock(self._turn, fcntl.LOCK_UN)

    def close(self) -> None:
        """After the store was closed or stopped."""
        self._threads.shutdown(wait=True)
        os.close(self._queue)
        os.close(self._turn)

    def take_if_free(self) -> bool:
        try:
            fcntl.flock(self._queue, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        try:
            fcntl.flock(self._turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            fcntl.flock(self._queue, fcntl.LOCK_UN)
        return True

    def _wait(self) -> None:
        fcntl.flock(self._queue, fcntl.LOCK_EX)
        try:
            fcntl.flock(self._turn, fcntl.LOCK_EX)
        finally:
            fcntl.flock(self._queue, fcntl.LOCK_UN)

    def _give_up(self, waited: Future[None]) -> None:
        if not waited.cancelled() and waited.exception() is None:
            self.release()
