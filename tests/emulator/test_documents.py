"""The basics of the documents engine; what every adapter must do is in tests/contract/documents_suite.py."""

import asyncio

import pytest

from emulator.documents.engine import FEED_RANGES, DocumentsEngine
from emulator.documents.model import (
    Condition,
    Patch,
    PatchStep,
    Query,
    Remove,
    RequestFailed,
    Write,
)
from emulator.documents.partitions import feed_range_of
from emulator.metrics import Metrics
from emulator.store import Store
from tests.emulator.documents_support import CONTAINERS, HandClock, everything, refused


async def test_the_sequence_of_a_deleted_item_never_comes_back(engine: DocumentsEngine) -> None:
    await engine.create("orders", "s", {"id": "a", "stream": "s"})
    (seen,) = everything(engine, "orders")
    await engine.delete("orders", "s", "a")
    await engine.create("orders", "s", {"id": "a", "stream": "s"})
    assert [change.item["id"] for change in everything(engine, "orders", seen.sequence)] == ["a"]


async def test_the_containers_default_ttl_can_be_overruled_by_an_item(
    engine: DocumentsEngine, clock: HandClock
) -> None:
    await engine.create("short", "s", {"id": "for ever", "stream": "s", "ttl": -1})
    await engine.create("short", "s", {"id": "longer", "stream": "s", "ttl": 20})
    clock.now += 19
    assert len((await engine.query("short", partition="s"))[0]) == 2


async def test_every_request_is_counted_once_under_its_container(store: Store, clock: HandClock) -> None:
    metrics = Metrics()
    engine = DocumentsEngine(store, clock, CONTAINERS, metrics)
    await engine.create("orders", "s", {"id": "a", "stream": "s"})
    await engine.batch("orders", "s", [Write("upsert", {"id": "b", "stream": "s"}), Remove("a")])
    await engine.query("orders")
    await refused(engine.read("orders", "s", "a"), 404)
    engine.changes("orders", 0, 0, 1)
    assert metrics.counts == {("documents.none", "orders"): 4}


@pytest.mark.parametrize("partition", ["\ud800", "x" * 2049, 7, None])
async def test_a_partition_key_that_cosmos_db_does_not_take_is_refused(
    engine: DocumentsEngine, partition: object
) -> None:
    await refused(engine.read("orders", partition, "a"), 400)  # type: ignore[arg-type]
    await refused(engine.create("orders", partition, {"id": "a", "stream": partition}), 400)  # type: ignore[arg-type,dict-item]
    await refused(engine.query("orders", partition="x" * 2049), 400)


@pytest.mark.parametrize(
    "condition",
    [
        Condition("", "=", 1),
        Condition("a..b", "=", 1),
        Condition("a'] OR 1=1 --", "=", 1),
        Condition('a"b', "=", 1),
        Condition("a", "LIKE", "x"),  # type: ignore[arg-type]
        Condition("a", "=", [1]),
        Condition("a", "<", None),
        Condition("a", ">", True),
        Condition("a", "=", 2**53),
        Condition("a", "=", "\ud800"),
    ],
)
async def test_a_condition_that_is_none_is_refused(engine: DocumentsEngine, condition: Condition) -> None:
    await engine.create("orders", "s", {"id": "a", "stream": "s"})
    await refused(engine.query("orders", where=[condition]), 400)
    await refused(engine.patch("orders", "s", "a", [PatchStep("set", "n", 1)], [condition]), 400)


@pytest.mark.parametrize("limit", [0, -1, 1001])
async def test_a_page_has_one_to_a_thousand_items(engine: DocumentsEngine, limit: int) -> None:
    await refused(engine.query("orders", limit=limit), 400)


async def test_a_fault_makes_every_request_fail_until_its_end(
    engine: DocumentsEngine, clock: HandClock
) -> None:
    await engine.create("orders", "s", {"id": "a", "stream": "s"})
    engine.fail_until(clock.now + 30)
    await refused(engine.read("orders", "s", "a"), 503)
    await refused(engine.create("orders", "s", {"id": "b", "stream": "s"}), 503)
    await refused(engine.query("orders"), 503)
    assert everything(engine, "orders") == []
    engine.fail_until(clock.now + 30, retry_after_s=0.5)
    assert (await refused(engine.batch("orders", "s", [Remove("a")]), 429)).retry_after_s == 0.5
    clock.now += 30
    await engine.read("orders", "s", "a")
    assert len(everything(engine, "orders")) == 1


async def test_a_fault_may_strike_one_request_in_several(engine: DocumentsEngine, clock: HandClock) -> None:
    await engine.create("orders", "s", {"id": "a", "stream": "s"})
    engine.fail_until(clock.now + 30, one_in=3)
    for _ in range(2):
        await engine.read("orders", "s", "a")
        await engine.read("orders", "s", "a")
        await refused(engine.read("orders", "s", "a"), 503)
    assert len(everything(engine, "orders")) == 1


async def test_a_fault_may_lose_the_answer_alone(engine: DocumentsEngine, clock: HandClock) -> None:
    engine.fail_until(clock.now + 30, after_effect=True)
    await refused(engine.create("orders", "s", {"id": "a", "stream": "s"}), 503)
    await refused(engine.batch("orders", "s", [Write("upsert", {"id": "b", "stream": "s"})]), 503)
    assert {change.item["id"] for change in everything(engine, "orders")} == {"a", "b"}
    await engine.read("orders", "s", "a")


async def test_an_unknown_container_is_refused_by_name(engine: DocumentsEngine) -> None:
    failure = await refused(engine.read("order", "s", "a"), 400)
    assert "'order'" in failure.message


async def test_an_invalid_operation_of_a_batch_is_named_before_anything_is_written(
    engine: DocumentsEngine,
) -> None:
    operations = [Write("create", {"id": "a", "stream": "s"}), Patch("a", [])]
    assert (await refused(engine.batch("orders", "s", operations), 400)).operation == 1
    await refused(engine.read("orders", "s", "a"), 404)


@pytest.mark.parametrize("limit", [1, 100])
@pytest.mark.parametrize("descending", [False, True])
async def test_values_of_different_types_are_ordered_as_in_cosmos_db(
    engine: DocumentsEngine, descending: bool, limit: int
) -> None:
    values = [None, False, True, -1, 0.5, 2, "", "a", [0], {"n": 0}]
    await engine.create("orders", "s", {"id": "missing", "stream": "s"})
    for number, value in enumerate(reversed(values)):
        await engine.create(
            "orders", f"s{number % 3}", {"id": str(number), "stream": f"s{number % 3}", "x": value}
        )
    found: list[object] = []
    continuation = None
    while True:
        page, continuation = await engine.query(
            "orders", order_by="x", descending=descending, limit=limit, continuation=continuation
        )
        found += [item.get("x", "missing") for item in page]
        if continuation is None:
            break
    expected = ["missing", *values]
    assert found == (expected[::-1] if descending else expected)


async def test_a_condition_never_holds_for_a_missing_field_or_another_type(engine: DocumentsEngine) -> None:
    await engine.create("orders", "s", {"id": "a", "stream": "s", "text": "1", "flag": True, "none": None})
    for condition in (
        Condition("missing", "!=", 1),
        Condition("missing", "=", None),
        Condition("text", "!=", 1),
        Condition("text", "=", 1),
        Condition("flag", "=", 1),
        Condition("none", "!=", 0),
        Condition("text.length", "!=", 0),
    ):
        await refused(
            engine.patch("orders", "s", "a", [PatchStep("set", "n", 1)], [condition]),
            412,
        )
        assert (await engine.query("orders", where=[condition]))[0] == []


async def test_an_upsert_says_whether_it_created(engine: DocumentsEngine, clock: HandClock) -> None:
    async def created(ttl: int) -> bool:
        item = {"id": "a", "stream": "s", "ttl": ttl}
        row = await engine.write("orders", "s", Write("upsert", item))
        assert row is not None
        return row.created

    assert [await created(-1), await created(5)] == [True, False]
    clock.now += 5
    assert await created(5), "in the place of one that expired"


async def test_system_fields_of_an_endpoint_are_not_kept(engine: DocumentsEngine) -> None:
    system = {"_rid": "x", "_self": "x", "_attachments": "x", "_etag": "x", "_ts": 1}
    await engine.create("orders", "s", {"id": "a", "stream": "s", **system})
    assert (await engine.read("orders", "s", "a")).keys() == {"id", "stream", "_etag", "_ts"}


async def test_a_condition_may_ask_whether_a_field_is_there(engine: DocumentsEngine) -> None:
    await engine.create("orders", "s", {"id": "a", "stream": "s", "deep": {"nothing": None}})
    for field, is_there in (("deep.nothing", True), ("deep.other", False), ("nothing", False)):
        for asked in (True, False):
            condition = Condition(field, "defined", asked)
            items, _ = await engine.query("orders", where=[condition])
            assert len(items) == int(asked is is_there), condition
            step = [PatchStep("set", "n", 1)]
            if asked is is_there:
                await engine.patch("orders", "s", "a", step, [condition])
            else:
                await refused(engine.patch("orders", "s", "a", step, [condition]), 412)


async def test_a_replaced_field_must_be_there(engine: DocumentsEngine) -> None:
    await engine.create("orders", "s", {"id": "a", "stream": "s", "n": 1})
    item = await engine.patch("orders", "s", "a", [PatchStep("replace", "n", "x")])
    assert item["n"] == "x"
    await refused(engine.patch("orders", "s", "a", [PatchStep("replace", "m", 1)]), 400)


async def test_a_query_may_be_of_one_feed_range_and_leave_items_out(engine: DocumentsEngine) -> None:
    for n in range(20):
        await engine.create("orders", f"s{n}", {"id": str(n), "stream": f"s{n}", "n": n})
    by_range = []
    for feed_range in range(FEED_RANGES):
        found, _ = await engine.query_rows("orders", Query(feed_range=feed_range))
        assert {feed_range_of(each.partition) for each in found} == {feed_range}
        by_range += [each.id for each in found]
    assert sorted(by_range, key=int) == [str(n) for n in range(20)]
    found, token = await engine.query_rows("orders", Query(order_by="n", offset=5, limit=3))
    assert [each.id for each in found] == ["5", "6", "7"]
    found, _ = await engine.query_rows("orders", Query(order_by="n", offset=5, limit=3, continuation=token))
    assert [each.id for each in found] == ["8", "9", "10"]


async def test_a_fault_may_have_any_status_and_fails_the_reading_of_changes(
    engine: DocumentsEngine, clock: HandClock
) -> None:
    engine.fail_until(clock.now + 1, status=449)
    await refused(engine.upsert("orders", "s", {"id": "a", "stream": "s"}), 449)
    with pytest.raises(RequestFailed):
        engine.changed_rows("orders", 0, 0, 10)


async def test_created_containers_are_kept_and_found_by_another_engine(
    engine: DocumentsEngine, store: Store, clock: HandClock
) -> None:
    await engine.catalog.create_database("other")
    created = await engine.catalog.create_container("other", "orders", "key", 5)
    await engine.create(created.name, "k", {"id": "a", "key": "k"})
    second = DocumentsEngine(store, clock, CONTAINERS, Metrics())
    assert second.catalog.container("other", "orders") == created
    assert second.catalog.databases() == ["default", "other"]
    assert await second.read(created.name, "k", "a")
    await refused(second.read("orders", "k", "a"), 404)
    await refused(second.catalog.create_container("other", "orders", "key", None), 409)
    await refused(second.catalog.create_container("none", "orders", "key", None), 404)
    await refused(second.catalog.create_database("default"), 409)


async def test_of_two_that_create_a_container_at_once_one_is_refused(engine: DocumentsEngine) -> None:
    results = await asyncio.gather(
        *(engine.catalog.create_container("default", "new", key, None) for key in ("a", "b")),
        return_exceptions=True,
    )
    assert [getattr(result, "status", None) for result in results] == [None, 409]
    found = engine.catalog.container("default", "new")
    assert found is not None
    assert found.partition_key == "a"


@pytest.mark.parametrize(
    "value",
    [2**53, -(2**53), "\ud800", {1: 2}, {1, 2}, b"bytes", object()],
    ids=lambda value: type(value).__name__,
)
async def test_what_json_cannot_carry_is_refused_and_changes_nothing(
    engine: DocumentsEngine, value: object
) -> None:
    created = await engine.create("orders", "s", {"id": "a", "stream": "s"})
    await refused(engine.upsert("orders", "s", {"id": "a", "stream": "s", "x": value}), 400)  # type: ignore[dict-item]
    await refused(engine.patch("orders", "s", "a", [PatchStep("set", "x", value)]), 400)  # type: ignore[arg-type]
    assert await engine.read("orders", "s", "a") == created
