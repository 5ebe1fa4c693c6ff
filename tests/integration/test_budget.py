"""What one order of two lines costs, exactly: by this the bill in Azure is counted, and the time here.

On simulated time, where the saga takes half a second. Projections are counted twice: at the pace of the feeds
(function by function their feedPollDelay), and with each commit's changes projected alone, which is the most
that there can be.
"""

from collections import Counter
from pathlib import Path

import pytest

from emulator.simulation import run_simulated
from tests.simulated import evidence, load_stock, orders_of, problems, running, settle, submit
from tools.api import Line, NewOrder

LINES = (Line("GLASS", 2, 250), Line("VASE", 1, 1000))
HANDLERS = ("documents.http", "documents.activity", "documents.serviceBus")
PROJECTIONS = ("documents.cosmosDB",)
"""Leases apart, which are counted under a name of their own."""

type Counts = Counter[tuple[str, str]]


def spent_on(order: NewOrder, ends: str, folder: Path, feed_pace_s: float | None = None) -> Counts:
    async def spend() -> Counts:
        async with running(folder, feed_pace_s=feed_pace_s) as run:
            await load_stock(run, {"GLASS": 10, "VASE": 10})
            await settle(run)
            run.engines.metrics.counts.clear()
            id = await submit(run, order, "budget")
            await settle(run)
            counts = run.engines.metrics.counts.copy()
            found = evidence(run, folder, [id])
        assert problems(found) == []
        assert orders_of(found)[id].status == ends
        return counts

    return run_simulated(spend())


PLACES = "read-models"
"""Where the read models are, which an instance asks once in half a minute, however many orders there are."""


def total(counts: Counts, *groups: str) -> int:
    return sum(number for (group, name), number in counts.items() if group in groups and name != PLACES)


@pytest.fixture(scope="module")
def completed(tmp_path_factory: pytest.TempPathFactory) -> Counts:
    return spent_on(NewOrder("C-1", LINES), "completed", tmp_path_factory.mktemp("completed"))


@pytest.fixture(scope="module")
def compensated(tmp_path_factory: pytest.TempPathFactory) -> Counts:
    """The longest way that nothing but business leads to: both carriers refuse what was paid."""
    order = NewOrder("C-1", LINES, delivery="sandbox-refused")
    return spent_on(order, "cancelled", tmp_path_factory.mktemp("compensated"))


def test_a_completed_order_costs_15_durable_actions(completed: Counts) -> None:
    """The start; four activities, each scheduled and completed; three replies; three timers."""
    assert total(completed, "durable") == 15


def test_a_completed_order_costs_11_messages(completed: Counts) -> None:
    """Three commands, three replies, five events on the topic, whose copies are not counted."""
    assert total(completed, "messages") == 11


def test_a_completed_order_costs_23_document_requests_of_handlers(completed: Counts) -> None:
    """24 are allowed. By container: see the table."""
    assert total(completed, *HANDLERS) == 23
    assert {
        name: number for (group, name), number in completed.items() if group == "documents.serviceBus"
    } == {
        "reservations": 4,
        "inventory": 4,
        "payments": 2,
        "shipments": 2,
        "sandbox": 2,
        "notification-preferences": 1,
    }


def test_a_completed_order_costs_7_document_requests_of_projections(completed: Counts) -> None:
    """10 are allowed. One row of the list, two of the stock, and an audit page for each of four streams."""
    assert total(completed, *PROJECTIONS) == 7
    assert completed["documents.cosmosDB", "audit"] == 4
    assert completed["documents.cosmosDB", PLACES] <= 2


def test_a_completed_order_whose_every_commit_is_projected_alone_costs_18(tmp_path: Path) -> None:
    """Four times events of the order are appended, twice of the payment and the shipment, twice holds come
    to rest, twice the stock of each SKU changes. It is what a feed costs that never has two changes at once.
    """
    counts = spent_on(NewOrder("C-1", LINES), "completed", tmp_path, feed_pace_s=0.0)
    assert total(counts, *PROJECTIONS) == 18
    assert counts["documents.cosmosDB", "audit"] == 10


def test_a_completed_order_makes_no_request_outside_these_counters(completed: Counts) -> None:
    """But of timers, which come by whether there is an order or not."""
    counted = {*HANDLERS, *PROJECTIONS, "documents.lease", "documents.timer", "messages", "durable"}
    assert {group for group, _ in completed} <= counted


def test_a_compensated_order_costs_23_durable_actions(compensated: Counts) -> None:
    """The start; three steps, two undos and the end; five replies, five timers."""
    assert total(compensated, "durable") == 23


def test_a_compensated_order_costs_16_messages(compensated: Counts) -> None:
    """Five commands, five replies, six events."""
    assert total(compensated, "messages") == 16


def test_a_compensated_order_costs_38_document_requests_of_handlers(compensated: Counts) -> None:
    assert total(compensated, *HANDLERS) == 38


def test_a_compensated_order_costs_7_document_requests_of_projections(compensated: Counts) -> None:
    assert total(compensated, *PROJECTIONS) == 7
