"""On which thread the store waits for the disk."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from emulator.store import Store
from tests.emulator.store_support import SCHEMA, insert, numbers

HOURS_S = 10_000.0
KNOWN_AFTER = 50
"""Commits, after which the store surely knows whether they are quick."""


class Commits:
    """A connection that notes where COMMIT runs, and may fail it."""

    def __init__(self, store: Store) -> None:
        self._db = store._writer
        store._writer = self  # type: ignore[assignment]
        self.on_the_loop: list[bool] = []
        self.failure: Exception | None = None

    def execute(self, sql: str, *parameters: object) -> object:
        if sql == "COMMIT":
            self.on_the_loop.append(threading.current_thread() is threading.main_thread())
            if self.failure is not None:
                raise self.failure
        return self._db.execute(sql, *parameters)  # type: ignore[arg-type]

    def __getattr__(self, name: str) -> object:
        return getattr(self._db, name)


@pytest.fixture
def quick_s() -> float:
    return HOURS_S


@pytest.fixture
async def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick_s: float) -> AsyncIterator[Store]:
    monkeypatch.setattr("emulator.store.QUICK_S", quick_s)
    store = Store(tmp_path / "store", schema=SCHEMA)
    yield store
    await store.close()


async def write_one_by_one(store: Store) -> None:
    for n in range(KNOWN_AFTER):
        await store.write(insert(n))


async def test_lone_writes_are_committed_on_the_loop_once_the_disk_is_known_to_be_quick(store: Store) -> None:
    commits = Commits(store)
    await write_one_by_one(store)
    assert not commits.on_the_loop[0]
    assert commits.on_the_loop[-1]


@pytest.mark.parametrize("quick_s", [0.0])
async def test_a_slow_disk_never_stops_the_loop(store: Store) -> None:
    commits = Commits(store)
    await write_one_by_one(store)
    assert not any(commits.on_the_loop)


async def test_writes_that_come_together_are_left_to_the_thread_and_so_are_those_soon_after(
    store: Store,
) -> None:
    commits = Commits(store)
    await write_one_by_one(store)
    await asyncio.gather(*(store.write(insert(KNOWN_AFTER + n)) for n in range(2)))
    await store.write(insert(KNOWN_AFTER + 2))
    assert commits.on_the_loop[-3:] == [True, False, False]


async def test_a_lone_write_whose_commit_fails_is_not_answered_as_done(store: Store) -> None:
    commits = Commits(store)
    await write_one_by_one(store)
    commits.failure = sqlite3.OperationalError("disk I/O error")
    with pytest.raises(sqlite3.OperationalError, match="disk I/O error"):
        await store.write(insert(KNOWN_AFTER))
    assert commits.on_the_loop[-1]
    assert numbers(store) == list(range(KNOWN_AFTER))
