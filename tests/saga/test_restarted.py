"""The saga may be run from the top at any time: what is on the stream is not asked for again."""

import pytest

from orchestrators.steps import BY_NAME
from tests.saga.driver import DONE, REFUSED, STEPS, UNDONE, World


async def finish(world: World) -> None:
    """The services answer everything, as their inboxes do."""
    while not world.run.done:
        (name,) = world.run.pending
        answered = world.run.events
        await world.work()
        if world.run.done or world.run.pending:
            continue
        assert world.run.events != answered
        for step in STEPS:
            if BY_NAME[step].do.activity == name:
                world.answer(step, DONE[step])


@pytest.mark.parametrize("step", STEPS)
async def test_while_waiting_for_a_step(step: str) -> None:
    world = await World().waiting_for(step)
    sent = world.sent()
    world.start()
    await finish(world)
    assert world.run.output == {"status": "completed"}
    # Only the command whose answer is not on the stream was sent again, and what came after it.
    resent = [f"{BY_NAME[step].do.command_type}/1"]
    assert world.sent()[: len(sent) + 1] == sent + resent
    assert world.stream().count("completed") == 1


@pytest.mark.parametrize("step", STEPS)
async def test_after_a_reply_that_was_not_recorded(step: str) -> None:
    world = await World().waiting_for(step)
    world.answer(step, DONE[step])
    world.start()
    await finish(world)
    assert world.run.output == {"status": "completed"}
    assert len(world.stream()) == 6


async def test_on_a_completed_order_the_first_activity_ends_it() -> None:
    world = await World().waiting_for("shipping")
    world.answer("shipping", DONE["shipping"])
    await world.work()
    sent = world.sent()
    world.start()
    await world.work()
    assert world.run.output == {"status": "completed"}
    assert world.sent() == sent


async def test_on_a_cancelled_order_the_first_activity_ends_it() -> None:
    world = await World().waiting_for("inventory")
    world.answer("inventory", REFUSED["inventory"])
    await world.work()
    world.start()
    await world.work()
    assert world.run.output == {"status": "cancelled"}
    assert world.sent() == ["inventory.reserve/1"]


@pytest.mark.parametrize("undone", [0, 1, 2])
async def test_in_the_middle_of_an_undoing_it_goes_on_with_what_is_left(undone: int) -> None:
    world = await World().waiting_for("shipping")
    world.answer("shipping", REFUSED["shipping"])
    await world.work()
    for step in ("payment", "inventory")[:undone]:
        world.answer(step, UNDONE[step])
        if step == "payment":
            await world.work()
    left = ("payment", "inventory")[min(undone, 1) :]
    world.start()
    await world.work()
    await world.undo(*left)
    assert world.run.output == {"status": "cancelled"}
    assert world.stream()[-4:] == [
        "cancellation_started",
        "payment_refunded",
        "inventory_released",
        "cancelled",
    ]
    assert world.snapshot()["reason"] == "shipping_failed:refused"


async def test_with_a_cancellation_that_nobody_has_seen() -> None:
    world = await World().waiting_for("payment")
    await world.cancel()
    world.start()
    await world.work()
    await world.work()
    # The charge may have been sent by the run before: so it is undone.
    await world.undo("payment", "inventory")
    assert world.run.output == {"status": "cancelled"}


async def test_early_replies_to_the_run_before_do_no_harm() -> None:
    world = await World().waiting_for("payment")
    world.start()
    event = world.reply("payment", DONE["payment"])
    world.run.episode(event, event, world.reply("inventory", DONE["inventory"]))
    await finish(world)
    assert world.run.output == {"status": "completed"}


async def test_an_order_that_is_not_there_ends_at_once() -> None:
    world = World()
    world.start()
    await world.work()
    assert world.run.output == {"status": "none"}
    assert world.sent() == []
