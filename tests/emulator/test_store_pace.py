"""How often a store commits, on simulated time."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from emulator.simulation import run_simulated
from emulator.store import BUSY, MAX_GROUP, Store, Transaction

PACE_S = 0.05


def insert(transaction: Transaction) -> None:
    transaction.execute("INSERT INTO numbers DEFAULT VALUES")


async def write_evenly(store: Store, writes_per_s: int, seconds: float) -> tuple[float, float]:
    """Commits per write, and the longest time that a write took."""
    loop = asyncio.get_running_loop()
    before = store.commits
    taken: list[float] = []

    async def write() -> None:
        began = loop.time()
        await store.write(insert)
        taken.append(loop.time() - began)

    writes = []
    for _ in range(round(writes_per_s * seconds)):
        writes.append(asyncio.create_task(write()))
        await asyncio.sleep(1 / writes_per_s)
    await asyncio.gather(*writes)
    return (store.commits - before) / len(writes), max(taken)


def on_a_store(folder: Path, work: Callable[[Store], Awaitable[None]]) -> None:
    async def run() -> None:
        store = Store(
            folder / "store.sqlite3",
            schema=["CREATE TABLE numbers (n INTEGER PRIMARY KEY)"],
            commit_inline=True,
            pace_s=PACE_S,
            synchronous="OFF",
        )
        await work(store)
        await store.close()

    run_simulated(run())


def test_a_store_that_is_not_busy_commits_each_write_at_once(tmp_path: Path) -> None:
    async def work(store: Store) -> None:
        assert await write_evenly(store, BUSY // 2, 2.0) == (1.0, 0.0)

    on_a_store(tmp_path, work)


def test_a_busy_store_begins_its_commits_a_pace_apart(tmp_path: Path) -> None:
    async def work(store: Store) -> None:
        await write_evenly(store, BUSY * 2, 2.0)
        per_write, longest = await write_evenly(store, BUSY * 2, 2.0)
        assert per_write == pytest.approx(1 / (BUSY * 2 * PACE_S), rel=0.1)
        assert PACE_S / 2 < longest <= PACE_S * 1.01

    on_a_store(tmp_path, work)


def test_the_pace_does_not_bound_how_much_is_written(tmp_path: Path) -> None:
    async def work(store: Store) -> None:
        _, longest = await write_evenly(store, round(MAX_GROUP / PACE_S * 2), 2.0)
        assert longest <= PACE_S * 2

    on_a_store(tmp_path, work)


def test_a_store_that_was_busy_commits_at_once_again_soon_after(tmp_path: Path) -> None:
    async def work(store: Store) -> None:
        await write_evenly(store, BUSY * 2, 2.0)
        await asyncio.sleep(3.0)
        assert await write_evenly(store, 10, 2.0) == (1.0, 0.0)

    on_a_store(tmp_path, work)
