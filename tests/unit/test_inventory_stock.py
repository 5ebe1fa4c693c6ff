import pytest

from services.inventory import handlers
from services.inventory.movements import set_on_hand
from services.inventory.stock import (
    MAX_ON_HAND,
    BelowHeld,
    InvalidQuantity,
    ReasonRequired,
    StockLevel,
    UnknownSku,
    read_stock,
)
from tests.fakes import START, FakeDocuments
from tests.inventory_support import check_ledger, reserve, stocked


def _movements(documents):
    return [
        (item["number"], item["movement"], item["quantity"], item["reason"])
        for item in documents.items("inventory", "a")
        if item["kind"] == "movement"
    ]


async def test_the_first_count_is_a_receipt():
    documents = FakeDocuments()

    level = await set_on_hand(documents, "a", 5, None, START)

    assert level == StockLevel("a", 5, 5, 0, 0, 5, 0, 0, 0, False, None, None, 1)
    assert _movements(documents) == [(1, "receipt", 5, None)]
    assert documents.requests == ["read inventory", "batch inventory"]
    assert await read_stock(documents, "a") == level


async def test_a_first_count_of_nothing_makes_the_sku_known():
    documents = FakeDocuments()

    assert (await set_on_hand(documents, "a", 0, None, START)).version == 1
    assert (await read_stock(documents, "a")).on_hand == 0
    assert _movements(documents) == []


async def test_more_with_a_reason_and_less_are_adjustments():
    documents = await stocked(FakeDocuments(), {"a": 5})

    await set_on_hand(documents, "a", 7, "found behind the shelf", START)
    level = await set_on_hand(documents, "a", 4, "broken", START)

    assert (level.received, level.adjusted, level.on_hand, level.version) == (5, -1, 4, 3)
    assert _movements(documents) == [
        (1, "receipt", 5, None),
        (2, "adjustment", 2, "found behind the shelf"),
        (3, "adjustment", -3, "broken"),
    ]
    check_ledger(documents)


async def test_the_same_count_books_nothing():
    documents = await stocked(FakeDocuments(), {"a": 5})

    level = await set_on_hand(documents, "a", 5, "counted", START)

    assert level.version == 1
    assert documents.requests == ["read inventory"]


async def test_less_without_a_reason_is_refused():
    documents = await stocked(FakeDocuments(), {"a": 5})

    for reason in (None, ""):
        with pytest.raises(ReasonRequired, match="reason: required to lower on_hand from 5 to 4") as refusal:
            await set_on_hand(documents, "a", 4, reason, START)
        assert refusal.value.code == "reason_required"


async def test_what_orders_hold_cannot_be_counted_away():
    documents = await stocked(FakeDocuments(), {"a": 5})
    await handlers.execute(documents, reserve("ord-1", {"a": 3}), START)

    with pytest.raises(BelowHeld, match="2 is below the 3") as refusal:
        await set_on_hand(documents, "a", 2, "stolen", START)
    assert refusal.value.code == "below_held"
    assert (await set_on_hand(documents, "a", 3, "stolen", START)).available == 0
    check_ledger(documents)


@pytest.mark.parametrize("on_hand", [-1, MAX_ON_HAND + 1])
async def test_what_is_no_count_is_refused(on_hand):
    documents = FakeDocuments()

    with pytest.raises(InvalidQuantity, match="on_hand: must be from 0 to") as refusal:
        await set_on_hand(documents, "a", on_hand, "x", START)
    assert refusal.value.code == "invalid_quantity"
    assert documents.items("inventory") == []


async def test_an_unknown_sku_has_no_level():
    with pytest.raises(UnknownSku, match="'ghost'") as refusal:
        await read_stock(FakeDocuments(), "ghost")
    assert refusal.value.code == "unknown_sku"


async def test_holds_of_a_busy_sku_do_not_disturb_a_count():
    documents = await stocked(FakeDocuments(), {"a": 5})

    async def meanwhile(request):
        if request == "batch inventory":
            documents.before = _free
            await handlers.execute(documents, reserve("ord-1", {"a": 3}), START)

    documents.before = meanwhile
    level = await set_on_hand(documents, "a", 9, None, START)

    assert (level.on_hand, level.held, level.available) == (9, 3, 6)
    assert documents.requests.count("read inventory") == 1


async def test_a_count_that_was_overtaken_by_a_hold_does_not_go_below_it():
    documents = await stocked(FakeDocuments(), {"a": 5})

    async def meanwhile(request):
        if request == "batch inventory":
            documents.before = _free
            await handlers.execute(documents, reserve("ord-1", {"a": 3}), START)

    documents.before = meanwhile
    with pytest.raises(BelowHeld):
        await set_on_hand(documents, "a", 2, "broken", START)
    check_ledger(documents)


async def test_two_counts_at_once_are_booked_one_after_the_other():
    documents = await stocked(FakeDocuments(), {"a": 5})

    async def meanwhile(request):
        if request == "batch inventory":
            documents.before = _free
            await set_on_hand(documents, "a", 7, None, START)

    documents.before = meanwhile
    level = await set_on_hand(documents, "a", 6, "counted", START)

    assert (level.on_hand, level.received, level.adjusted) == (6, 7, -1)
    check_ledger(documents)


async def _free(request):
    return
