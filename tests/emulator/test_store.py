"""The store in one process; several processes are in test_store_processes.py."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import pytest

from emulator.database import SCHEMA_VERSION
from emulator.store import MAX_GROUP, Peers, Store, StoreError, StoreStopped, Transaction, WriteTurn
from tests.emulator.store_support import SCHEMA, CommitSpy, insert, numbers


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = Store(tmp_path / "store", schema=SCHEMA)
    yield store
    await store.close()


def spy_on(store: Store) -> CommitSpy:
    spy = CommitSpy(store._writer)
    store._writer = spy  # type: ignore[assignment]
    return spy


async def settle() -> None:
    """Let everything run that is ready."""
    for _ in range(5):
        await asyncio.sleep(0)


def fail(transaction: Transaction) -> None:
    transaction.execute("INSERT INTO numbers VALUES (99, NULL)")
    transaction.wake("failed")
    transaction.count("failed", "times")
    raise ValueError("refused")


async def test_a_write_is_answered_only_after_its_commit_has_returned(store: Store) -> None:
    spy = spy_on(store)
    write = asyncio.create_task(store.write(insert(1)))
    assert await asyncio.to_thread(spy.reached.wait, 10)
    await settle()
    assert not write.done()
    assert numbers(store) == []
    spy.let_go.set()
    assert await write == 1
    assert numbers(store) == [1]


async def test_a_commit_is_synced_to_the_disk(store: Store) -> None:
    full = 2
    assert store._writer.execute("PRAGMA synchronous").fetchone() == (full,)
    assert store._writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def refuse(_: Transaction) -> None:
    raise ValueError("refused")


async def test_writes_that_wait_together_are_committed_together(store: Store) -> None:
    assert await asyncio.gather(*(store.write(insert(n)) for n in range(100))) == list(range(100))
    assert store.commits == 1


async def test_a_group_is_bounded(store: Store) -> None:
    await asyncio.gather(*(store.write(insert(n)) for n in range(MAX_GROUP + 1)))
    assert store.commits == 2


async def test_a_write_that_raises_is_undone_alone(store: Store) -> None:
    answers = await asyncio.gather(
        store.write(insert(1)), store.write(fail), store.write(insert(2)), return_exceptions=True
    )
    assert answers[0] == 1
    assert isinstance(answers[1], ValueError)
    assert answers[2] == 2
    assert numbers(store) == [1, 2]
    assert store.counters() == {}


async def test_a_write_that_raises_stop_iteration_is_answered_too(store: Store) -> None:
    with pytest.raises(RuntimeError, match="StopIteration"):
        await store.write(lambda _: next(iter(())))


async def test_a_group_that_changed_nothing_is_no_commit(store: Store) -> None:
    with pytest.raises(ValueError, match="refused"):
        await store.write(refuse)
    assert await store.write(lambda transaction: transaction.execute("SELECT 5").fetchone()) == (5,)
    assert store.commits == 0


async def test_a_write_whose_caller_was_cancelled_before_its_turn_is_not_done(store: Store) -> None:
    spy = spy_on(store)
    first = asyncio.create_task(store.write(insert(1)))
    assert await asyncio.to_thread(spy.reached.wait, 10)
    second = asyncio.create_task(store.write(insert(2)))
    await settle()
    second.cancel()
    spy.let_go.set()
    await first
    await store.write(insert(3))
    assert numbers(store) == [1, 3]


async def test_a_caller_cancelled_during_the_commit_leaves_the_others_answered(store: Store) -> None:
    spy = spy_on(store)
    impatient, patient = (asyncio.create_task(store.write(insert(n))) for n in (1, 2))
    assert await asyncio.to_thread(spy.reached.wait, 10)
    impatient.cancel()
    spy.let_go.set()
    assert await patient == 2
    assert numbers(store) == [1, 2]


async def test_when_the_commit_fails_every_write_of_the_group_fails_and_the_next_group_goes_on(
    store: Store,
) -> None:
    spy = spy_on(store)
    spy.let_go.set()
    spy.failure = sqlite3.OperationalError("disk I/O error")
    answers = await asyncio.gather(
        *(store.write(insert(n)) for n in range(3)), store.write(fail), return_exceptions=True
    )
    assert answers == [spy.failure] * 4
    spy.failure = None
    await store.write(insert(7))
    assert numbers(store) == [7]
    assert store.commits == 1


async def test_a_full_disk_fails_the_group_and_is_survived(store: Store) -> None:
    await store.write(insert(1))
    (pages,) = store._writer.execute("PRAGMA page_count").fetchone()
    store._writer.execute(f"PRAGMA max_page_count={pages + 10}")
    answers = await asyncio.gather(
        store.write(insert(2)), store.write(insert(3, size=10**6)), return_exceptions=True
    )
    assert answers[0] == 2 or isinstance(answers[0], sqlite3.OperationalError)
    assert isinstance(answers[1], sqlite3.OperationalError)
    assert "full" in str(answers[1])
    await store.write(insert(4))
    assert numbers(store) == [n for n in (1, 2, 4) if n != 2 or answers[0] == 2]


async def test_close_finishes_what_waits_and_refuses_the_rest(tmp_path: Path) -> None:
    store = Store(tmp_path / "store", schema=SCHEMA)
    writes = [asyncio.create_task(store.write(insert(n))) for n in range(300)]
    await asyncio.sleep(0)
    closing = asyncio.create_task(store.close())
    await asyncio.sleep(0)
    with pytest.raises(StoreStopped):
        await store.write(insert(1000))
    await closing
    assert await asyncio.gather(*writes) == list(range(300))
    with pytest.raises(StoreStopped):
        store.read("SELECT 1")
    with pytest.raises(StoreStopped):
        await store.scan("SELECT 1")
    await store.close()


async def test_a_crash_after_a_commit_keeps_it_and_answers_nobody(tmp_path: Path) -> None:
    crashed = asyncio.Event()

    def crash(commits: int) -> None:
        if commits == 2:
            crashed.set()
            raise RuntimeError("crash")

    store = Store(tmp_path / "store", schema=SCHEMA, after_commit=crash)
    await store.write(insert(1))
    second = asyncio.create_task(store.write(insert(2)))
    await crashed.wait()
    third = asyncio.create_task(store.write(insert(3)))
    await settle()
    assert not second.done()
    assert not third.done()
    with pytest.raises(StoreStopped):
        numbers(store)
    for task in (second, third):  # what a harness does with the tasks of the dead process
        task.cancel()
    await asyncio.wait([second, third])
    reopened = Store(tmp_path / "store", schema=SCHEMA)
    assert numbers(reopened) == [1, 2]
    await reopened.close()


async def test_stop_loses_what_is_not_committed_and_answers_nobody(tmp_path: Path) -> None:
    store = Store(tmp_path / "store", schema=SCHEMA)
    spy = spy_on(store)
    committing = asyncio.create_task(store.write(insert(1)))
    assert await asyncio.to_thread(spy.reached.wait, 10)
    waiting = asyncio.create_task(store.write(insert(2)))
    await settle()
    spy.let_go.set()
    store.stop(RuntimeError("killed"))
    await settle()
    assert not committing.done()
    assert not waiting.done()
    for task in (committing, waiting):
        task.cancel()
    await asyncio.wait([committing, waiting])
    reopened = Store(tmp_path / "store", schema=SCHEMA)
    assert 2 not in numbers(reopened)
    await reopened.close()


class RecordingPeers(Peers):
    def __init__(self) -> None:
        self.told: list[str] = []

    def tell(self, names: Iterable[str]) -> None:
        self.told += names


async def test_listeners_hear_of_a_commit_and_peers_of_what_none_of_them_takes(tmp_path: Path) -> None:
    peers = RecordingPeers()
    store = Store(tmp_path / "store", schema=SCHEMA, peers=peers)
    heard: list[str] = []

    def listener(name: str, takes: bool) -> bool:
        heard.append(f"{name} {numbers(store)}")
        return takes

    store.listen("taken", lambda: listener("taken", False))
    store.listen("taken", lambda: listener("taken", True))
    store.listen("busy", lambda: listener("busy", False))

    def work(transaction: Transaction) -> None:
        insert(1)(transaction)
        for name in ("taken", "busy", "unheard"):
            transaction.wake(name)

    await asyncio.gather(store.write(work), store.write(fail), return_exceptions=True)
    assert heard == ["taken [1]", "taken [1]", "busy [1]"]
    assert peers.told == ["busy"]
    await store.close()


async def test_a_listener_that_fails_is_reported_and_stops_nobody(store: Store) -> None:
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    heard: list[int] = []

    def work(transaction: Transaction) -> None:
        transaction.execute("INSERT INTO numbers (blob) VALUES (NULL)")
        transaction.wake("name")

    store.listen("name", lambda: 1 / 0 > 0)
    store.listen("name", lambda: heard.append(1) is None)
    await store.write(work)
    await store.write(work)
    assert len(reported) == len(heard) == 2
    assert isinstance(reported[0]["exception"], ZeroDivisionError)


async def test_counters_add_up_over_groups_and_writes(store: Store) -> None:
    def count(transaction: Transaction) -> None:
        transaction.count("queue", "accepted")
        transaction.count("queue", "accepted", 2)

    await asyncio.gather(store.write(count), store.write(count))
    await store.write(count)
    assert store.counters() == {("queue", "accepted"): 9}


class CountedTurn(WriteTurn):
    def __init__(self) -> None:
        self.acquired = self.released = 0
        self.failure: OSError | None = None

    def take_if_free(self) -> bool:
        if self.failure is not None:
            raise self.failure
        self.acquired += 1
        return True

    async def acquire(self) -> None:
        self.take_if_free()

    def release(self) -> None:
        self.released += 1


async def test_the_turn_is_taken_for_each_group_and_given_back_even_after_a_failure(tmp_path: Path) -> None:
    turn = CountedTurn()
    store = Store(tmp_path / "store", schema=SCHEMA, turn=turn)
    await store.write(insert(1))
    spy = spy_on(store)
    spy.let_go.set()
    spy.failure = sqlite3.OperationalError("disk I/O error")
    with pytest.raises(sqlite3.OperationalError):
        await store.write(insert(2))
    spy.failure = None
    turn.failure = OSError("no locks")
    with pytest.raises(OSError, match="no locks"):
        await store.write(insert(3))
    turn.failure = None
    await store.write(insert(4))
    assert turn.acquired == turn.released == 3
    assert numbers(store) == [1, 4]
    await store.close()


async def test_the_log_stays_bounded_while_others_read_all_the_time(tmp_path: Path) -> None:
    path = tmp_path / "store"
    store = Store(path, schema=SCHEMA)
    done = False

    def read_on() -> None:
        with sqlite3.connect(path) as reader:
            while not done:
                reader.execute("SELECT sum(length(blob)) FROM numbers").fetchall()
        reader.close()

    reading = asyncio.create_task(asyncio.to_thread(read_on))
    written = 0
    while written < 64 * 1024 * 1024:
        written += 256 * 1024
        await store.write(
            lambda transaction: transaction.execute(
                "INSERT OR REPLACE INTO numbers VALUES (1, zeroblob(?))", (256 * 1024,)
            )
        )
    log = path.with_name("store-wal").stat().st_size
    done = True
    await reading
    assert log < 40 * 1024 * 1024
    await store.close()


async def test_a_scan_runs_beside_the_loop_and_sees_what_is_committed(store: Store) -> None:
    await store.write(insert(5))
    assert await store.scan("SELECT n FROM numbers") == [(5,)]


async def test_a_file_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "store") as db:
        db.execute("PRAGMA user_version=1000")
    db.close()
    with pytest.raises(StoreError, match="newer version"):
        Store(tmp_path / "store", schema=SCHEMA)


async def test_a_file_of_an_older_version_is_taken_on_with_what_is_in_it(tmp_path: Path) -> None:
    store = Store(tmp_path / "store", schema=SCHEMA)
    await store.write(insert(7))
    await store.close()
    with sqlite3.connect(tmp_path / "store") as db:
        db.execute("PRAGMA user_version=1")
    db.close()
    store = Store(tmp_path / "store", schema=SCHEMA)
    assert numbers(store) == [7]
    assert store.read("PRAGMA user_version") == [(SCHEMA_VERSION,)]
    await store.close()


async def test_a_file_that_is_no_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("something else" * 100)
    with pytest.raises(StoreError, match="cannot be opened as a store"):
        Store(tmp_path / "store", schema=SCHEMA)
