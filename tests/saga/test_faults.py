"""Activities that fail although they repeated what they could: the saga tries again, never fails itself."""

import pytest

from orchestrators.steps import BY_NAME
from tests.saga.driver import DONE, REFUSED, STEPS, UNDONE, World


async def sent(step: str) -> World:
    """The step's activity is at work."""
    world = await World().placed()
    for before in STEPS[: STEPS.index(step)]:
        await world.work()
        world.answer(before, DONE[before])
    return world


async def finish(world: World, after: str) -> None:
    for step in STEPS[STEPS.index(after) + 1 :]:
        await world.work()
        world.answer(step, DONE[step])
    await world.work()
    assert world.run.output == {"status": "completed"}


@pytest.mark.parametrize("step", STEPS)
async def test_a_failed_activity_is_called_again_after_the_wait(step: str) -> None:
    world = await sent(step)
    name = BY_NAME[step].do.activity
    world.run.fail(name)
    assert world.run.pending == []
    world.run.fire()
    assert world.run.pending == [name]
    assert world.run.input_of(name)["attempt"] == 2
    await world.work()
    world.answer(step, DONE[step])
    await finish(world, step)


@pytest.mark.parametrize("step", STEPS)
async def test_the_reply_to_a_send_that_failed_only_in_appearance_counts(step: str) -> None:
    world = await sent(step)
    await world.work(in_vain=True)
    world.answer(step, DONE[step])
    await finish(world, step)


@pytest.mark.parametrize("step", STEPS)
async def test_a_reply_before_the_failure_counts(step: str) -> None:
    world = await sent(step)
    world.answer(step, DONE[step])
    await world.work(in_vain=True)
    await finish(world, step)


@pytest.mark.parametrize("step", STEPS)
async def test_doubled_replies_after_a_failure_are_one(step: str) -> None:
    world = await sent(step)
    await world.work(in_vain=True)
    world.run.episode(*[world.reply(step, DONE[step])] * 3)
    world.answer(step, DONE[step])
    await finish(world, step)


@pytest.mark.parametrize("step", STEPS)
async def test_a_failure_after_the_timer_goes_on_with_the_next_attempt(step: str) -> None:
    world = await sent(step)
    world.run.fire()
    name = BY_NAME[step].do.activity
    world.run.fail(name)
    world.run.fire()
    await world.work()
    world.answer(step, DONE[step])
    await finish(world, step)


@pytest.mark.parametrize("step", STEPS)
async def test_a_step_whose_activity_always_fails_is_undone(step: str) -> None:
    world = await sent(step)
    for _ in range(3):
        world.run.fail(BY_NAME[step].do.activity)
        world.run.fire()
    undone = ("shipping", "payment", "inventory")[2 - STEPS.index(step) :]
    await world.undo(*undone)
    assert world.run.output == {"status": "cancelled"}


async def test_a_cancellation_while_waiting_after_a_failure_is_heard() -> None:
    world = await sent("payment")
    world.run.fail("request_payment")
    await world.cancel()
    world.wake()
    await world.undo("payment", "inventory")
    assert world.run.output == {"status": "cancelled"}


async def test_a_failed_undo_is_called_again() -> None:
    world = await World().waiting_for("payment")
    world.answer("payment", REFUSED["payment"])
    world.run.fail("release_inventory")
    world.run.fire()
    await world.undo("inventory")
    assert world.run.output == {"status": "cancelled"}


@pytest.mark.parametrize("failures", [1, 4])
async def test_the_last_activity_is_called_until_it_succeeds(failures: int) -> None:
    world = await World().waiting_for("shipping")
    world.answer("shipping", DONE["shipping"])
    waits = []
    for _ in range(failures):
        before = world.clock.now()
        world.run.fail("complete_order")
        world.run.fire()
        waits.append(round((world.clock.now() - before).total_seconds()))
    await world.work()
    assert world.run.output == {"status": "completed"}
    assert waits == [30, 60, 120, 240][:failures]


async def test_the_end_of_a_cancellation_is_recorded_in_the_end() -> None:
    world = await World().waiting_for("payment")
    world.answer("payment", REFUSED["payment"])
    await world.work()
    world.answer("inventory", UNDONE["inventory"])
    world.run.fail("cancel_order")
    world.run.fire()
    await world.work()
    assert world.run.output == {"status": "cancelled"}
