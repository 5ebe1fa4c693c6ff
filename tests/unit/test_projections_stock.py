import itertools

import pytest

from services.inventory import handlers
from services.inventory.movements import set_on_hand
from services.inventory.stock_projection import CONTAINER
from tests.fakes import START, FakeBus, FakeDocuments
from tests.inventory_support import figures, reserve, stocked
from triggers.change_feed.inventory import project_changes


@pytest.fixture
async def versions():
    """Documents, and the stock document of `a` as it was after each change."""
    documents = await stocked(FakeDocuments(), {"a": 9})
    versions = [_stock(documents)]
    for order in ("ord-1", "ord-2"):
        await handlers.execute(documents, reserve(order, {"a": 2}), START)
        versions.append(_stock(documents))
    await handlers.commit(documents, "ord-1", START)
    documents.requests.clear()
    return documents, [*versions, _stock(documents)]


def _stock(documents):
    return next(item for item in documents.items("inventory", "a") if item["kind"] == "stock")


def _check_row(documents):
    (row,) = documents.items(CONTAINER, "a")
    assert row["on_hand"] == 7
    assert row["version"] == 4
    assert {field: row[field] for field in ("available", "held", "shipped")} == figures(documents, "a")


async def test_a_change_of_stock_is_one_write_and_no_read(versions):
    documents, changes = versions
    requests = []
    for change in changes:
        documents.requests.clear()
        await project_changes(documents, FakeBus(), [change])
        requests.append(list(documents.requests))

    assert requests == [["patch stock-levels", "create stock-levels"], *[["patch stock-levels"]] * 3]
    _check_row(documents)


async def test_the_newest_figures_of_a_batch_are_written_once(versions):
    documents, changes = versions
    await project_changes(documents, FakeBus(), changes[:1])
    documents.requests.clear()

    others = [item for item in documents.items("inventory") if item["kind"] != "movement"]
    await project_changes(documents, FakeBus(), [*others, *reversed(changes)])

    assert documents.requests == ["patch stock-levels"]
    _check_row(documents)


async def test_any_order_of_the_changes_ends_with_the_newest(versions):
    documents, changes = versions
    for order in itertools.permutations(changes):
        documents._partitions.pop((CONTAINER, "a"), None)
        for change in (*order, order[0]):
            await project_changes(documents, FakeBus(), [change])
        _check_row(documents)


async def test_two_instances_that_create_the_first_row_end_with_the_newest(versions):
    documents, changes = versions

    async def meanwhile(request):
        if request == "create stock-levels":
            documents.before = _free
            await project_changes(documents, FakeBus(), [changes[-1]])

    documents.before = meanwhile
    await project_changes(documents, FakeBus(), [changes[0]])
    _check_row(documents)


@pytest.mark.parametrize("damage", [{"held": "many"}, {"version": None}, {"sku": 5}])
async def test_a_poison_document_is_parked_and_the_others_go_on(versions, damage):
    documents, changes = versions
    await set_on_hand(documents, "b", 1, None, START)
    bus = FakeBus()
    poison = {**next(item for item in documents.items("inventory", "b") if item["kind"] == "stock"), **damage}

    await project_changes(documents, bus, [poison, changes[-1]])

    _check_row(documents)
    (parked,) = bus.sent["parked"]
    assert next(iter(damage)) in parked.properties["reason"]


async def _free(request):
    return
