"""The folder in which an emulator keeps everything, and the lock that keeps a second emulator out of it."""

import fcntl
import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from emulator.database import StoreError, schema_version

STORE_FILE: Final = "store.sqlite3"


@dataclass(frozen=True)
class StateFolder:
    """`lock` is the descriptor that holds the folder.

    Passed on to child processes (`pass_fds`) it keeps other emulators out until the last of them has ended,
    even if the supervisor was killed.
    """

    path: Path
    lock: int

    @property
    def store(self) -> Path:
        return self.path / STORE_FILE

    def close(self) -> None:
        os.close(self.lock)


def open_state(folder: Path) -> StateFolder:
    """Create the folder when missing, and take it. For the supervisor; the instances share what it holds.

    Raises StoreError for one that is in use, read-only, no folder, or written by a newer version.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / "emulator.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except (FileExistsError, NotADirectoryError) as error:
        raise StoreError(f"{folder} is not a folder: give another --state") from error
    except OSError as error:
        raise StoreError(
            f"{folder} cannot be written to ({error.strerror}): give another --state, or make it writable"
        ) from error
    try:
        _lock(folder, lock)
        _check_store(folder / STORE_FILE)
    except BaseException:
        os.close(lock)
        raise
    return StateFolder(folder, lock)


def _lock(folder: Path, lock: int) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        owner = os.pread(lock, 32, 0).decode(errors="replace").strip() or "unknown"
        raise StoreError(
            f"{folder} is in use by another emulator (process {owner}): stop it, or give another --state"
        ) from error
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)


def _check_store(path: Path) -> None:
    """What the instances would find out one after another is said once, before any starts."""
    if not path.exists():
        return
    if not os.access(path, os.R_OK | os.W_OK):
        raise StoreError(f"{path} cannot be written to: make it writable, or give another --state")
    try:
        db = sqlite3.connect(path, isolation_level=None)
        try:
            schema_version(db, path)
        finally:
            db.close()
    except sqlite3.Error as error:
        raise StoreError(f"{path} is not a store: {error}") from error
