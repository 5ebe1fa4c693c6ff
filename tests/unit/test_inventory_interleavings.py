"""Concurrent and crashed deliveries, systematically: every order of their requests, a crash in front of
every one."""

from datetime import timedelta

import pytest

from core.documents import Create, Increment, Patch
from services.inventory import handlers, reservation
from services.inventory.movements import movement_item
from services.inventory.reservation import OVERDUE_AFTER
from tests.fakes import START, FakeDocuments
from tests.inventory_support import (
    EXPIRES,
    Crash,
    Replies,
    check_at_rest,
    check_ledger,
    crash_before,
    delivery,
    figures,
    interleavings,
    release,
    reserve,
    stocked,
)
from tests.inventory_support import reservation as stored

RESERVE = reserve("ord-1", {"a": 1, "b": 2})
RELEASE = release("ord-1")
LATER = EXPIRES + timedelta(seconds=1)


async def _run(stock, make, *earlier):
    """Every interleaving of what `make` starts; afterwards each command comes once more. Answers the
    outcomes."""
    outcomes = set()
    replies = Replies()

    async def prepare(documents):
        await stocked(documents, stock)
        for command in earlier:
            await handlers.execute(documents, command, START)

    def start(documents):
        replies.of.clear()
        return make(documents, replies)

    async def finish(documents):
        for command in (RESERVE, RELEASE):
            if command.id in replies.of:
                replies.add(command.id, await handlers.execute(documents, command, START))
        check_at_rest(documents)
        outcomes.add(
            (stored(documents, "ord-1")["status"], *sorted(answer["type"] for answer in replies.of.values()))
        )

    count = await interleavings(prepare, start, finish)
    return count, outcomes


async def test_reserve_against_release():
    count, outcomes = await _run(
        {"a": 5, "b": 5},
        lambda documents, replies: [
            delivery(documents, RESERVE, replies),
            delivery(documents, RELEASE, replies),
        ],
    )
    assert count > 100
    assert outcomes == {
        ("released", "inventory.released", "inventory.reserved"),
        ("released", "inventory.rejected", "inventory.released"),
    }


async def test_reserve_against_itself():
    count, outcomes = await _run(
        {"a": 5, "b": 5},
        lambda documents, replies: [
            delivery(documents, RESERVE, replies),
            delivery(documents, RESERVE, replies),
        ],
    )
    assert count > 30
    assert outcomes == {("reserved", "inventory.reserved")}


async def test_a_rejection_against_its_own_repeat_while_stock_comes_in():
    async def receipt(documents):
        received = Patch("stock", tuple(Increment(figure, 4) for figure in ("received", "available")))
        await documents.batch("inventory", "a", [received, Create(movement_item("a", 1, 4, None, START))])

    count, outcomes = await _run(
        {"a": 0, "b": 2},
        lambda documents, replies: [
            delivery(documents, RESERVE, replies),
            delivery(documents, RESERVE, replies),
            receipt(documents),
        ],
    )
    assert count > 300
    assert outcomes == {("reserved", "inventory.reserved"), ("rejected", "inventory.rejected")}


async def test_a_rejection_against_release():
    _, outcomes = await _run(
        {"a": 5, "b": 1},
        lambda documents, replies: [
            delivery(documents, RESERVE, replies),
            delivery(documents, RELEASE, replies),
        ],
    )
    assert outcomes == {
        ("rejected", "inventory.rejected", "inventory.released"),
        ("released", "inventory.rejected", "inventory.released"),
    }


async def test_release_against_itself():
    _, outcomes = await _run(
        {"a": 5, "b": 5},
        lambda documents, replies: [
            delivery(documents, RELEASE, replies),
            delivery(documents, RELEASE, replies),
        ],
        RESERVE,
    )
    assert outcomes == {("released", "inventory.released")}


async def test_two_orders_for_the_last_piece():
    other = reserve("ord-2", {"a": 1, "b": 2})
    replies = Replies()
    outcomes = set()

    def start(documents):
        replies.of.clear()
        return [delivery(documents, RESERVE, replies), delivery(documents, other, replies)]

    async def finish(documents):
        check_at_rest(documents)
        outcomes.add(tuple(replies.type(command.id) for command in (RESERVE, other)))
        assert figures(documents, "b")["held"] == 2

    await interleavings(lambda documents: stocked(documents, {"a": 2, "b": 3}), start, finish)
    assert outcomes == {
        ("inventory.reserved", "inventory.rejected"),
        ("inventory.rejected", "inventory.reserved"),
    }


async def _commit(documents, now=START):
    await handlers.commit(documents, "ord-1", now)


async def _expire(documents):
    await handlers.finish(documents, await reservation.read(documents, "ord-1"), LATER)


async def test_goods_that_leave_while_their_hold_expires_count_as_shipped():
    _, outcomes = await _run(
        {"a": 5, "b": 2},
        lambda documents, _: [_commit(documents, LATER), _expire(documents)],
        RESERVE,
    )
    assert outcomes == {("committed",)}


async def test_goods_that_leave_twice_count_once():
    _, outcomes = await _run(
        {"a": 5, "b": 5}, lambda documents, _: [_commit(documents), _commit(documents)], RESERVE
    )
    assert outcomes == {("committed",)}


async def test_goods_that_leave_while_a_release_runs_count_as_shipped():
    _, outcomes = await _run(
        {"a": 5, "b": 5},
        lambda documents, replies: [delivery(documents, RELEASE, replies), _commit(documents)],
        RESERVE,
    )
    assert outcomes == {("committed", "inventory.released")}


async def test_goods_that_leave_while_a_reserve_is_in_motion_count_as_shipped():
    async def prepare(documents):
        await stocked(documents, {"a": 5, "b": 5})
        documents.before = crash_before(1)
        with pytest.raises(Crash):
            await handlers.execute(documents, RESERVE, START)

    def start(documents):
        replies.of.clear()
        return [delivery(documents, RESERVE, replies), _commit(documents)]

    async def finish(documents):
        check_at_rest(documents)
        assert figures(documents, "b") == {"available": 3, "held": 0, "shipped": 2}
        assert replies.type(RESERVE.id) == "inventory.reserved"

    replies = Replies()
    assert await interleavings(prepare, start, finish) > 30


async def test_an_expiry_against_a_release():
    _, outcomes = await _run(
        {"a": 5, "b": 5},
        lambda documents, replies: [delivery(documents, RELEASE, replies), _expire(documents)],
        RESERVE,
    )
    assert outcomes == {("released", "inventory.released")}


@pytest.mark.parametrize("stock", [{"a": 5, "b": 5}, {"a": 5, "b": 1}, {"a": 5}])
async def test_a_crash_in_front_of_any_request_is_healed_by_the_redelivery(stock):
    crashes = 0
    while True:
        documents = await stocked(FakeDocuments(), stock)
        replies = Replies()
        documents.before = crash_before(crashes)
        try:
            for command in (RESERVE, RELEASE):
                replies.add(command.id, await handlers.execute(documents, command, START))
        except Crash:
            crashed = True
        else:
            crashed = False
        documents.before = _free
        for command in (RESERVE, RELEASE):
            for _ in range(2):
                replies.add(command.id, await handlers.execute(documents, command, START))
        check_at_rest(documents)
        assert figures(documents, "a") == {"available": 5, "held": 0, "shipped": 0}
        if not crashed:
            break
        crashes += 1
    assert crashes > 5


async def test_a_reserve_that_crashed_anywhere_and_never_comes_back_is_undone_by_the_release():
    for crash in range(4):
        documents = await stocked(FakeDocuments(), {"a": 5, "b": 5})
        documents.before = crash_before(crash)
        with pytest.raises(Crash):
            await handlers.execute(documents, RESERVE, START)
        documents.before = _free
        await handlers.execute(documents, RELEASE, START)
        check_at_rest(documents)
        assert figures(documents, "a")["available"] == 5
        assert (await handlers.execute(documents, RESERVE, START)).type == "inventory.rejected"


async def test_a_commit_that_crashed_anywhere_is_finished_by_the_redelivery():
    for crash in range(4):
        documents = await stocked(FakeDocuments(), {"a": 5, "b": 5})
        await handlers.execute(documents, RESERVE, START)
        documents.before = crash_before(crash)
        with pytest.raises(Crash):
            await _commit(documents)
        check_ledger(documents)
        documents.before = _free
        await _commit(documents)
        check_at_rest(documents)
        assert figures(documents, "b") == {"available": 3, "held": 0, "shipped": 2}


async def test_what_a_crash_left_in_motion_is_finished_by_the_timer_with_its_reply():
    overdue = START + OVERDUE_AFTER
    for command, requests in ((RESERVE, 4), (RELEASE, 5)):
        for crash in range(1, requests):
            documents = await stocked(FakeDocuments(), {"a": 5, "b": 5})
            if command is RELEASE:
                await handlers.execute(documents, RESERVE, START)
            documents.before = crash_before(crash)
            with pytest.raises(Crash):
                await handlers.execute(documents, command, START)
            documents.before = _free
            found = await reservation.read(documents, "ord-1")
            replies = await handlers.finish(documents, found, overdue)
            check_at_rest(documents)
            in_motion = not (command is RELEASE and crash == 1)
            assert [reply.causation_id for reply in replies] == ([command.id] if in_motion else [])


async def _free(request):
    return
