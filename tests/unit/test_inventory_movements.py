from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.inventory import handlers
from services.inventory.history import read_history
from services.inventory.movements import Adjustment, Count, Receipt, book, set_on_hand
from services.inventory.stock import (
    MAX_ON_HAND,
    BelowHeld,
    InvalidQuantity,
    KeyReused,
    UnknownSku,
    read_stock,
)
from tests.fakes import START, FakeDocuments
from tests.inventory_support import (
    Crash,
    check_ledger,
    crash_before,
    interleavings,
    reserve,
    restock,
    stocked,
)


@pytest.fixture
async def documents():
    return await stocked(FakeDocuments(), {"a": 5})


async def figures(documents, sku="a"):
    stock = await read_stock(documents, sku)
    return (stock.on_hand, stock.received, stock.adjusted)


async def test_a_receipt_adds_and_is_three_requests(documents):
    movement = await book(documents, "a", "k-1", Receipt(7, "delivery note 12"), START)

    assert documents.requests == ["read inventory", "read inventory", "batch inventory"]
    assert (movement["quantity"], movement["on_hand"]) == (7, 12)
    assert await figures(documents) == (12, 12, 0)
    check_ledger(documents)


async def test_the_first_receipt_makes_a_sku_known():
    documents = FakeDocuments()

    await book(documents, "a", "k-1", Receipt(7), START)

    assert await figures(documents) == (7, 7, 0)


async def test_an_adjustment_goes_up_and_down_with_its_reason(documents):
    await book(documents, "a", "k-1", Adjustment(-2, "broken"), START)
    await book(documents, "a", "k-2", Adjustment(1, "found"), START)

    assert await figures(documents) == (4, 5, -1)
    check_ledger(documents)


async def test_nothing_unknown_is_adjusted(documents):
    with pytest.raises(UnknownSku):
        await book(documents, "ghost", "k-1", Adjustment(1, "found"), START)
    assert documents.items("inventory", "ghost") == []


@pytest.mark.parametrize(("counted", "adjusted"), [(9, 4), (3, -2), (5, 0), (0, -5)])
async def test_a_count_sets_what_is_on_hand_and_is_recorded_without_a_difference_too(
    documents, counted, adjusted
):
    movement = await book(documents, "a", "k-1", Count(counted, "stock-take 2027"), START)

    assert (movement["quantity"], movement["on_hand"]) == (adjusted, counted)
    assert await figures(documents) == (counted, 5, adjusted)
    check_ledger(documents)


async def test_a_count_heeds_a_shipment_that_comes_in_between(documents):
    await handlers.execute(documents, reserve("ord-1", {"a": 2}), START)

    async def meanwhile(request):
        if request == "batch inventory":
            documents.before = _free
            await handlers.commit(documents, "ord-1", START)

    documents.before = meanwhile
    movement = await book(documents, "a", "k-1", Count(4, "stock-take"), START)

    assert (movement["quantity"], movement["on_hand"]) == (1, 4)
    assert await figures(documents) == (4, 5, 1)
    check_ledger(documents)


async def test_a_first_count_makes_a_sku_known():
    documents = FakeDocuments()

    await book(documents, "a", "k-1", Count(0, "stock-take"), START)

    assert await figures(documents) == (0, 0, 0)


@pytest.mark.parametrize("booking", [Adjustment(-3, "lost"), Count(2, "stock-take")])
async def test_what_orders_hold_cannot_be_taken_away(documents, booking):
    await handlers.execute(documents, reserve("ord-1", {"a": 3}), START)

    with pytest.raises(BelowHeld, match="on_hand: 2 is below the 3"):
        await book(documents, "a", "k-1", booking, START)
    assert await figures(documents) == (5, 5, 0)


async def test_less_than_nothing_cannot_be_on_hand(documents):
    with pytest.raises(BelowHeld, match="on_hand: must not go below 0, would be -1"):
        await book(documents, "a", "k-1", Adjustment(-6, "lost"), START)
    assert await figures(documents) == (5, 5, 0)


@pytest.mark.parametrize("booking", [Receipt(MAX_ON_HAND), Adjustment(MAX_ON_HAND, "found")])
async def test_there_is_a_most_that_can_be_on_hand(documents, booking):
    with pytest.raises(InvalidQuantity, match=str(MAX_ON_HAND)):
        await book(documents, "a", "k-1", booking, START)
    assert await figures(documents) == (5, 5, 0)


@pytest.mark.parametrize("booking", [Receipt(2), Adjustment(-2, "broken"), Count(3, "stock-take")])
async def test_the_same_key_is_booked_once_and_answered_the_same(documents, booking):
    first = await book(documents, "a", "k-1", booking, START)
    await book(documents, "a", "other", Receipt(4), START)
    before = await figures(documents)
    documents.requests.clear()

    again = await book(documents, "a", "k-1", booking, START + timedelta(days=1))

    assert {name: again[name] for name in first} == first
    assert documents.requests == ["read inventory"]
    assert await figures(documents) == before


async def test_a_key_that_was_answered_is_answered_though_the_rules_would_now_refuse(documents):
    booking = Count(0, "stock-take")
    await book(documents, "a", "k-1", booking, START)
    await book(documents, "a", "k-2", Receipt(4), START)
    await handlers.execute(documents, reserve("ord-1", {"a": 3}), START)

    assert (await book(documents, "a", "k-1", booking, START))["quantity"] == -5


@pytest.mark.parametrize("other", [Receipt(3), Receipt(2, "note"), Adjustment(2, "found"), Count(2, "x")])
async def test_a_key_that_belongs_to_something_else_is_refused(documents, other):
    await book(documents, "a", "k-1", Receipt(2), START)

    with pytest.raises(KeyReused):
        await book(documents, "a", "k-1", other, START)
    assert await figures(documents) == (7, 7, 0)


async def test_a_key_counts_for_its_sku_alone(documents):
    for sku in "ab":
        await book(documents, sku, "k-1", Receipt(2), START)

    assert (await figures(documents))[0] == 7
    assert (await figures(documents, "b"))[0] == 2


@pytest.mark.parametrize("booking", [Receipt(2), Adjustment(-2, "broken"), Count(3, "stock-take")])
async def test_a_repeat_against_itself_an_order_and_a_count_books_once(booking):
    ends = set()

    def start(documents):
        return [
            _ignored(book(documents, "a", "k-1", booking, START)),
            _ignored(book(documents, "a", "k-1", booking, START)),
            _ignored(set_on_hand(documents, "a", 6, "counted", START)),
        ]

    async def finish(documents):
        await book(documents, "a", "k-1", booking, START)
        check_ledger(documents)
        ends.add((await figures(documents))[0])

    async def prepare(documents):
        await stocked(documents, {"a": 5})

    count = await interleavings(prepare, start, finish)
    assert count > 20
    change = {Receipt: 8, Adjustment: 4, Count: 3}[type(booking)]
    assert ends == {6, change}


async def test_a_crash_in_front_of_any_request_leaves_nothing_half_done():
    for crash in range(3):
        documents = await stocked(FakeDocuments(), {"a": 5})
        documents.before = crash_before(crash)
        with pytest.raises(Crash):
            await book(documents, "a", "k-1", Receipt(2), START)
        documents.before = _free
        check_ledger(documents)
        await book(documents, "a", "k-1", Receipt(2), START)
        assert await figures(documents) == (7, 7, 0)


async def test_the_ledger_shows_whatever_changed_the_shelf_newest_first(documents):
    def at(minute):
        return START + timedelta(minutes=minute)

    await book(documents, "a", "k-1", Receipt(7, "note 12"), at(1))
    await handlers.execute(documents, reserve("ord-1", {"a": 3}), at(2))
    await handlers.execute(documents, reserve("ord-2", {"a": 1}), at(2))
    await handlers.commit(documents, "ord-1", at(3))
    await handlers.execute(documents, restock("ord-1", 1, {"a": (1, 1)}), at(4))
    await book(documents, "a", "k-2", Adjustment(-1, "broken"), at(5))
    await book(documents, "a", "k-3", Count(9, "stock-take 7"), at(6))

    page = await read_history(documents, "a", 100, None)

    shown = [(one["type"], one["quantity"], one["on_hand"]) for one in page["items"]]
    assert shown == [
        ("count", 0, 9),
        ("adjustment", -1, 9),
        ("return", 1, None),
        ("shipment", -3, None),
        ("receipt", 7, 12),
        ("receipt", 5, 5),
    ]
    count, adjustment, came_back, shipment, receipt, _ = page["items"]
    assert (count["counted"], count["reference"]) == (9, "stock-take 7")
    assert adjustment["reason"] == "broken"
    assert (came_back["written_off"], came_back["return_id"]) == (1, "ord-1-r1")
    assert (shipment["order_id"], shipment["time"]) == ("ord-1", at(3).isoformat())
    assert receipt["reference"] == "note 12"
    assert sum(quantity for _, quantity, _ in shown) == (await figures(documents))[0]
    assert page["continuation"] is None


async def test_the_pages_of_a_ledger_are_all_of_it(documents):
    for number in range(6):
        await book(documents, "a", f"k-{number}", Receipt(1), START + timedelta(minutes=number))

    found, continuation = [], None
    while True:
        page = await read_history(documents, "a", 3, continuation)
        found += page["items"]
        continuation = page["continuation"]
        if continuation is None:
            break

    assert len(found) == 7
    assert [one["time"] for one in found] == sorted((one["time"] for one in found), reverse=True)


async def test_a_sku_without_movements_has_an_empty_ledger_and_an_unknown_one_none():
    documents = FakeDocuments()
    await set_on_hand(documents, "a", 0, None, START)

    assert (await read_history(documents, "a", 10, None))["items"] == []
    with pytest.raises(UnknownSku):
        await read_history(documents, "ghost", 10, None)


bookings = st.one_of(
    st.builds(Receipt, st.integers(1, 9)),
    st.builds(Adjustment, st.integers(-5, 5).filter(bool), st.just("why")),
    st.builds(Count, st.integers(0, 9), st.just("stock-take")),
)


@given(st.lists(st.tuples(st.integers(1, 6), bookings), max_size=15))
@settings(max_examples=100, deadline=None)
async def test_any_bookings_end_where_a_plain_sum_does(asked):
    documents = await stocked(FakeDocuments(), {"a": 5})
    await handlers.execute(documents, reserve("ord-1", {"a": 2}), START)
    on_hand, first = 5, {}
    for key, booking in asked:
        after = {
            Receipt: lambda: on_hand + booking.quantity,  # noqa: B023
            Adjustment: lambda: on_hand + booking.quantity,  # noqa: B023
            Count: lambda: booking.on_hand,  # noqa: B023
        }[type(booking)]()
        try:
            await book(documents, "a", str(key), booking, START)
        except KeyReused:
            assert first[key] != booking
        except BelowHeld:
            assert key not in first
            assert after < 2
        else:
            if key in first:
                assert first[key] == booking
            else:
                first[key], on_hand = booking, after
    assert (await figures(documents))[0] == on_hand
    check_ledger(documents)


async def _ignored(work):
    await work


async def _free(request):
    return
