import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.documents import DocumentsUnavailable
from emulator.simulation import run_simulated
from services.orders.list_projection import CONTAINER, Customers
from services.orders.views import read_order
from tests.fakes import FakeBus, FakeDocuments
from tests.order_support import CANCELLATION, COMPLETION, append, events, feed, place
from triggers.change_feed.orders import project_changes

LISTED = ("id", "customer_id", "status", "version", "currency", "total", "created_at")


class Feed:
    """The function `project_orders` of one instance."""

    def __init__(self, documents):
        self.documents = documents
        self.bus = FakeBus()
        self.customers = Customers(documents)

    async def __call__(self, changes):
        self.documents.requests.clear()
        await project_changes(self.documents, self.customers, self.bus, changes)
        return self.documents.requests


def _row(documents, order_id):
    (row,) = [row for row in documents.items(CONTAINER) if row["id"] == order_id]
    return row


async def _check_row(documents, order_id):
    """The row says what the write side says."""
    row, order = _row(documents, order_id), await read_order(documents, order_id)
    assert {field: row[field] for field in LISTED} == {field: order[field] for field in LISTED}


@pytest.fixture
async def documents():
    documents = FakeDocuments()
    await append(documents, "ord-1", place("ord-1"), *COMPLETION)
    return documents


async def test_an_order_event_by_event_is_one_write_each_and_no_read(documents):
    project = Feed(documents)
    statuses = []
    for event in events(documents, "ord-1"):
        (request,) = await project([event])
        statuses.append((request, _row(documents, "ord-1")["status"]))

    assert statuses == [
        ("create order-list", "created"),
        ("patch order-list", "inventory_reserved"),
        ("patch order-list", "payment_processed"),
        ("patch order-list", "shipping_requested"),
        ("patch order-list", "shipping_created"),
        ("patch order-list", "completed"),
    ]
    await _check_row(documents, "ord-1")


async def test_the_events_of_one_order_in_one_batch_are_one_write(documents):
    assert await Feed(documents)(feed(documents, "ord-1")) == ["create order-list"]
    await _check_row(documents, "ord-1")


async def test_the_orders_of_one_batch_are_written_each_once(documents):
    for number in range(2, 40):
        await append(documents, f"ord-{number}", place(f"ord-{number}"), *COMPLETION[: number % 4])
    batch = [item for number in range(1, 40) for item in feed(documents, f"ord-{number}")]

    assert await Feed(documents)(batch) == ["create order-list"] * 39
    for number in range(1, 40):
        await _check_row(documents, f"ord-{number}")


async def test_a_cancelled_order_is_listed_as_cancelled(documents):
    await append(documents, "ord-2", place("ord-2"), *CANCELLATION)
    project = Feed(documents)
    for event in events(documents, "ord-2"):
        await project([event])
    assert _row(documents, "ord-2")["status"] == "cancelled"
    await _check_row(documents, "ord-2")


async def test_what_comes_twice_changes_nothing(documents):
    project = Feed(documents)
    await project(feed(documents, "ord-1"))
    row = _row(documents, "ord-1")

    for event in events(documents, "ord-1"):
        await project([event])
        assert _row(documents, "ord-1") == row


async def test_the_customer_of_an_order_is_read_once_by_an_instance_that_did_not_see_its_creation(documents):
    all_events = events(documents, "ord-1")
    await Feed(documents)(all_events[:2])
    other = Feed(documents)

    assert await other([all_events[2]]) == ["read orders", "patch order-list"]
    assert await other([all_events[3]]) == ["patch order-list"]


async def test_an_event_whose_row_is_missing_makes_the_row_from_the_stream(documents):
    await Feed(documents)([events(documents, "ord-1")[-1]])

    await _check_row(documents, "ord-1")


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_any_delivery_of_the_events_ends_with_the_fold(data):
    async def run():
        documents = FakeDocuments()
        await append(
            documents, "ord-1", place("ord-1"), *data.draw(st.sampled_from([COMPLETION, CANCELLATION]))
        )
        all_events = events(documents, "ord-1")
        order = data.draw(st.lists(st.sampled_from(range(len(all_events))), max_size=12))
        cuts = data.draw(st.lists(st.integers(1, 4), min_size=20, max_size=20))
        # At least once each, in any order, as often as you like.
        deliveries = iter([*order, *data.draw(st.permutations(range(len(all_events))))])
        feeds = [Feed(documents), Feed(documents)]
        for cut, which in zip(cuts, itertools.cycle([0, 0, 1]), strict=False):
            batch = [all_events[index] for index in itertools.islice(deliveries, cut)]
            await feeds[which](batch)
        await feeds[0]([all_events[index] for index in deliveries])
        await _check_row(documents, "ord-1")

    run_simulated(run())


async def test_a_poison_document_is_parked_and_the_others_of_the_batch_go_on(documents):
    await append(documents, "ord-2", place("ord-2"))
    broken = {**events(documents, "ord-2")[0], "id": "7", "version": 7, "type": "orders.unheard_of"}
    project = Feed(documents)

    await project([broken, *feed(documents, "ord-1")])

    await _check_row(documents, "ord-1")
    (parked,) = project.bus.sent["parked"]
    assert parked.properties["original_message_id"] == "7"
    assert parked.properties["source"] == "orders, change feed of project_orders"
    assert "orders.unheard_of" in parked.properties["reason"]


async def test_events_of_a_stream_that_does_not_begin_are_parked(documents):
    await append(documents, "ord-2", place("ord-2"), *COMPLETION)
    later = events(documents, "ord-2")[1:]
    documents._partitions.pop(("orders", "ord-2"))
    project = Feed(documents)

    await project([*later, *feed(documents, "ord-1")])

    assert len(project.bus.sent["parked"]) == len(later)
    assert [row["id"] for row in documents.items(CONTAINER)] == ["ord-1"]


async def test_a_parking_that_fails_holds_the_feed(documents):
    async def broken(request):
        raise RuntimeError("no bus")

    project = Feed(documents)
    project.bus.before = broken
    with pytest.raises(RuntimeError, match="no bus"):
        await project([{"kind": "event", "id": "1", "stream": "ord-9"}])


def test_an_outage_holds_the_feed_and_loses_nothing():
    async def outage(request):
        raise DocumentsUnavailable("down")

    async def run():
        documents = FakeDocuments()
        await append(documents, "ord-1", place("ord-1"))
        project = Feed(documents)
        up, documents.before = documents.before, outage
        with pytest.raises(DocumentsUnavailable):
            await project(feed(documents, "ord-1"))
        documents.before = up
        await project(feed(documents, "ord-1"))
        assert project.bus.sent == {}
        await _check_row(documents, "ord-1")

    run_simulated(run())
