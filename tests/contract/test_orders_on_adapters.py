"""Orders on both documents adapters: what a query finds, and streams that are long or old."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import core.contracts
from core.contracts import contract
from core.decider import BrokenStream, Cause, Decider, Loaded, execute, load
from core.documents import Documents
from core.json import JsonObject
from core.read_models import rebuild
from emulator.metrics import Metrics
from services.orders.decider import ORDERS
from services.orders.events import OrderLine
from services.orders.list_projection import ORDER_LIST
from services.orders.views import Wanted, list_orders, read_history, read_order, read_order_at
from tests.fakes import START, FakeClock
from tests.order_support import COMPLETION, append, place


async def listed(documents: Documents, wanted: Wanted, limit: int = 2) -> list[str]:
    """Every page of the list."""
    found: list[str] = []
    continuation = None
    while True:
        page: JsonObject = await list_orders(documents, wanted, limit, continuation)
        assert isinstance(page["items"], list)
        assert len(page["items"]) <= limit
        found += [item["id"] for item in page["items"]]  # type: ignore[index,call-overload]
        continuation = page["continuation"]  # type: ignore[assignment]
        if continuation is None:
            return found


async def test_orders_are_found_by_customer_status_sku_and_time_page_by_page(documents: Documents) -> None:
    clock = FakeClock()
    for number in range(6):
        id = f"ord-{number}"
        lines = (OrderLine("TEA", 1, 100), OrderLine(f"CUP {number % 2}", 1, 100))
        order = replace(place(id, f"c-{number % 3}"), lines=lines)
        await append(documents, id, order, *COMPLETION[: 3 * (number % 2)], clock=clock)
        clock.advance(60)
    continuation = None
    while True:
        progress = await rebuild(documents, ORDER_LIST, continuation)
        continuation = progress.continuation
        if continuation is None:
            break

    def minute(number: int) -> datetime:
        return START + timedelta(minutes=number)

    assert await listed(documents, Wanted(sku="TEA")) == [f"ord-{number}" for number in (5, 4, 3, 2, 1, 0)]
    assert await listed(documents, Wanted(sku="CUP 1", status="completed")) == ["ord-5", "ord-3", "ord-1"]
    assert await listed(documents, Wanted(sku="CUP 1", status="created")) == []
    assert await listed(documents, Wanted(sku="CUP 0", customer_id="c-1")) == ["ord-4"]
    assert await listed(documents, Wanted(start=minute(1), end=minute(4))) == ["ord-3", "ord-2", "ord-1"]
    found = Wanted(customer_id="c-0", status="completed", sku="TEA", start=minute(3), end=minute(4))
    assert await listed(documents, found) == ["ord-3"]


OLD = Path(__file__).parent / "stored" / "order-of-version-1.json"


async def test_an_order_of_an_older_version_is_read_shown_and_goes_on(documents: Documents) -> None:
    """Its creation is of version 1, its snapshot of schema 1: neither fits what the code has today."""
    stored = json.loads(OLD.read_text())
    for item in stored:
        await documents.create("orders", "ord-old", item)

    state = (await load(documents, ORDERS, "ord-old")).state
    assert (state.status, state.total, state.replaces) == ("inventory_reserved", 4990, "")
    shown = await read_order(documents, "ord-old")
    assert (shown["version"], shown["replaces"]) == (2, "")
    at = datetime(2026, 11, 2, 9, 15, tzinfo=UTC)
    assert (await read_order_at(documents, "ord-old", at))["status"] == "created"
    history = await read_history(documents, "ord-old", 10, None)
    assert [event["type"] for event in history["events"]] == [stored[0]["type"], stored[1]["type"]]  # type: ignore[index,union-attr,call-overload]

    await append(documents, "ord-old", COMPLETION[1])
    loaded = await load(documents, ORDERS, "ord-old")
    assert (loaded.state.status, loaded.version) == ("shipping_requested", 4)
    first = (await documents.read("orders", "ord-old", "1")).item
    assert {name: first[name] for name in stored[0]} == stored[0]


@dataclass(frozen=True, slots=True)
class Counted:
    number: int


@dataclass(frozen=True, slots=True)
class Count:
    total: int = 0
    last: int = 0


EVENTS = 10_000
AT_ONCE = 99
"""As many events as a batch takes beside the snapshot."""


@pytest.fixture(autouse=True, scope="module")
def _counted() -> Iterator[None]:
    """Registered for this file alone: other tests look at all that is registered."""
    with pytest.MonkeyPatch.context() as patch:
        for registry in ("_classes", "_names", "_adapters"):
            patch.setattr(core.contracts, registry, dict(getattr(core.contracts, registry)))
        contract("counting.counted")(Counted)
        yield


def counting(schema: int) -> Decider[Count, int, Counted]:
    return Decider(
        container="orders",
        state=Count,
        initial=Count(),
        decide=lambda state, command, now: [Counted(state.last + n) for n in range(1, command + 1)],
        evolve=lambda state, event: Count(state.total + event.number, event.number),
        schema=schema,
    )


def requests(metrics: Metrics) -> int:
    return sum(number for (_, container), number in metrics.counts.items() if container == "orders")


async def test_a_stream_of_10000_events_is_loaded_from_its_snapshot_and_rebuilt_without(
    documents: Documents, metrics: Metrics
) -> None:
    now, cause = START, Cause("c", "long", "c")
    at = Loaded(Count())
    while at.version < EVENTS:
        step = min(AT_ONCE, EVENTS - at.version)
        outcome = await execute(documents, counting(1), "long", step, cause, now, loaded=at)
        at = Loaded(outcome.state, outcome.version, hash=outcome.hash)
    whole = Count(EVENTS * (EVENTS + 1) // 2, EVENTS)

    async def spent(schema: int) -> tuple[int, float]:
        before, started = requests(metrics), time.perf_counter()
        loaded = await load(documents, counting(schema), "long")
        assert (loaded.state, loaded.version) == (whole, EVENTS)
        return requests(metrics) - before, time.perf_counter() - started

    one_read, seconds = await spent(1)
    assert one_read == 1
    assert seconds < 1
    # Of another schema: the snapshot is read in vain, then every event, 200 of them a request.
    rebuilt, seconds = await spent(2)
    assert rebuilt <= 1 + EVENTS // 200 + 1
    assert seconds < 30
    outcome = await execute(documents, counting(2), "long", 1, cause, now)
    assert outcome.version == EVENTS + 1
    assert (await load(documents, counting(2), "long")).etag is not None

    await documents.delete("orders", "long", "snapshot")
    found = await load(documents, counting(2), "long")
    assert (found.state.last, found.version, found.etag) == (EVENTS + 1, EVENTS + 1, None)


async def test_of_a_stream_with_a_gap_nothing_is_made(documents: Documents) -> None:
    await append(documents, "ord-1", place("ord-1"), *COMPLETION)
    await documents.delete("orders", "ord-1", "3")
    await documents.delete("orders", "ord-1", "snapshot")
    with pytest.raises(BrokenStream, match="version 3 is missing"):
        await load(documents, ORDERS, "ord-1")
