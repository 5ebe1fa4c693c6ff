"""Charges that end by webhook: before, twice, out of order and too late."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.sandbox.gateway import SandboxGateway
from core.contracts import InvalidContract
from core.decider import history, load
from core.envelope import from_json
from core.outside_call import OutcomeUnknown
from core.resilience import retry_transient
from emulator.simulation import run_simulated
from services.payments.decider import PAYMENTS
from services.payments.gateway import Notice
from services.payments.handlers import handle_command
from services.payments.messages import Charge, Charged, Declined
from services.payments.webhooks import check_charge
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
from tests.payments_support import AMOUNT, ORDER, World, command

CHARGED = Charged(ORDER, "pay-1", AMOUNT, "GBP")
DECLINED = Declined(ORDER, "card_declined")


async def types(world: World) -> list[str]:
    return [event.type for event in await history(world.documents, PAYMENTS, ORDER)]


@pytest.mark.parametrize(("ends_as", "answer"), [(CHARGED, "charged"), (DECLINED, "declined")])
def test_a_pending_charge_is_answered_when_its_webhook_comes_and_once(ends_as, answer):
    async def scenario() -> None:
        world = World(pending=True)
        world.ends_as = ends_as
        await world.handle("charge")
        assert world.replies("charge") == set()
        await world.handle("webhook")
        assert [type for type, _ in world.replies("charge")] == [f"payments.{answer}"]
        stored = world.documents.items("payments")
        await world.handle("webhook")
        assert world.documents.items("payments") == stored
        assert await types(world) == [
            "payments.charge_started",
            "payments.charge_pending",
            f"payments.{answer}",
        ]
        await world.check(["charge", "webhook"])

    run_simulated(scenario())


def test_each_delivery_that_leaves_the_charge_open_says_so_and_since_when_it_is_open():
    async def scenario() -> None:
        world = World(pending=True)
        await world.handle("charge")
        await asyncio.sleep(60)
        await world.handle("charge")
        first, second = world.pending()
        assert first == second
        assert (first.reason, first.since) == ("processing", START)
        await world.handle("webhook")
        await world.handle("charge")
        assert len(world.pending()) == 2
        assert [type for type, _ in world.replies("charge")] == ["payments.charged"]

    run_simulated(scenario())


def test_a_delivery_that_died_before_it_said_that_the_charge_is_open_says_it_when_it_comes_again():
    async def scenario() -> None:
        world = World(pending=True)

        async def dies(request: str) -> None:
            raise ConnectionError(request)

        world.bus.before, alive = dies, world.bus.before
        with pytest.raises(ConnectionError):
            await world.handle("charge")
        world.bus.before = alive
        assert world.pending() == []
        await world.handle("charge")
        assert len(world.pending()) == 1

    run_simulated(scenario())


def test_the_undo_of_an_open_charge_is_not_told_that_it_is_open():
    async def scenario() -> None:
        world = World(pending=True)
        await world.handle("charge")
        world.gateway.cancellable = False
        await world.handle("refund")
        assert len(world.pending()) == 1

    run_simulated(scenario())


def test_a_charge_whose_webhook_was_lost_is_looked_up_when_its_command_comes_again():
    async def scenario() -> None:
        world = World(pending=True)
        await world.handle("charge")
        await world.handle("charge")
        assert world.replies("charge") == set()
        world.gateway.end(CHARGED)
        await world.handle("charge")
        assert [type for type, _ in world.replies("charge")] == ["payments.charged"]

    run_simulated(scenario())


def test_an_answer_that_was_recorded_and_not_sent_is_sent_when_the_webhook_comes_again():
    """The charge's own command may not come again: the saga sends it so many times and no more."""

    async def scenario() -> None:
        world = World(pending=True)
        await world.handle("charge")

        async def dies(request: str) -> None:
            raise ConnectionError(request)

        world.bus.before, alive = dies, world.bus.before
        with pytest.raises(ConnectionError):
            await world.handle("webhook")
        world.bus.before = alive
        assert (await types(world))[-1] == "payments.charged"
        await world.handle("webhook")
        assert [type for type, _ in world.replies("charge")] == ["payments.charged"]

    run_simulated(scenario())


def test_a_webhook_that_comes_before_the_answer_of_the_call_is_recorded_and_the_call_changes_nothing():
    async def scenario() -> None:
        world = World()
        world.gates.plan = lambda delivery, n: "hold" if delivery == "slow" and n == 4 else "go"
        slow = start(world.handle, "charge", "slow")
        await settle()
        assert world.gateway.charges
        await world.handle("webhook")
        assert [type for type, _ in world.replies("charge")] == ["payments.charged"]
        world.gates.open()
        await slow
        assert await types(world) == ["payments.charge_started", "payments.charged"]
        await world.check(["charge", "webhook"])

    run_simulated(scenario())


def test_a_webhook_of_what_was_recorded_already_asks_nobody_and_answers_nobody():
    """As most are: of a charge that ended at once."""

    async def scenario() -> None:
        world = World()
        await world.handle("charge")
        sent, asked = list(world.bus.sent["order-replies"]), len(world.documents.requests)
        await world.handle("webhook")
        assert world.bus.sent["order-replies"] == sent
        assert world.documents.requests[asked:] == ["read payments"]

    run_simulated(scenario())


def test_a_failure_that_is_told_after_the_success_changes_nothing():
    async def scenario() -> None:
        world = World(pending=True)
        await world.handle("charge")
        await world.handle("webhook")
        late = check_charge(Notice("evt-0", ORDER, "pay-1", "declined"), "strict", START)
        await handle_command(world.documents, world.bus, world.gateway, world.clock, 10.0, late)
        assert (await types(world))[-1] == "payments.charged"
        await world.check(["charge", "webhook"])

    run_simulated(scenario())


def test_a_success_that_follows_a_failure_is_given_back_because_the_order_was_told_of_the_failure():
    async def scenario() -> None:
        world = World(pending=True)
        world.ends_as = DECLINED
        await world.handle("charge")
        await world.handle("webhook")
        world.gateway.end(CHARGED)
        await world.handle("webhook")
        assert [type for type, _ in world.replies("charge")] == ["payments.declined"]
        assert [money.amount for _, money in world.gateway.refunds] == [AMOUNT]
        assert (await load(world.documents, PAYMENTS, ORDER)).state.status == "refunded"

    run_simulated(scenario())


def test_the_undo_of_a_pending_charge_ends_it_at_the_gateway():
    async def scenario() -> None:
        world = World(pending=True)
        await world.handle("charge")
        await world.handle("refund")
        assert world.gateway.charges == [Declined(ORDER, "cancelled")]
        assert [type for type, _ in world.replies("charge")] == ["payments.declined"]
        await world.handle("webhook")
        await world.check(["charge", "refund", "webhook"])

    run_simulated(scenario())


def test_a_charge_that_cannot_be_ended_and_succeeds_after_the_cancellation_is_given_back():
    async def scenario() -> None:
        world = World(pending=True)
        world.gateway.cancellable = False
        await world.handle("charge")
        await world.handle("refund")
        assert [type for type, _ in world.replies("refund")] == ["payments.refunded"]
        assert world.gateway.refunds == []
        await world.handle("webhook")
        assert [money.amount for _, money in world.gateway.refunds] == [AMOUNT]
        await world.check(["charge", "refund", "webhook"])

    run_simulated(scenario())


def test_the_undo_that_comes_too_late_to_end_a_pending_charge_gives_the_money_back():
    async def scenario() -> None:
        world = World(pending=True)
        await world.handle("charge")
        world.gateway.end(CHARGED)
        await world.handle("refund")
        assert [money.amount for _, money in world.gateway.refunds] == [AMOUNT]
        await world.check(["charge", "refund"])

    run_simulated(scenario())


def test_a_webhook_of_an_order_that_was_never_charged_is_not_valid_and_says_so():
    async def scenario() -> None:
        world = World()
        told = check_charge(Notice("evt-1", ORDER, "pay-1", "charged"), "strict", START)
        with pytest.raises(InvalidContract, match="no charge was ever started for 'ord-1'"):
            await handle_command(world.documents, world.bus, world.gateway, world.clock, 10.0, told)
        assert world.documents.items("payments") == []

    run_simulated(scenario())


def test_a_webhook_of_what_the_gateway_does_not_find_yet_is_repeated():
    async def scenario() -> None:
        world = World(pending=True)
        await world.handle("charge")
        told = world.webhook()
        world.gateway.charges.clear()
        with pytest.raises(OutcomeUnknown, match="pay-1"):
            await handle_command(world.documents, world.bus, world.gateway, world.clock, 10.0, told)

    run_simulated(scenario())


@pytest.mark.parametrize("cancellable", [True, False])
@pytest.mark.parametrize(
    "commands",
    [["charge", "webhook"], ["charge", "refund", "webhook"], ["charge", "webhook", "refund"]],
    ids="+".join,
)
def test_a_crash_at_any_port_call_of_a_pending_charge_is_made_good(commands, cancellable):
    async def scenario(nth: int) -> bool:
        world = World(pending=True)
        world.gateway.cancellable = cancellable
        there = await crash_at(world.gates, nth, world.handle, commands)
        await world.check(commands)
        return there

    at_each_gate(scenario, more_than=4 * len(commands))


@pytest.mark.parametrize("pause_s", [0.0, 11.5])
@pytest.mark.parametrize(
    ("slow", "others"),
    [
        ("charge", ["webhook"]),
        ("charge", ["webhook", "refund"]),
        ("charge", ["refund", "webhook"]),
    ],
)
def test_a_pending_charge_overtaken_at_any_port_call_is_right(slow, others, pause_s):
    async def scenario(nth: int) -> bool:
        world = World(pending=True)
        there = await overtake_at(world.gates, nth, world.handle, slow, others, pause_s)
        await world.check([slow, *others])
        return there

    at_each_gate(scenario)


@settings(max_examples=150, deadline=None)
@given(actions=schedules(["charge", "refund", "webhook"]), cancellable=st.booleans(), declines=st.booleans())
def test_any_interleaving_of_webhooks_commands_and_crashes_is_right(
    actions: list[Action], cancellable: bool, declines: bool
):
    async def scenario() -> None:
        world = World(pending=True)
        world.gateway.cancellable = cancellable
        world.ends_as = DECLINED if declines else CHARGED
        await world.check(sorted(await run_schedule(world.gates, world.handle, actions)))

    run_simulated(scenario())


@pytest.mark.parametrize(
    ("method", "answer", "status"),
    [
        ("tok_pending_3", "payments.charged", "charged"),
        ("tok_pending_declined_3", "payments.declined", "declined"),
        ("tok_action_3", "payments.charged", "charged"),
        ("tok_pending_stuck_3", "payments.charged", "charged"),
    ],
)
def test_the_sandbox_ends_a_charge_later_and_sends_the_message_of_a_webhook(method, answer, status):
    async def scenario() -> None:
        world = World()
        gateway = SandboxGateway(world.documents, world.bus, world.clock)
        charge = replace(command("charge"), data=Charge(ORDER, "cust-1", AMOUNT, "GBP", method))

        async def handle(told):
            await retry_transient(
                lambda: handle_command(world.documents, world.bus, gateway, world.clock, 10.0, told)
            )

        await handle(charge)
        (pending,) = world.pending()
        assert pending.reason == ("needs_action" if "action" in method else "processing")
        (message,) = world.bus.sent["payments"]
        assert (message.scheduled_for - START).total_seconds() == 3
        await asyncio.sleep(3)
        await handle(from_json(message.body))
        assert [type for type, _ in world.replies("charge")] == [answer]
        (known,) = world.documents.items("sandbox")
        assert known["status"] == status

    run_simulated(scenario())
