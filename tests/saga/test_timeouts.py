"""No answer: the same command again, and after the last attempt the undo of what nobody knows."""

import pytest

from orchestrators.steps import BY_NAME
from services.shipping.messages import CancelShipment
from tests.saga.driver import DONE, ORDER_ID, STEPS, World

UNDO_ORDER = ("shipping", "payment", "inventory")


async def timed_out(step: str) -> World:
    world = await World().waiting_for(step)
    world.run.fire()
    for _ in range(2):
        await world.work()
        world.run.fire()
    return world


@pytest.mark.parametrize("step", STEPS)
async def test_the_same_command_is_sent_again_with_longer_and_longer_waits(step: str) -> None:
    world = await World().waiting_for(step)
    command = BY_NAME[step].do.command_type
    waits = []
    for _ in range(3):
        before = world.clock.now()
        world.run.fire()
        waits.append((world.clock.now() - before).total_seconds())
        if world.run.pending == [BY_NAME[step].do.activity]:
            await world.work()
    assert waits == [30.0, 60.0, 120.0]
    assert [sent for sent in world.sent() if sent.startswith(command)] == [
        f"{command}/{n}" for n in (1, 2, 3)
    ]


@pytest.mark.parametrize("step", STEPS)
async def test_an_unknown_outcome_is_undone_too(step: str) -> None:
    world = await timed_out(step)
    undone = UNDO_ORDER[UNDO_ORDER.index(step) :]
    await world.undo(*undone)
    assert world.run.output == {"status": "cancelled"}
    assert world.undo_commands() == [f"{BY_NAME[name].undo.command_type}/1" for name in undone]
    assert world.snapshot()["reason"] == f"{step}_timed_out"
    assert world.snapshot()["undo"] == list(undone)
    assert world.stream()[-1] == "cancelled"


async def test_the_undo_of_shipping_is_the_cancellation_of_the_shipment() -> None:
    world = await timed_out("shipping")
    await world.work()
    assert world.last_command("shipping").data == CancelShipment(ORDER_ID)
    assert world.last_command("shipping").causation_id == f"{ORDER_ID}:shipping.create"


@pytest.mark.parametrize("attempt", [2, 3])
@pytest.mark.parametrize("step", STEPS)
async def test_a_reply_to_any_attempt_counts(step: str, attempt: int) -> None:
    world = await World().waiting_for(step)
    for _ in range(attempt - 1):
        world.run.fire()
        await world.work()
    world.answer(step, DONE[step])
    await world.work()
    assert (
        world.stream()[-1]
        == {
            "inventory": "inventory_reserved",
            "payment": "shipping_requested",
            "shipping": "completed",
        }[step]
    )


@pytest.mark.parametrize("step", STEPS)
async def test_replies_to_all_attempts_at_once_are_one_reply(step: str) -> None:
    world = await World().waiting_for(step)
    for _ in range(2):
        world.run.fire()
        await world.work()
    world.run.episode(*[world.reply(step, DONE[step])] * 3)
    for each in STEPS[STEPS.index(step) + 1 :]:
        await world.work()
        world.answer(each, DONE[each])
    await world.work()
    assert world.run.output == {"status": "completed"}


@pytest.mark.parametrize("step", STEPS)
async def test_a_reply_between_the_timer_and_the_next_send_counts(step: str) -> None:
    """The activity of the second attempt is still at work when the answer to the first one comes."""
    world = await World().waiting_for(step)
    world.run.fire()
    world.answer(step, DONE[step])
    assert world.run.pending == [BY_NAME[step].do.activity]
    await world.work()
    await world.work()
    assert "cancellation_started" not in world.stream()


@pytest.mark.parametrize("step", STEPS)
async def test_a_reply_after_the_timer_but_before_a_slow_activity_ended_counts(step: str) -> None:
    """The wait is over, but nothing has been decided: the reply went to a wait that was given up."""
    world = await World().placed()
    for each in STEPS[: STEPS.index(step)]:
        await world.work()
        world.answer(each, DONE[each])
    world.run.fire()
    assert world.run.pending == [BY_NAME[step].do.activity]
    world.answer(step, DONE[step])
    await world.work()
    assert world.run.pending != [BY_NAME[step].do.activity]
    assert len(world.run.pending) == 1


@pytest.mark.parametrize("step", STEPS)
async def test_a_reply_that_comes_after_the_step_was_given_up_changes_nothing(step: str) -> None:
    world = await timed_out(step)
    world.answer(step, DONE[step])
    await world.undo(*UNDO_ORDER[UNDO_ORDER.index(step) :])
    assert world.run.output == {"status": "cancelled"}
