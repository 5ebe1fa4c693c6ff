"""The charge is pending: the customer has time to act, and nobody asks every half minute whether he has."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from core.envelope import pending_id
from services.inventory.messages import ExtendHold
from tests.saga.driver import DONE, HOLD_S, ORDER_ID, POLICY, REFUSED, World

ACTION_S = POLICY.payment_action_s


async def pending() -> World:
    """What was said so is on the order's stream."""
    world = await World().waiting_for("payment")
    world.told_pending()
    assert world.run.pending == ["await_payment"]
    await world.work()
    return world


def due(world: World) -> datetime:
    return world.pending_since + timedelta(seconds=ACTION_S)


async def abandon(world: World) -> None:
    """Nothing comes, neither by itself nor when the gateway is asked a last time."""
    world.run.fire()
    assert world.run.pending == ["request_payment"]
    await world.work()
    world.run.fire()


async def test_the_order_says_that_it_waits_for_its_customer_and_until_when() -> None:
    world = await pending()
    assert world.stream()[-1] == "payment_pending"
    state = world.snapshot()
    assert (state["status"], state["payment_pending"]) == ("inventory_reserved", "needs_action")
    assert datetime.fromisoformat(state["payment_due"]) == due(world)


async def test_the_stock_is_held_for_as_much_longer() -> None:
    world = await pending()
    sent = world.last_command("inventory")
    assert sent.data == ExtendHold(ORDER_ID, due(world) + timedelta(seconds=HOLD_S))
    assert (sent.id, sent.causation_id) == (
        f"{ORDER_ID}:inventory.extend_hold",
        pending_id(f"{ORDER_ID}:payments.charge"),
    )


async def test_nothing_is_sent_again_while_the_customer_has_time() -> None:
    world = await pending()
    before = world.clock.now()
    world.run.fire()
    assert (world.clock.now() - before).total_seconds() == pytest.approx(ACTION_S, abs=1)
    assert [sent for sent in world.sent() if sent.startswith("payments.")] == ["payments.charge/1"]


async def test_a_charge_that_ends_well_goes_on_to_shipping() -> None:
    world = await pending()
    world.answer("payment", DONE["payment"])
    await world.work()
    state = world.snapshot()
    assert (state["payment_pending"], state["payment_due"]) == ("", None)
    world.answer("shipping", DONE["shipping"])
    await world.work()
    assert world.run.output == {"status": "completed"}


async def test_a_charge_that_is_refused_after_all_is_undone_as_a_refusal() -> None:
    world = await pending()
    world.answer("payment", REFUSED["payment"])
    await world.undo("inventory")
    assert world.run.output == {"status": "cancelled"}
    assert world.snapshot()["reason"] == "payment_failed:declined"
    assert world.snapshot()["payment_pending"] == ""


async def test_after_the_time_of_the_customer_the_gateway_is_asked_once_more_and_then_all_is_undone() -> None:
    world = await pending()
    await abandon(world)
    await world.undo("payment", "inventory")
    assert world.run.output == {"status": "cancelled"}
    assert world.snapshot()["reason"] == "payment_timed_out"
    assert [sent for sent in world.sent() if sent.startswith("payments.")] == [
        "payments.charge/1",
        "payments.charge/4",
        "payments.refund/1",
    ]


async def test_the_last_look_finds_a_charge_whose_webhook_was_lost() -> None:
    world = await pending()
    world.run.fire()
    await world.work()
    world.answer("payment", DONE["payment"])
    await world.work()
    assert world.stream()[-1] == "shipping_requested"


async def test_the_last_look_that_finds_it_still_pending_ends_the_wait_all_the_same() -> None:
    world = await pending()
    world.run.fire()
    await world.work()
    world.told_pending()
    assert world.run.pending == []
    world.run.fire()
    await world.undo("payment", "inventory")
    assert world.run.output == {"status": "cancelled"}


async def test_the_news_twice_or_after_the_answer_changes_nothing() -> None:
    world = await World().waiting_for("payment")
    said = world.said_pending()
    world.run.episode(said, said)
    world.run.episode(said)
    await world.work()
    world.run.episode(said)
    world.run.episode(world.reply("payment", DONE["payment"]), said)
    await world.work()
    world.run.episode(said)
    world.answer("shipping", DONE["shipping"])
    await world.work()
    assert world.run.output == {"status": "completed"}
    assert world.stream().count("payment_pending") == 1


async def test_the_answer_before_the_news_counts() -> None:
    world = await World().waiting_for("payment")
    world.run.episode(world.reply("payment", DONE["payment"]), world.said_pending())
    assert world.run.pending == ["request_shipment"]
    await world.work()
    assert "payment_pending" not in world.stream()


async def test_the_answer_in_the_same_moment_as_the_news_counts_more() -> None:
    world = await World().waiting_for("payment")
    world.run.episode(world.said_pending(), world.reply("payment", DONE["payment"]))
    while world.run.pending != ["request_shipment"]:
        await world.work()
    await world.work()
    assert world.stream()[-1] == "shipping_requested"


async def test_the_news_may_overtake_the_end_of_the_activity_that_asked() -> None:
    world = await World().waiting_for("inventory")
    world.answer("inventory", DONE["inventory"])
    said = world.said_pending()
    world.run.episode(said, said)
    assert world.run.pending == ["request_payment"]
    await world.work()
    assert world.run.pending == ["await_payment"]
    await world.work()
    world.answer("payment", DONE["payment"])
    assert world.run.pending == ["request_shipment"]


@pytest.mark.parametrize("attempt", [2, 3])
async def test_the_news_counts_at_whichever_attempt_it_comes(attempt: int) -> None:
    world = await World().waiting_for("payment")
    for _ in range(attempt - 1):
        world.run.fire()
        await world.work()
    world.told_pending()
    await world.work()
    world.answer("payment", DONE["payment"])
    assert world.run.pending == ["request_shipment"]


async def test_the_answer_while_the_order_is_being_told_counts() -> None:
    world = await World().waiting_for("payment")
    world.told_pending()
    world.answer("payment", DONE["payment"])
    await world.work()
    assert world.run.pending == ["request_shipment"]


async def test_a_wait_whose_activity_failed_goes_on_and_is_heard() -> None:
    world = await World().waiting_for("payment")
    world.told_pending()
    world.run.fail("await_payment")
    world.answer("payment", DONE["payment"])
    assert world.run.pending == ["request_shipment"]


async def test_the_customer_can_cancel_while_the_charge_is_pending() -> None:
    world = await pending()
    await world.cancel()
    world.wake()
    await world.undo("payment", "inventory")
    assert world.run.output == {"status": "cancelled"}
    assert world.snapshot()["reason"] == "customer_request"


async def test_a_cancellation_that_was_not_heard_is_found_when_the_order_is_told() -> None:
    world = await World().waiting_for("payment")
    await world.cancel()
    world.told_pending()
    await world.work()
    await world.undo("payment", "inventory")
    assert world.run.output == {"status": "cancelled"}
    assert "inventory.extend_hold/4" not in world.sent()


async def test_a_success_after_the_time_was_over_changes_nothing_here() -> None:
    """Payments gives the money back: the undo came first."""
    world = await pending()
    await abandon(world)
    world.answer("payment", DONE["payment"])
    await world.undo("payment", "inventory")
    assert world.run.output == {"status": "cancelled"}


async def test_a_saga_that_is_started_again_waits_for_the_rest_of_the_time_only() -> None:
    world = await pending()
    world.clock.advance(ACTION_S - 100)
    world.start()
    await world.work()
    await world.work()
    world.told_pending()
    await world.work()
    world.run.fire()
    assert world.clock.now() - due(world) < timedelta(seconds=1)
    assert world.stream().count("payment_pending") == 1


async def test_the_news_that_comes_before_a_saga_that_is_started_again_has_asked_counts_once() -> None:
    world = await pending()
    world.start()
    said = world.said_pending()
    world.run.episode(said, said)
    await world.work()
    assert world.run.pending == ["request_payment"]
    await world.work(in_vain=True)
    world.run.episode(said)
    while world.run.pending != ["await_payment"]:
        world.run.fire()
    await world.work()
    world.answer("payment", DONE["payment"])
    assert world.run.pending == ["request_shipment"]


async def test_a_saga_that_is_started_again_after_that_time_has_looked_and_gives_up() -> None:
    world = await pending()
    world.clock.advance(ACTION_S)
    world.start()
    await world.work()
    await world.work()
    world.told_pending()
    await world.undo("payment", "inventory")
    assert world.snapshot()["reason"] == "payment_timed_out"


async def test_a_wait_of_hours_looks_each_hour() -> None:
    world = World(replace(POLICY, payment_action_s=2.5 * 3600))
    await world.waiting_for("payment")
    world.told_pending()
    waited = []
    while world.run.pending == ["await_payment"]:
        await world.work()
        before = world.clock.now()
        world.run.fire()
        waited.append(round((world.clock.now() - before).total_seconds()))
        await world.work()
        world.told_pending()
        world.run.fire()
    assert waited == [3600, 3600, 2.5 * 3600 - 2 * (3600 + 30)]
    assert world.stream().count("payment_pending") == 1
    await world.undo("payment", "inventory")


async def test_a_saga_from_before_the_setting_waits_for_the_default() -> None:
    world = await World().placed()
    del world.run.given["policy"]["payment_action_s"]
    await world.work()
    world.answer("inventory", DONE["inventory"])
    await world.work()
    world.told_pending()
    await world.work()
    world.run.fire()
    assert world.clock.now() - due(world) < timedelta(seconds=1)
