"""The customer changes their mind, at every moment at which that is possible and at those where it is not."""

import pytest

from orchestrators.steps import BY_NAME
from services.orders.decider import CannotCancel
from services.orders.state import OrderState
from tests.saga.driver import DONE, World

UNDONE_WHEN_WAITING_FOR = {"inventory": ("inventory",), "payment": ("payment", "inventory")}


@pytest.mark.parametrize("step", UNDONE_WHEN_WAITING_FOR)
async def test_a_cancelled_wait_undoes_its_step_too(step: str) -> None:
    world = await World().waiting_for(step)
    await world.cancel()
    world.wake()
    undone = UNDONE_WHEN_WAITING_FOR[step]
    await world.undo(*undone)
    assert world.run.output == {"status": "cancelled"}
    assert world.undo_commands() == [f"{BY_NAME[name].undo.command_type}/1" for name in undone]
    assert world.snapshot()["reason"] == "customer_request"


@pytest.mark.parametrize("attempt", [2, 3])
async def test_a_cancellation_is_heard_at_a_later_attempt(attempt: int) -> None:
    world = await World().waiting_for("payment")
    for _ in range(attempt - 1):
        world.run.fire()
        await world.work()
    await world.cancel()
    world.wake()
    await world.undo("payment", "inventory")
    assert world.run.output == {"status": "cancelled"}


@pytest.mark.parametrize("step", UNDONE_WHEN_WAITING_FOR)
async def test_a_lost_wake_up_is_found_on_the_stream_by_the_next_activity(step: str) -> None:
    world = await World().waiting_for(step)
    await world.cancel()
    world.answer(step, DONE[step])
    await world.work()
    undone = {"inventory": ("payment", "inventory"), "payment": ("payment", "inventory")}[step]
    await world.undo(*undone)
    assert world.run.output == {"status": "cancelled"}
    assert not [sent for sent in world.sent() if sent.startswith("shipping.")]
    assert world.stream()[-1] == "cancelled"


async def test_a_lost_wake_up_is_found_by_a_resend() -> None:
    world = await World().waiting_for("inventory")
    await world.cancel()
    world.run.fire()
    await world.work()
    assert world.sent() == ["inventory.reserve/1"]
    await world.undo("inventory")
    assert world.run.output == {"status": "cancelled"}


async def test_before_the_first_activity_the_cancellation_is_found_at_once() -> None:
    world = await World().placed()
    await world.cancel()
    world.wake()
    await world.work()
    await world.undo("inventory")
    assert world.run.output == {"status": "cancelled"}
    assert world.sent() == ["inventory.release/1"]


async def test_a_reply_in_the_same_moment_counts_more_and_the_cancellation_is_found_afterwards() -> None:
    world = await World().waiting_for("payment")
    await world.cancel()
    world.run.episode(world.reply("payment", DONE["payment"]))
    world.wake()
    await world.work()
    await world.undo("payment", "inventory")
    assert world.run.output == {"status": "cancelled"}
    assert "payment_processed" in world.stream()
    assert "shipping_requested" not in world.stream()
    # It is certain that nothing was sent to shipping, so nothing is undone there.
    assert not [sent for sent in world.sent() if sent.startswith("shipping.")]


async def test_once_shipping_was_requested_the_customer_is_refused() -> None:
    world = await World().waiting_for("shipping")
    with pytest.raises(CannotCancel):
        await world.cancel()
    world.wake()
    world.answer("shipping", DONE["shipping"])
    await world.work()
    assert world.run.output == {"status": "completed"}


async def test_a_doubled_wake_up_changes_nothing() -> None:
    world = await World().waiting_for("payment")
    await world.cancel()
    world.run.episode(*[world.run.raised("cancel", {})] * 3)
    world.wake()
    await world.undo("payment", "inventory")
    assert world.run.output == {"status": "cancelled"}


async def test_a_reply_after_the_cancellation_changes_nothing() -> None:
    world = await World().waiting_for("payment")
    await world.cancel()
    world.wake()
    world.answer("payment", DONE["payment"])
    await world.undo("payment", "inventory")
    assert world.run.output == {"status": "cancelled"}


def test_an_order_that_was_never_cancelled_has_nothing_left_to_undo() -> None:
    assert OrderState().undo_left == ()
