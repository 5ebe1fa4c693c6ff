"""What the change feed of the documents engine shows, and how items expire."""

from collections.abc import Callable
from pathlib import Path

import pytest

from emulator.documents.engine import FEED_RANGES, DocumentsEngine
from emulator.documents.model import (
    PatchStep,
)
from emulator.documents.schema import SCHEMA
from emulator.metrics import Metrics
from emulator.store import Store
from tests.emulator.documents_support import CONTAINERS, HandClock, everything, refused


async def test_the_feed_shows_the_latest_version_of_each_item_in_the_order_of_writes(
    engine: DocumentsEngine,
) -> None:
    for id in ("a", "b", "a"):
        await engine.upsert("orders", "s", {"id": id, "stream": "s"})
    (part,) = {part for part in range(FEED_RANGES) if engine.changes("orders", part, 0, 10)}
    assert [change.item["id"] for change in engine.changes("orders", part, 0, 10)] == ["b", "a"]


async def test_the_feed_goes_on_after_a_position_and_is_limited(engine: DocumentsEngine) -> None:
    for id in "abc":
        await engine.create("orders", "s", {"id": id, "stream": "s"})
    first, *_ = everything(engine, "orders")
    (part,) = {part for part in range(FEED_RANGES) if engine.changes("orders", part, 0, 10)}
    (second,) = engine.changes("orders", part, first.sequence, 1)
    assert second.item["id"] == "b"


async def test_deleted_and_expired_items_do_not_appear_in_the_feed(
    engine: DocumentsEngine, clock: HandClock
) -> None:
    await engine.create("orders", "s", {"id": "gone", "stream": "s"})
    await engine.create("orders", "s", {"id": "old", "stream": "s", "ttl": 5})
    await engine.delete("orders", "s", "gone")
    clock.now += 5
    assert everything(engine, "orders") == []


async def test_the_feed_of_one_container_does_not_show_another(engine: DocumentsEngine) -> None:
    await engine.create("short", "s", {"id": "a", "stream": "s"})
    assert everything(engine, "orders") == []


async def test_a_commit_with_changes_wakes_that_range_of_its_containers_feed(
    engine: DocumentsEngine, store: Store
) -> None:
    woken: list[int] = []

    def listener(feed_range: int) -> Callable[[], bool]:
        def wake() -> bool:
            woken.append(feed_range)
            return True

        return wake

    for feed_range in range(FEED_RANGES):
        store.listen(f"feed:orders:{feed_range}", listener(feed_range))
    await engine.create("short", "s", {"id": "a", "stream": "s"})
    assert woken == []
    await engine.create("orders", "s", {"id": "a", "stream": "s"})
    (feed_range,) = woken
    assert engine.changes("orders", feed_range, 0, 10)


async def test_two_engines_on_one_file_see_each_others_changes_in_one_order(
    tmp_path: Path, engine: DocumentsEngine, clock: HandClock
) -> None:
    other_store = Store(tmp_path / "store.db", schema=SCHEMA)
    other = DocumentsEngine(other_store, clock, CONTAINERS, Metrics())
    for n in range(20):
        writer = engine if n % 2 else other
        await writer.create("orders", "s", {"id": str(n), "stream": "s"})
    assert [change.item["id"] for change in everything(other, "orders")] == [str(n) for n in range(20)]
    await other_store.close()


async def test_an_items_own_ttl_counts_from_its_last_write(engine: DocumentsEngine, clock: HandClock) -> None:
    await engine.create("orders", "s", {"id": "a", "stream": "s", "ttl": 10})
    clock.now += 9
    await engine.patch("orders", "s", "a", [PatchStep("set", "n", 1)])
    clock.now += 9
    assert (await engine.read("orders", "s", "a"))["n"] == 1
    clock.now += 1
    await refused(engine.read("orders", "s", "a"), 404)


async def test_an_expired_item_is_absent_for_every_operation(
    engine: DocumentsEngine, clock: HandClock
) -> None:
    item = {"id": "a", "stream": "s"}
    await engine.create("short", "s", item)
    clock.now += 10
    await refused(engine.replace("short", "s", item), 404)
    await refused(engine.delete("short", "s", "a"), 404)
    await refused(engine.patch("short", "s", "a", [PatchStep("set", "n", 1)]), 404)
    assert await engine.query("short", partition="s") == ([], None)
    await engine.create("short", "s", item)


async def test_a_container_without_ttl_ignores_that_of_an_item(
    engine: DocumentsEngine, clock: HandClock
) -> None:
    await engine.create("no-ttl", "s", {"id": "a", "stream": "s", "ttl": 1})
    clock.now += 1000
    await engine.read("no-ttl", "s", "a")


async def test_expired_items_are_purged(engine: DocumentsEngine, clock: HandClock, store: Store) -> None:
    await engine.create("short", "s", {"id": "a", "stream": "s"})
    await engine.create("short", "s", {"id": "b", "stream": "s", "ttl": -1})
    assert await engine.purge() == 0
    clock.now += 10
    assert await engine.purge() == 1
    assert store.read("SELECT id FROM documents") == [("b",)]


@pytest.mark.parametrize("ttl", [0, -2, 1.5, "9", True, None, 2**31])
async def test_a_ttl_that_is_no_number_of_seconds_is_refused(engine: DocumentsEngine, ttl: object) -> None:
    await refused(engine.create("orders", "s", {"id": "a", "stream": "s", "ttl": ttl}), 400)  # type: ignore[dict-item]


async def test_the_feed_is_read_by_its_index(engine: DocumentsEngine, store: Store) -> None:
    traced: list[str] = []
    store._reader.set_trace_callback(traced.append)
    engine.changes("orders", 0, 5, 10)
    store._reader.set_trace_callback(None)
    plan = store.read(f"EXPLAIN QUERY PLAN {traced[0]}")
    assert [detail for *_, detail in plan] == [
        "SEARCH documents USING INDEX documents_feed (container=? AND sequence>?)"
    ]
