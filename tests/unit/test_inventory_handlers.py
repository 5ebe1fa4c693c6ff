import pytest

from core.contracts import InvalidContract
from core.documents import DocumentsUnavailable
from core.envelope import wrap
from core.resilience import retry_transient
from emulator.simulation import run_simulated
from services.inventory import handlers
from services.inventory.messages import Rejected, Released, Reserve, Reserved, ReserveLine
from tests.fakes import START, FakeBus, FakeClock, FakeDocuments
from tests.inventory_support import (
    EXPIRES,
    check_at_rest,
    command,
    figures,
    holds,
    release,
    reservation,
    reserve,
    stocked,
)


@pytest.fixture
async def documents():
    return await stocked(FakeDocuments(), {"a": 10, "b": 10})


async def test_a_reservation_of_two_skus_is_four_requests(documents):
    reply = await handlers.execute(documents, reserve("ord-1", {"b": 2, "a": 1}), START)

    assert reply.data == Reserved("ord-1")
    assert reply.id == "ord-1:inventory.reserve:reply"
    assert documents.requests == [
        "create reservations",
        "batch inventory",
        "batch inventory",
        "replace reservations",
    ]
    assert figures(documents, "a") == {"available": 9, "held": 1, "shipped": 0}
    assert figures(documents, "b") == {"available": 8, "held": 2, "shipped": 0}
    check_at_rest(documents)


async def test_a_commit_of_two_skus_is_four_requests(documents):
    await handlers.execute(documents, reserve("ord-1", {"a": 1, "b": 2}), START)
    documents.requests.clear()

    await handlers.commit(documents, "ord-1", START)

    assert documents.requests == [
        "read reservations",
        "batch inventory",
        "batch inventory",
        "replace reservations",
    ]
    assert figures(documents, "b") == {"available": 8, "held": 0, "shipped": 2}
    check_at_rest(documents)


async def test_a_release_of_two_skus_is_five_requests(documents):
    await handlers.execute(documents, reserve("ord-1", {"a": 1, "b": 2}), START)
    documents.requests.clear()

    reply = await handlers.execute(documents, release("ord-1"), START)

    assert reply.data == Released("ord-1")
    assert len(documents.requests) == 5
    assert figures(documents, "b") == {"available": 10, "held": 0, "shipped": 0}
    check_at_rest(documents)


async def test_a_repeat_is_one_or_two_requests_and_gets_the_recorded_answer(documents):
    first = await handlers.execute(documents, reserve("ord-1", {"a": 1}), START)
    documents.requests.clear()

    assert await handlers.execute(documents, reserve("ord-1", {"a": 1}), EXPIRES) == first
    assert documents.requests == ["create reservations", "read reservations"]

    first = await handlers.execute(documents, release("ord-1"), START)
    documents.requests.clear()
    assert await handlers.execute(documents, release("ord-1"), EXPIRES) == first
    assert documents.requests == ["read reservations"]
    assert figures(documents, "a")["available"] == 10


async def test_the_answer_to_a_reserve_stays_what_it_was_after_the_release(documents):
    await handlers.execute(documents, reserve("ord-1", {"a": 1}), START)
    await handlers.execute(documents, release("ord-1"), START)

    reply = await handlers.execute(documents, reserve("ord-1", {"a": 1}), START)

    assert reply.data == Reserved("ord-1")
    assert figures(documents, "a")["held"] == 0


async def test_too_little_stock_rejects_the_order_and_gives_back_what_it_held(documents):
    reply = await handlers.execute(documents, reserve("ord-1", {"a": 10, "b": 11}), START)

    assert reply.data == Rejected("ord-1", "out_of_stock", "b")
    assert len(documents.requests) == 2 * 2 + 4
    assert figures(documents, "a") == {"available": 10, "held": 0, "shipped": 0}
    assert holds(documents, "ord-1") == {"a": "released", "b": "released"}
    check_at_rest(documents)


async def test_an_unknown_sku_is_told_apart_from_one_that_has_run_out(documents):
    reply = await handlers.execute(documents, reserve("ord-1", {"a": 1, "ghost": 1}), START)

    assert reply.data == Rejected("ord-1", "unknown_sku", "ghost")
    assert figures(documents, "a")["held"] == 0


async def test_all_of_the_stock_can_be_held_and_not_one_more(documents):
    assert (await handlers.execute(documents, reserve("ord-1", {"a": 10}), START)).data == Reserved("ord-1")
    assert (await handlers.execute(documents, reserve("ord-2", {"a": 1}), START)).data == Rejected(
        "ord-2", "out_of_stock", "a"
    )


async def test_a_release_that_comes_first_is_answered_and_refuses_the_reserve(documents):
    released = await handlers.execute(documents, release("ord-1"), START)
    late = await handlers.execute(documents, reserve("ord-1", {"a": 1}), START)

    assert released.data == Released("ord-1")
    assert late.data == Rejected("ord-1", "released", "")
    assert figures(documents, "a") == {"available": 10, "held": 0, "shipped": 0}
    assert (await handlers.execute(documents, reserve("ord-1", {"a": 1}), EXPIRES)) == late
    check_at_rest(documents)


async def test_a_release_after_a_rejection_is_answered(documents):
    await handlers.execute(documents, reserve("ord-1", {"a": 11}), START)

    assert (await handlers.execute(documents, release("ord-1"), START)).data == Released("ord-1")
    assert reservation(documents, "ord-1")["status"] == "rejected"


async def test_lines_of_one_sku_are_merged(documents):
    lines = (ReserveLine("a", 6), ReserveLine("a", 5))

    reply = await handlers.execute(documents, command(Reserve("ord-1", lines, EXPIRES)), START)

    assert reply.data == Rejected("ord-1", "out_of_stock", "a")
    assert reservation(documents, "ord-1")["lines"] == [{"sku": "a", "quantity": 11}]


@pytest.mark.parametrize(
    ("lines", "expires_at", "rule"),
    [
        ((), EXPIRES, "lines: must not be empty"),
        ((ReserveLine("a", 0),), EXPIRES, "lines.0.quantity: must be at least 1"),
        ((ReserveLine("a", 1), ReserveLine("b", -1)), EXPIRES, "lines.1.quantity: must be at least 1"),
        ((ReserveLine("", 1),), EXPIRES, "lines.0.sku: must not be empty"),
        ((ReserveLine("a", 1),), EXPIRES.replace(tzinfo=None), "expires_at: must have an offset"),
    ],
)
async def test_what_no_reservation_can_be_is_refused_and_changes_nothing(documents, lines, expires_at, rule):
    with pytest.raises(InvalidContract, match=rule):
        await handlers.execute(documents, command(Reserve("ord-1", lines, expires_at)), START)

    assert documents.requests == []


async def test_a_command_that_means_two_orders_is_refused(documents):
    mixed = wrap(
        Reserve("ord-2", (ReserveLine("a", 1),), EXPIRES),
        id="ord-1:inventory.reserve",
        source="orders",
        subject="ord-1",
        time=START,
        correlation_id="ord-1",
        causation_id="x",
    )
    with pytest.raises(InvalidContract, match="order_id"):
        await handlers.execute(documents, mixed, START)


async def test_the_reply_is_sent_again_for_every_delivery(documents):
    bus = FakeBus()
    for _ in range(2):
        await handlers.handle_command(documents, bus, FakeClock(), reserve("ord-1", {"a": 1}))

    first, second = bus.sent["order-replies"]
    assert first.body == second.body
    assert (first.subject, first.correlation_id) == ("inventory.reserved", "ord-1")


async def test_a_repeated_shipment_changes_nothing(documents):
    await handlers.execute(documents, reserve("ord-1", {"a": 1}), START)
    await handlers.commit(documents, "ord-1", START)
    documents.requests.clear()

    await handlers.commit(documents, "ord-1", START)

    assert documents.requests == ["read reservations"]
    assert figures(documents, "a") == {"available": 9, "held": 0, "shipped": 1}


async def test_goods_that_left_after_their_hold_was_released_come_from_what_is_available(documents):
    await handlers.execute(documents, reserve("ord-1", {"a": 4}), START)
    await handlers.execute(documents, release("ord-1"), START)

    await handlers.commit(documents, "ord-1", START)

    assert figures(documents, "a") == {"available": 6, "held": 0, "shipped": 4}
    check_at_rest(documents)


async def test_goods_that_left_without_stock_are_booked_as_a_shortage_with_its_reason(documents):
    await handlers.execute(documents, reserve("ord-1", {"a": 4}), START)
    await handlers.execute(documents, release("ord-1"), START)
    await handlers.execute(documents, reserve("ord-2", {"a": 9}), START)

    await handlers.commit(documents, "ord-1", START)

    assert figures(documents, "a") == {"available": 0, "held": 9, "shipped": 4}
    (shortage,) = [item for item in documents.items("inventory", "a") if item.get("movement") == "adjustment"]
    assert shortage["quantity"] == 3
    assert "ord-1" in shortage["reason"]
    check_at_rest(documents)


async def test_goods_of_a_rejected_order_that_left_all_the_same_are_counted(documents):
    await handlers.execute(documents, reserve("ord-1", {"a": 1, "ghost": 2}), START)

    await handlers.commit(documents, "ord-1", START)

    assert figures(documents, "a") == {"available": 9, "held": 0, "shipped": 1}
    assert figures(documents, "ghost") == {"available": 0, "held": 0, "shipped": 2}
    check_at_rest(documents)


async def test_a_release_of_goods_that_have_left_is_answered_and_they_stay_shipped(documents):
    await handlers.execute(documents, reserve("ord-1", {"a": 1}), START)
    await handlers.commit(documents, "ord-1", START)

    assert (await handlers.execute(documents, release("ord-1"), START)).data == Released("ord-1")
    assert figures(documents, "a") == {"available": 9, "held": 0, "shipped": 1}
    assert reservation(documents, "ord-1")["status"] == "committed"


async def test_a_shipment_of_an_order_without_lines_is_refused(documents):
    with pytest.raises(handlers.UnknownReservation, match="ord-1"):
        await handlers.commit(documents, "ord-1", START)
    await handlers.execute(documents, release("ord-1"), START)
    with pytest.raises(handlers.UnknownReservation, match="ord-1"):
        await handlers.commit(documents, "ord-1", START)


async def test_an_order_of_593_skus_is_held_released_and_committed():
    skus = {f"sku-{number:03}": 1 + number % 7 for number in range(593)}
    documents = await stocked(FakeDocuments(), dict.fromkeys(skus, 20))

    assert (await handlers.execute(documents, reserve("ord-1", skus), START)).data == Reserved("ord-1")
    assert len(documents.requests) == 595
    documents.requests.clear()
    await handlers.commit(documents, "ord-1", START)
    assert len(documents.requests) == 595
    await handlers.execute(documents, reserve("ord-2", skus), START)
    documents.requests.clear()
    await handlers.execute(documents, release("ord-2"), START)
    assert len(documents.requests) == 596
    check_at_rest(documents)


def test_an_order_of_593_skus_gets_through_a_store_that_fails_every_tenth_request():
    async def failing(request):
        count.append(request)
        if len(count) % 10 == 0:
            raise DocumentsUnavailable("for the moment")

    async def run():
        skus = dict.fromkeys((f"sku-{number:03}" for number in range(593)), 1)
        documents = await stocked(FakeDocuments(), skus)
        documents.before = failing
        reply = await retry_transient(lambda: handlers.execute(documents, reserve("ord-1", skus), START))
        check_at_rest(documents)
        return reply.data

    count: list[str] = []
    assert run_simulated(run()) == Reserved("ord-1")


async def test_final_documents_expire_and_an_open_reservation_does_not(documents):
    await handlers.execute(documents, reserve("ord-1", {"a": 1}), START)
    assert "ttl" not in reservation(documents, "ord-1")
    await handlers.execute(documents, reserve("ord-2", {"a": 1}), START)
    await handlers.execute(documents, release("ord-2"), START)
    assert reservation(documents, "ord-2")["ttl"] == 30 * 86400
    ttls = {
        item["order_id"]: item.get("ttl")
        for item in documents.items("inventory", "a")
        if item["kind"] == "hold"
    }
    assert ttls == {"ord-1": None, "ord-2": 30 * 86400}
