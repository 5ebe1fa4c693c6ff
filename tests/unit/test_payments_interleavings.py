"""At most one charge, whatever order the deliveries' port calls come in and wherever a process dies."""

import asyncio

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.decider import Cause, execute
from core.outside_call import OutcomeUnknown, deadline
from emulator.simulation import run_simulated
from services.payments.decider import PAYMENTS, RecordCharge
from services.payments.events import RefundStarted
from services.payments.gateway import MoneyBack
from services.payments.messages import Charged
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
from tests.payments_support import AMOUNT, ORDER, PARTS, TIMEOUT_S, World


@pytest.mark.parametrize("declines", [False, True])
@pytest.mark.parametrize("commands", [["charge"], ["charge", "refund"], ["refund", "charge"]], ids="+".join)
def test_a_crash_at_any_port_call_charges_at_most_once_and_answers(commands, declines):
    async def scenario(nth: int) -> bool:
        world = World(declines)
        there = await crash_at(world.gates, nth, world.handle, commands)
        await world.check(commands)
        return there

    at_each_gate(scenario, more_than=4 * len(commands))


@pytest.mark.parametrize("lands_late", [False, True])
@pytest.mark.parametrize("pause_s", [0.0, 9.99, 10.5, 11.5, 30.0])
@pytest.mark.parametrize(
    ("slow", "others"),
    [
        ("charge", ["charge"]),
        ("charge", ["refund"]),
        ("charge", ["charge", "refund"]),
        ("charge", ["refund", "charge"]),
        ("refund", ["charge"]),
        ("refund", ["charge", "refund"]),
    ],
)
def test_a_delivery_overtaken_at_any_port_call_charges_at_most_once(slow, others, pause_s, lands_late):
    async def scenario(nth: int) -> bool:
        world = World(lands_late=lands_late)
        there = await overtake_at(world.gates, nth, world.handle, slow, others, pause_s)
        await world.check([slow, *others])
        return there

    at_each_gate(scenario)


@settings(max_examples=300, deadline=None)
@given(actions=schedules(["charge", "refund"]), declines=st.booleans(), lands_late=st.booleans())
def test_any_interleaving_of_deliveries_and_crashes_charges_at_most_once(
    actions: list[Action], declines: bool, lands_late: bool
):
    async def scenario() -> None:
        world = World(declines, lands_late)
        await world.check(sorted(await run_schedule(world.gates, world.handle, actions)))

    run_simulated(scenario())


@pytest.mark.parametrize(
    "commands",
    [["part-a"], ["part-a", "part-b", "part-c"], ["part-a", "refund"], ["refund", "part-a"]],
    ids="+".join,
)
def test_a_crash_at_any_port_call_refunds_a_part_at_most_once_and_answers(commands):
    async def scenario(nth: int) -> bool:
        world = World()
        await world.handle("charge")
        there = await crash_at(world.gates, nth, world.handle, commands)
        await world.check(["charge", *commands])
        return there

    at_each_gate(scenario, more_than=4)


@pytest.mark.parametrize("lands_late", [False, True])
@pytest.mark.parametrize("pause_s", [0.0, 10.5, 11.5])
@pytest.mark.parametrize(
    ("slow", "others"),
    [
        ("part-a", ["part-a"]),
        ("part-a", ["part-b", "part-c"]),
        ("part-a", ["part-b", "refund"]),
        ("part-a", ["refund", "part-b"]),
        ("refund", ["part-a"]),
    ],
)
def test_a_refund_overtaken_at_any_port_call_never_gives_back_more_than_was_charged(
    slow, others, pause_s, lands_late
):
    async def scenario(nth: int) -> bool:
        world = World(lands_late=lands_late)
        await world.handle("charge")
        there = await overtake_at(world.gates, nth, world.handle, slow, others, pause_s)
        await world.check(["charge", slow, *others])
        return there

    at_each_gate(scenario)


@settings(max_examples=150, deadline=None)
@given(actions=schedules(["charge", "refund", *PARTS]), lands_late=st.booleans())
def test_any_interleaving_with_refunds_of_parts_gives_back_what_was_charged_at_most(
    actions: list[Action], lands_late: bool
):
    async def scenario() -> None:
        world = World(lands_late=lands_late)
        await world.check(sorted(await run_schedule(world.gates, world.handle, actions)))

    run_simulated(scenario())


def test_the_undo_refunds_what_the_parts_have_left():
    async def scenario() -> None:
        world = World()
        for name in ("charge", "part-a", "part-b", "refund"):
            await world.handle(name)
        assert world.gateway.refunds == [
            ("part-a", MoneyBack(1200, "GBP")),
            ("part-b", MoneyBack(2000, "GBP")),
            ("", MoneyBack(1000, "GBP")),
        ]
        await world.handle("part-c")
        assert world.replies("part-c") == {
            (
                "payments.part_refund_refused",
                orjson.dumps({"order_id": ORDER, "return_id": "part-c", "reason": "refunded"}),
            )
        }

    run_simulated(scenario())


def test_who_learns_the_outcome_of_a_charge_that_is_no_longer_wanted_refunds_it_at_once():
    async def scenario() -> None:
        world = World()
        world.gates.plan = lambda delivery, n: "hold" if delivery == "slow" and n == 4 else "go"
        slow = start(world.handle, "charge", "slow")
        await settle()
        with pytest.raises(OutcomeUnknown):
            await world.handle("refund")
        assert world.replies("refund") == set()
        world.gates.open()
        await slow
        assert [type for type, _ in world.replies("charge")] == ["payments.declined"]
        assert [type for type, _ in world.replies("refund")] == ["payments.refunded"]
        assert world.clock.now() == START
        await world.check(["charge", "refund"])

    run_simulated(scenario())


def test_a_charge_that_turns_up_after_its_refund_was_answered_is_given_back():
    """A gateway that lets a request lie for longer than SETTLING_S can do this, and so can a process that was
    stopped between the check of its deadline and the call.
    """

    async def scenario() -> None:
        world = World()
        await world.handle("refund")
        found = world.gateway.charge_now(ORDER, AMOUNT, "GBP")
        cause = Cause(f"{ORDER}:payments.charge", ORDER, "late")
        healed = await execute(
            world.documents, PAYMENTS, ORDER, RecordCharge(found, deadline(START, TIMEOUT_S)), cause, START
        )
        assert [type(event) for event in healed.events] == [Charged, RefundStarted]
        with pytest.raises(OutcomeUnknown):
            await world.handle("charge")
        await asyncio.sleep(12)
        await world.handle("charge")
        assert world.gateway.refunds == [("", MoneyBack(AMOUNT, "GBP"))]
        assert [type for type, _ in world.replies("charge")] == ["payments.declined"]

    run_simulated(scenario())
