"""Who is given a commit at once, on the loop's thread, and who has to wait for the thread of the commits."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from emulator.store import ALONE, Store, WriteTurn
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


class OneTurn(WriteTurn):
    def __init__(self) -> None:
        self.free = True
        self.waited_for = asyncio.Event()
        self._freed = asyncio.Event()

    def take_if_free(self) -> bool:
        was_free, self.free = self.free, False
        return was_free

    async def acquire(self) -> None:
        if not self.take_if_free():
            self._freed.clear()  # of the turns before
            self.waited_for.set()
            await self._freed.wait()

    def release(self) -> None:
        self.free = True
        self._freed.set()


@pytest.fixture
def quick_s() -> float:
    return HOURS_S


@pytest.fixture
def apart_s() -> float:
    return 0.0


@pytest.fixture
async def store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick_s: float, apart_s: float
) -> AsyncIterator[Store]:
    monkeypatch.setattr("emulator.store.QUICK_S", quick_s)
    monkeypatch.setattr("emulator.store.APART_S", apart_s)
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


@pytest.mark.parametrize("apart_s", [HOURS_S])
async def test_a_write_that_follows_too_soon_to_be_of_the_same_caller_is_left_to_the_thread(
    store: Store,
) -> None:
    commits = Commits(store)
    await write_one_by_one(store)
    assert not any(commits.on_the_loop)


async def test_writes_that_come_together_are_left_to_the_thread_and_so_are_the_next_few_alone(
    store: Store,
) -> None:
    commits = Commits(store)
    for n in range(KNOWN_AFTER):
        await asyncio.gather(*(store.write(insert(2 * n + odd)) for odd in range(2)))
    for n in range(ALONE):
        await store.write(insert(2 * KNOWN_AFTER + n))
    assert not any(commits.on_the_loop)
    await store.write(insert(2 * KNOWN_AFTER + ALONE))
    assert commits.on_the_loop[-1]


async def test_a_write_at_once_takes_the_turn_and_gives_it_back_and_waits_where_another_process_has_it(
    store: Store,
) -> None:
    turn = store._turn = OneTurn()
    commits = Commits(store)
    await write_one_by_one(store)
    assert commits.on_the_loop[-1]
    assert turn.free
    turn.free = False
    writing = asyncio.create_task(store.write(insert(KNOWN_AFTER)))
    await turn.waited_for.wait()
    assert numbers(store) == list(range(KNOWN_AFTER))
    turn.release()
    await writing
    assert not commits.on_the_loop[-1]
    assert numbers(store) == list(range(KNOWN_AFTER + 1))


async def test_a_lone_write_whose_commit_fails_is_not_answered_as_done(store: Store) -> None:
    commits = Commits(store)
    await write_one_by_one(store)
    commits.failure = sqlite3.OperationalError("disk I/O error")
    with pytest.raises(sqlite3.OperationalError, match="disk I/O error"):
        await store.write(insert(KNOWN_AFTER))
    assert commits.on_the_loop[-1]
    assert numbers(store) == list(range(KNOWN_AFTER))
