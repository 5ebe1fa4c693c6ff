from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.contracts import InvalidContract
from core.documents import DocumentsUnavailable
from core.envelope import wrap
from emulator.simulation import run_simulated
from services.inventory import expiry, handlers, reservation
from services.inventory.ledger import SHIPPED_TTL_S
from services.inventory.messages import Rejected, Restock, Restocked, RestockLine, RestockRefused
from services.inventory.movements import set_on_hand
from services.inventory.reservation import OVERDUE_AFTER
from services.inventory.returns import NotYetShipped
from services.inventory.stock import read_stock
from tests.fakes import START, FakeBus, FakeClock, FakeDocuments
from tests.inventory_support import (
    EXPIRES,
    Crash,
    Replies,
    check_at_rest,
    check_ledger,
    command,
    crash_before,
    delivery,
    interleavings,
    release,
    reserve,
    restock,
    stocked,
)
from tests.inventory_support import reservation as stored

LATER = START + timedelta(days=20)


async def shipped(documents, lines=None):
    """Of `a` 3 pieces of 10 have left, of `b` 2 of 10."""
    await stocked(documents, {"a": 10, "b": 10})
    await handlers.execute(documents, reserve("ord-1", lines or {"a": 3, "b": 2}), START)
    await handlers.commit(documents, "ord-1", START)
    documents.requests.clear()
    return documents


@pytest.fixture
async def documents():
    return await shipped(FakeDocuments())


async def level(documents, sku):
    stock = await read_stock(documents, sku)
    return (stock.available, stock.shipped, stock.returned, stock.written_off)


async def test_a_return_of_two_skus_is_five_requests(documents):
    reply = await handlers.execute(documents, restock("ord-1", 1, {"a": (2, 1), "b": (0, 1)}), LATER)

    assert reply.data == Restocked("ord-1", "ord-1-r1")
    assert reply.id == "ord-1:inventory.restock:ord-1-r1:reply"
    assert documents.requests == [
        "read reservations",
        "replace reservations",
        "batch inventory",
        "batch inventory",
        "replace reservations",
    ]
    assert await level(documents, "a") == (9, 3, 3, 1)
    assert await level(documents, "b") == (8, 2, 1, 1)
    check_at_rest(documents)


async def test_what_came_back_can_be_sold_again(documents):
    await handlers.execute(documents, restock("ord-1", 1, {"a": (3, 0)}), LATER)

    reply = await handlers.execute(documents, reserve("ord-2", {"a": 10}), LATER)

    assert reply.type == "inventory.reserved"
    check_at_rest(documents)


async def test_a_repeat_is_one_request_and_gets_the_recorded_answer(documents):
    wanted = restock("ord-1", 1, {"a": (1, 0)})
    first = await handlers.execute(documents, wanted, START)
    documents.requests.clear()

    assert await handlers.execute(documents, wanted, LATER) == first
    assert documents.requests == ["read reservations"]
    assert await level(documents, "a") == (8, 3, 1, 0)


async def test_the_reply_is_sent_again_for_every_delivery(documents):
    bus = FakeBus()
    for _ in range(2):
        await handlers.handle_command(documents, bus, FakeClock(), restock("ord-1", 1, {"a": (1, 0)}))

    first, second = bus.sent["order-replies"]
    assert first.body == second.body
    assert (first.subject, first.correlation_id) == ("inventory.restocked", "ord-1")


async def test_several_returns_of_one_order_take_back_all_that_was_shipped_and_not_one_more(documents):
    for number, (sku, pieces) in enumerate([("a", (1, 0)), ("a", (0, 1)), ("b", (2, 0))], start=1):
        reply = await handlers.execute(documents, restock("ord-1", number, {sku: pieces}), LATER)
        assert reply.type == "inventory.restocked"

    reply = await handlers.execute(documents, restock("ord-1", 4, {"a": (1, 1)}), LATER)
    assert reply.data == RestockRefused("ord-1", "ord-1-r4", "more_than_shipped", "a")
    reply = await handlers.execute(documents, restock("ord-1", 5, {"a": (1, 0)}), LATER)
    assert reply.type == "inventory.restocked"
    reply = await handlers.execute(documents, restock("ord-1", 6, {"a": (0, 1)}), LATER)
    assert reply.data == RestockRefused("ord-1", "ord-1-r6", "more_than_shipped", "a")
    check_at_rest(documents)


async def test_a_refused_return_books_nothing_and_stays_refused(documents):
    wanted = restock("ord-1", 1, {"b": (1, 0), "a": (4, 0)})
    first = await handlers.execute(documents, wanted, LATER)

    assert first.data == RestockRefused("ord-1", "ord-1-r1", "more_than_shipped", "a")
    assert await handlers.execute(documents, wanted, LATER) == first
    assert await level(documents, "b") == (8, 2, 0, 0)
    check_at_rest(documents)


async def test_a_sku_that_the_order_did_not_have_is_refused(documents):
    reply = await handlers.execute(documents, restock("ord-1", 1, {"a": (1, 0), "c": (1, 0)}), LATER)

    assert reply.data == RestockRefused("ord-1", "ord-1-r1", "not_shipped", "c")


async def test_a_parcel_that_came_back_empty_is_answered_and_books_nothing(documents):
    reply = await handlers.execute(documents, restock("ord-1", 1, {"a": (0, 0)}), LATER)

    assert reply.type == "inventory.restocked"
    assert await level(documents, "a") == (7, 3, 0, 0)
    check_at_rest(documents)


async def test_goods_of_an_order_that_never_reserved_are_refused_and_so_is_a_reserve_that_comes_later():
    documents = await stocked(FakeDocuments(), {"a": 10})
    wanted = restock("ord-1", 1, {"a": (1, 0)})

    reply = await handlers.execute(documents, wanted, START)

    assert reply.data == RestockRefused("ord-1", "ord-1-r1", "not_shipped", "")
    late = await handlers.execute(documents, reserve("ord-1", {"a": 1}), START)
    assert late.data == Rejected("ord-1", "released", "")
    assert (await handlers.execute(documents, wanted, LATER)) == reply
    check_at_rest(documents)


@pytest.mark.parametrize("reserved", [{"a": 99}, {"a": 1}])
async def test_goods_of_an_order_that_ended_unshipped_are_refused(reserved):
    documents = await stocked(FakeDocuments(), {"a": 10})
    await handlers.execute(documents, reserve("ord-1", reserved), START)
    await handlers.execute(documents, release("ord-1"), START)

    reply = await handlers.execute(documents, restock("ord-1", 1, {"a": (1, 0)}), LATER)

    assert reply.data == RestockRefused("ord-1", "ord-1-r1", "not_shipped", "")
    check_at_rest(documents)


async def test_goods_that_come_back_before_their_shipment_was_heard_of_wait_for_it():
    documents = await stocked(FakeDocuments(), {"a": 10})
    await handlers.execute(documents, reserve("ord-1", {"a": 2}), START)
    wanted = restock("ord-1", 1, {"a": (2, 0)})

    with pytest.raises(NotYetShipped, match="ord-1"):
        await handlers.execute(documents, wanted, START)
    await expiry.finish_due(documents, FakeBus(), EXPIRES)
    with pytest.raises(NotYetShipped, match="ord-1"):
        await handlers.execute(documents, wanted, EXPIRES)
    await handlers.commit(documents, "ord-1", EXPIRES)

    assert (await handlers.execute(documents, wanted, EXPIRES)).type == "inventory.restocked"
    check_at_rest(documents)


@pytest.mark.parametrize(
    ("lines", "rule"),
    [
        ((), "lines: must not be empty"),
        ((RestockLine("a", 1, 0), RestockLine("a", 1, 0)), "lines.1.sku: must be in one line only"),
    ],
)
async def test_what_no_return_can_be_is_refused_and_changes_nothing(documents, lines, rule):
    with pytest.raises(InvalidContract, match=rule):
        await handlers.execute(documents, command(Restock("ord-1", "ord-1-r1", lines)), START)

    assert documents.requests == []


async def test_a_command_that_means_two_returns_is_refused(documents):
    mixed = wrap(
        Restock("ord-1", "ord-1-r2", (RestockLine("a", 1, 0),)),
        id="ord-1:inventory.restock:ord-1-r1",
        source="orders",
        subject="ord-1",
        time=START,
        correlation_id="ord-1",
        causation_id="x",
    )
    with pytest.raises(InvalidContract, match="ord-1-r2"):
        await handlers.execute(documents, mixed, START)


async def test_it_is_kept_for_two_years_what_was_shipped(documents):
    (hold,) = [item for item in documents.items("inventory", "a") if item["kind"] == "hold"]
    assert hold["ttl"] == stored(documents, "ord-1")["ttl"] == SHIPPED_TTL_S == 730 * 86400
    await handlers.execute(documents, restock("ord-1", 1, {"a": (1, 0)}), LATER)
    assert stored(documents, "ord-1")["ttl"] == SHIPPED_TTL_S


async def test_a_count_of_the_shelf_heeds_a_return_that_comes_in_between(documents):
    async def meanwhile(request):
        if request == "batch inventory":
            documents.before = _free
            await handlers.execute(documents, restock("ord-1", 1, {"a": (1, 0)}), START)

    documents.before = meanwhile
    counted = await set_on_hand(documents, "a", 6, "counted", START)

    assert (counted.on_hand, counted.adjusted) == (6, -2)
    check_at_rest(documents)


RETURN = restock("ord-1", 1, {"a": (1, 1), "b": (1, 0)})
AGAIN = restock("ord-1", 2, {"a": (2, 0)})


async def test_a_crash_in_front_of_any_request_is_healed_by_the_redelivery():
    for crash in range(5):
        documents = await shipped(FakeDocuments())
        documents.before = crash_before(crash)
        with pytest.raises(Crash):
            await handlers.execute(documents, RETURN, LATER)
        documents.before = _free
        check_ledger(documents)
        replies = Replies()
        for _ in range(2):
            replies.add(RETURN.id, await handlers.execute(documents, RETURN, LATER))
        check_at_rest(documents)
        assert await level(documents, "a") == (8, 3, 2, 1)


async def test_a_return_that_nobody_finished_is_finished_and_answered_by_the_timer():
    for crash in range(2, 5):
        documents = await shipped(FakeDocuments())
        documents.before = crash_before(crash)
        with pytest.raises(Crash):
            await handlers.execute(documents, RETURN, LATER)
        documents.before = _free
        bus = FakeBus()

        assert await expiry.finish_due(documents, bus, LATER + OVERDUE_AFTER - timedelta(seconds=1)) == 0
        assert await expiry.finish_due(documents, bus, LATER + OVERDUE_AFTER) == 1

        assert [message.subject for message in bus.sent["order-replies"]] == ["inventory.restocked"]
        check_at_rest(documents)
        assert await level(documents, "b") == (9, 2, 1, 0)


async def test_the_timer_finishes_all_returns_of_an_order():
    documents = await shipped(FakeDocuments())
    for wanted in (restock("ord-1", 1, {"a": (1, 0)}), restock("ord-1", 2, {"b": (1, 1)})):
        documents.before = crash_before(2)
        with pytest.raises(Crash):
            await handlers.execute(documents, wanted, LATER)
    documents.before = _free
    found = await reservation.read(documents, "ord-1")

    replies = await handlers.finish(documents, found, LATER + OVERDUE_AFTER)

    assert [reply.type for reply in replies] == ["inventory.restocked"] * 2
    check_at_rest(documents)


async def _outcomes(*commands):
    """Of every interleaving; afterwards each command comes once more."""
    outcomes = set()
    replies = Replies()

    def start(documents):
        replies.of.clear()
        return [delivery(documents, each, replies, LATER) for each in commands]

    async def finish(documents):
        for each in commands:
            replies.add(each.id, await handlers.execute(documents, each, LATER))
        check_at_rest(documents)
        outcomes.add(tuple(replies.type(each.id) for each in commands))

    async def prepare(documents):
        await shipped(documents)

    count = await interleavings(prepare, start, finish)
    return count, outcomes


async def test_a_return_against_itself():
    count, outcomes = await _outcomes(RETURN, RETURN)
    assert count > 30
    assert outcomes == {("inventory.restocked",) * 2}


async def test_two_returns_of_the_same_pieces():
    count, outcomes = await _outcomes(RETURN, AGAIN)
    assert count > 30
    assert outcomes == {
        ("inventory.restocked", "inventory.restock_refused"),
        ("inventory.restock_refused", "inventory.restocked"),
    }


async def test_a_return_against_the_timer_that_finds_it_overdue():
    replies = Replies()

    async def prepare(documents):
        await shipped(documents)
        documents.before = crash_before(3)
        with pytest.raises(Crash):
            await handlers.execute(documents, RETURN, LATER)

    async def timer(documents):
        found = await reservation.read(documents, "ord-1")
        for reply in await handlers.finish(documents, found, LATER + OVERDUE_AFTER):
            replies.add(reply.causation_id, reply)

    def start(documents):
        replies.of.clear()
        return [delivery(documents, RETURN, replies, LATER), timer(documents)]

    async def finish(documents):
        check_at_rest(documents)
        assert replies.type(RETURN.id) == "inventory.restocked"
        assert await level(documents, "a") == (8, 3, 2, 1)

    assert await interleavings(prepare, start, finish) > 10


def test_an_outage_amid_a_return_is_waited_out():
    async def scenario():
        documents = await shipped(FakeDocuments())
        failed = []

        async def fail_thrice(request):
            if request == "batch inventory" and len(failed) < 3:
                failed.append(request)
                raise DocumentsUnavailable("for the moment")

        documents.before = fail_thrice
        reply = await handlers.execute(documents, RETURN, LATER)
        assert reply.type == "inventory.restocked"
        assert len(failed) == 3
        check_at_rest(documents)

    run_simulated(scenario())


@given(
    st.lists(
        st.tuples(
            st.integers(1, 4),
            st.dictionaries(
                st.sampled_from("ab"), st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1
            ),
        ),
        max_size=8,
    )
)
@settings(max_examples=100, deadline=None)
async def test_any_returns_take_back_what_a_plain_count_allows(returns):
    documents = await shipped(FakeDocuments())
    left = {"a": 3, "b": 2}
    answered = {}
    for number, lines in returns:
        reply = await handlers.execute(documents, restock("ord-1", number, lines), LATER)
        if number not in answered:
            fits = all(sum(pieces) <= left[sku] for sku, pieces in lines.items())
            answered[number] = "inventory.restocked" if fits else "inventory.restock_refused"
            for sku, pieces in lines.items():
                left[sku] -= sum(pieces) if fits else 0
        assert reply.type == answered[number]
    check_at_rest(documents)
    for sku, first in (("a", 3), ("b", 2)):
        assert (await read_stock(documents, sku)).returned == first - left[sku]


async def _free(request):
    return
