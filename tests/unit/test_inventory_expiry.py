from datetime import timedelta, timezone

import pytest

from core.contracts import InvalidContract
from services.inventory import expiry, handlers
from services.inventory.messages import ExtendHold
from services.inventory.reservation import OVERDUE_AFTER
from tests.fakes import START, FakeBus, FakeClock, FakeDocuments
from tests.inventory_support import (
    EXPIRES,
    Crash,
    Replies,
    check_at_rest,
    command,
    crash_before,
    delivery,
    figures,
    holds,
    interleavings,
    release,
    reservation,
    reserve,
    restock,
    stocked,
)

LATER = EXPIRES + timedelta(seconds=1)


@pytest.fixture
async def documents():
    return await stocked(FakeDocuments(), {"a": 300})


async def test_a_hold_goes_back_to_stock_when_it_has_expired_and_not_before(documents):
    await handlers.execute(documents, reserve("ord-1", {"a": 2}), START)

    assert await expiry.finish_due(documents, FakeBus(), EXPIRES - timedelta(seconds=1)) == 0
    assert figures(documents, "a")["held"] == 2

    assert await expiry.finish_due(documents, FakeBus(), LATER) == 1
    assert figures(documents, "a") == {"available": 300, "held": 0, "shipped": 0}
    assert holds(documents, "ord-1") == {"a": "released"}
    check_at_rest(documents)


async def extend(documents, order_id="ord-1", expires_at=LATER + timedelta(days=1)):
    told = command(ExtendHold(order_id, expires_at))
    await handlers.handle_command(documents, FakeBus(), FakeClock(), told)


async def test_a_hold_that_is_extended_expires_later_and_never_earlier(documents):
    await handlers.execute(documents, reserve("ord-1", {"a": 2}), START)
    await extend(documents)
    stored = reservation(documents, "ord-1")
    await extend(documents, expires_at=LATER)
    assert reservation(documents, "ord-1") == stored

    assert await expiry.finish_due(documents, FakeBus(), LATER) == 0
    assert figures(documents, "a")["held"] == 2
    assert await expiry.finish_due(documents, FakeBus(), LATER + timedelta(days=1)) == 1
    assert holds(documents, "ord-1") == {"a": "released"}
    check_at_rest(documents)


async def test_an_extension_is_not_answered_and_leaves_the_answer_of_the_reservation(documents):
    replied = await handlers.execute(documents, reserve("ord-1", {"a": 2}), START)
    bus = FakeBus()
    told = command(ExtendHold("ord-1", LATER))
    await handlers.handle_command(documents, bus, FakeClock(), told)
    assert bus.sent["order-replies"] == []
    assert await handlers.execute(documents, reserve("ord-1", {"a": 2}), START) == replied


async def test_what_has_ended_is_not_held_again(documents, caplog):
    for order_id in ("ord-1", "ord-2"):
        await handlers.execute(documents, reserve(order_id, {"a": 2}), START)
    await handlers.execute(documents, release("ord-1"), START)
    await handlers.commit(documents, "ord-2", START)
    before = documents.items("reservations")
    await extend(documents)
    assert "hold to be extended has ended" in caplog.text
    caplog.clear()
    await extend(documents, "ord-2")
    assert caplog.text == ""
    assert documents.items("reservations") == before


async def test_an_extension_that_meets_the_release_does_not_undo_it(documents):
    """Whichever request of the one comes between those of the other."""
    ends = []

    async def prepare(documents):
        await stocked(documents, {"a": 300})
        await handlers.execute(documents, reserve("ord-1", {"a": 2}), START)

    def both(documents):
        return [extend(documents), delivery(documents, release("ord-1"), Replies())]

    async def finish(documents):
        ends.append(reservation(documents, "ord-1")["status"])
        check_at_rest(documents)

    assert await interleavings(prepare, both, finish) > 5
    assert set(ends) == {"released"}


async def test_an_extension_of_an_order_that_has_no_reservation_is_not_valid(documents):
    with pytest.raises(InvalidContract, match="'ord-1' has no reservation"):
        await extend(documents)
    await handlers.execute(documents, reserve("ord-1", {"a": 2}), START)
    with pytest.raises(InvalidContract, match="expires_at: must have an offset"):
        await extend(documents, expires_at=LATER.replace(tzinfo=None))


async def test_expiry_times_with_other_offsets_are_compared_as_times(documents):
    elsewhere = EXPIRES.astimezone(timezone(timedelta(hours=-5)))
    await handlers.execute(documents, reserve("ord-1", {"a": 2}, elsewhere), START)

    assert await expiry.finish_due(documents, FakeBus(), EXPIRES - timedelta(seconds=1)) == 0
    assert await expiry.finish_due(documents, FakeBus(), EXPIRES) == 1


async def test_what_is_at_an_end_is_not_looked_at_again(documents):
    await handlers.execute(documents, reserve("ord-1", {"a": 2}), START)
    await handlers.commit(documents, "ord-1", START)
    await handlers.execute(documents, reserve("ord-2", {"a": 2}), START)
    await handlers.execute(documents, release("ord-2"), START)
    await handlers.execute(documents, reserve("ord-3", {"a": 301}), START)

    assert await expiry.finish_due(documents, FakeBus(), LATER) == 0


async def test_an_expired_reservation_stays_until_its_release_comes(documents):
    await handlers.execute(documents, reserve("ord-1", {"a": 2}), START)
    await expiry.finish_due(documents, FakeBus(), LATER)
    assert "ttl" not in reservation(documents, "ord-1")

    reply = await handlers.execute(documents, release("ord-1"), LATER)

    assert reply.type == "inventory.released"
    assert "ttl" in reservation(documents, "ord-1")
    assert figures(documents, "a")["available"] == 300


async def test_goods_of_an_expired_hold_that_left_all_the_same_count_as_shipped(documents):
    await handlers.execute(documents, reserve("ord-1", {"a": 2}), START)
    await expiry.finish_due(documents, FakeBus(), LATER)

    await handlers.commit(documents, "ord-1", LATER)

    assert figures(documents, "a") == {"available": 298, "held": 0, "shipped": 2}
    check_at_rest(documents)


async def test_what_expired_can_be_bought_by_another_who_keeps_it_when_the_first_goods_leave(documents):
    await handlers.execute(documents, reserve("ord-1", {"a": 200}), START)
    await expiry.finish_due(documents, FakeBus(), LATER)
    await handlers.execute(documents, reserve("ord-2", {"a": 250}, LATER + timedelta(days=1)), LATER)

    await handlers.commit(documents, "ord-1", LATER)

    assert figures(documents, "a") == {"available": 0, "held": 250, "shipped": 200}
    (shortage,) = [item for item in documents.items("inventory", "a") if item.get("movement") == "adjustment"]
    assert (shortage["quantity"], "ord-1" in shortage["reason"]) == (150, True)
    await handlers.commit(documents, "ord-2", LATER)
    assert figures(documents, "a") == {"available": 0, "held": 0, "shipped": 450}
    check_at_rest(documents)


async def test_a_reserve_that_comes_again_after_the_expiry_is_answered_as_before_and_holds_nothing(documents):
    first = await handlers.execute(documents, reserve("ord-1", {"a": 2}), START)
    await expiry.finish_due(documents, FakeBus(), LATER)

    assert await handlers.execute(documents, reserve("ord-1", {"a": 2}), LATER) == first
    assert figures(documents, "a") == {"available": 300, "held": 0, "shipped": 0}
    check_at_rest(documents)


async def test_goods_of_an_expired_hold_can_come_back_like_any_others(documents):
    await handlers.execute(documents, reserve("ord-1", {"a": 2}), START)
    await expiry.finish_due(documents, FakeBus(), LATER)
    await handlers.commit(documents, "ord-1", LATER)

    reply = await handlers.execute(documents, restock("ord-1", 1, {"a": (2, 0)}), LATER)

    assert reply.type == "inventory.restocked"
    assert figures(documents, "a") == {"available": 300, "held": 0, "shipped": 2}
    check_at_rest(documents)


async def test_a_reserve_that_nobody_finished_is_finished_and_answered(documents):
    documents.before = crash_before(1)
    with pytest.raises(Crash):
        await handlers.execute(documents, reserve("ord-1", {"a": 2}), START)
    documents.before = _free
    bus = FakeBus()

    assert await expiry.finish_due(documents, bus, START + OVERDUE_AFTER - timedelta(seconds=1)) == 0
    assert await expiry.finish_due(documents, bus, START + OVERDUE_AFTER) == 1

    assert [message.subject for message in bus.sent["order-replies"]] == ["inventory.reserved"]
    assert figures(documents, "a")["held"] == 2
    check_at_rest(documents)


async def test_more_than_a_page_of_them_is_finished_in_one_run(documents):
    for number in range(250):
        await handlers.execute(documents, reserve(f"ord-{number}", {"a": 1}), START)

    assert await expiry.finish_due(documents, FakeBus(), LATER) >= 150
    while await expiry.finish_due(documents, FakeBus(), LATER):
        pass
    assert figures(documents, "a") == {"available": 300, "held": 0, "shipped": 0}


async def test_one_that_fails_does_not_keep_the_others(documents):
    for number in range(3):
        await handlers.execute(documents, reserve(f"ord-{number}", {"a": 1}), START)
    failed = []

    async def fail_once(request):
        if request == "replace reservations" and not failed:
            failed.append(request)
            raise RuntimeError("broken")

    documents.before = fail_once
    with pytest.raises(RuntimeError, match="broken"):
        await expiry.finish_due(documents, FakeBus(), LATER)
    assert figures(documents, "a")["held"] == 1

    await expiry.finish_due(documents, FakeBus(), LATER)
    assert figures(documents, "a")["held"] == 0


async def _free(request):
    return
