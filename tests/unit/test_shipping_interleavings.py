"""At most one shipment, whatever order the deliveries' port calls come in and wherever a process dies."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.outside_call import OutcomeUnknown
from emulator.simulation import run_simulated
from tests.fakes import START
from tests.interleaving import (
    Action,
    at_each_gate,
    crash_at,
    overtake_at,
    run_schedule,
    schedules,
    settle,
    start,
)
from tests.shipping_world import World


@pytest.mark.parametrize("refuses", [False, True])
@pytest.mark.parametrize("commands", [["create"], ["create", "cancel"], ["cancel", "create"]], ids="+".join)
def test_a_crash_at_any_port_call_creates_at_most_one_shipment_and_answers(commands, refuses):
    async def scenario(nth: int) -> bool:
        world = World(refuses)
        there = await crash_at(world.gates, nth, world.handle, commands)
        await world.check(commands)
        return there

    at_each_gate(scenario, more_than=4 * len(commands))


@pytest.mark.parametrize("lands_late", [False, True])
@pytest.mark.parametrize("pause_s", [0.0, 9.99, 10.5, 11.5, 30.0])
@pytest.mark.parametrize(
    ("slow", "others"),
    [
        ("create", ["create"]),
        ("create", ["cancel"]),
        ("create", ["create", "cancel"]),
        ("create", ["cancel", "create"]),
        ("cancel", ["create"]),
        ("cancel", ["create", "cancel"]),
    ],
)
def test_a_delivery_overtaken_at_any_port_call_creates_at_most_one(slow, others, pause_s, lands_late):
    async def scenario(nth: int) -> bool:
        world = World(lands_late=lands_late)
        there = await overtake_at(world.gates, nth, world.handle, slow, others, pause_s)
        await world.check([slow, *others])
        return there

    at_each_gate(scenario)


@settings(max_examples=300, deadline=None)
@given(actions=schedules(["create", "cancel"]), refuses=st.booleans(), lands_late=st.booleans())
def test_any_interleaving_of_deliveries_and_crashes_creates_at_most_one(
    actions: list[Action], refuses: bool, lands_late: bool
):
    async def scenario() -> None:
        world = World(refuses, lands_late)
        await world.check(sorted(await run_schedule(world.gates, world.handle, actions)))

    run_simulated(scenario())


def test_who_learns_that_a_shipment_no_longer_wanted_was_created_cancels_it_at_once():
    async def scenario() -> None:
        world = World()
        world.gates.plan = lambda delivery, n: "hold" if delivery == "slow" and n == 4 else "go"
        slow = start(world.handle, "create", "slow")
        await settle()
        with pytest.raises(OutcomeUnknown):
            await world.handle("cancel")
        assert world.replies("cancel") == set()
        world.gates.open()
        await slow
        assert [type for type, _ in world.replies("create")] == ["shipping.refused"]
        assert [type for type, _ in world.replies("cancel")] == ["shipping.cancelled"]
        assert world.clock.now() == START
        await world.check(["create", "cancel"])

    run_simulated(scenario())
