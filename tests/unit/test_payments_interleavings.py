"""At most one charge, whatever order the deliveries' port calls come in and wherever a process dies."""

import asyncio
from collections.abc import Sequence

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.contracts import contract_name
from core.decider import Cause, execute, fold, history, load
from core.envelope import Envelope, command_id, wrap
from core.outside_call import OutcomeUnknown, deadline
from emulator.simulation import run_simulated
from services.payments.decider import PAYMENTS, RecordCharge
from services.payments.events import RefundStarted
from services.payments.gateway import PaymentGateway
from services.payments.handlers import handle_command
from services.payments.messages import Charge, Charged, Declined, Refund, Refunded
from tests.fakes import START, FakeBus, FakeDocuments, FakeLoopClock
from tests.interleaving import (
    Action,
    Gates,
    crash_at,
    from_1,
    overtake_at,
    run_schedule,
    schedules,
    settle,
    start,
)
from tests.strict_outside import StrictOutside

ORDER = "ord-1"
AMOUNT = 4200
TIMEOUT_S = 10.0


class StrictGateway(PaymentGateway):
    def __init__(self, gate: Gates, declines: bool, lands_late: bool) -> None:
        self.outside = StrictOutside(gate, lands_late)
        self._declines = declines
        self.charges: list[Charged | Declined] = []
        self.refunds: list[Refunded] = []

    async def charge(
        self, key: str, order_id: str, amount: int, currency: str, method: str
    ) -> Charged | Declined:
        return await self.outside.do(key, lambda: self.charge_now(order_id, amount, currency))

    def charge_now(self, order_id: str, amount: int, currency: str) -> Charged | Declined:
        charged = Charged(order_id, f"pay-{len(self.charges) + 1}", amount, currency)
        self.charges.append(Declined(order_id, "card_declined") if self._declines else charged)
        return self.charges[-1]

    async def find_charge(self, order_id: str) -> Charged | Declined | None:
        return await self.outside.find(self.charges)

    async def refund(self, key: str, order_id: str, payment_id: str, amount: int, currency: str) -> Refunded:
        return await self.outside.do(key, lambda: self._refund_now(order_id, amount, currency))

    def _refund_now(self, order_id: str, amount: int, currency: str) -> Refunded:
        self.refunds.append(Refunded(order_id, amount, currency))
        return self.refunds[-1]

    async def find_refund(self, order_id: str) -> Refunded | None:
        return await self.outside.find(self.refunds)


def command(name: str) -> Envelope:
    data = Charge(ORDER, "cust-1", AMOUNT, "GBP", "tok_ok") if name == "charge" else Refund(ORDER)
    type = contract_name(data.__class__)
    return wrap(
        data,
        id=command_id(ORDER, type),
        source="orders",
        subject=ORDER,
        time=START,
        correlation_id=ORDER,
        causation_id=f"{ORDER}:orders:1",
    )


class World:
    def __init__(self, declines: bool = False, lands_late: bool = False) -> None:
        self.gates = Gates(lambda delivery, n: "go")
        self.clock = FakeLoopClock()
        self.documents = FakeDocuments(self.clock, before=self.gates, after=self.gates)
        self.bus = FakeBus(self.clock, before=self.gates, after=self.gates)
        self.gateway = StrictGateway(self.gates, declines, lands_late)

    async def handle(self, name: str) -> None:
        await handle_command(self.documents, self.bus, self.gateway, self.clock, TIMEOUT_S, command(name))

    def replies(self, name: str) -> set[tuple[str, bytes]]:
        """The different answers that were sent to a command."""
        return {
            (body["type"], orjson.dumps(body["data"]))
            for body in (orjson.loads(message.body) for message in self.bus.sent["order-replies"])
            if body["causationid"] == f"{ORDER}:payments.{name}"
        }

    async def check(self, delivered: Sequence[str]) -> None:
        await self.gateway.outside.landed()
        charged = [one for one in self.gateway.charges if isinstance(one, Charged)]
        assert not self.gateway.outside.overlapped, "two calls were in flight at once"
        assert len(self.gateway.charges) <= 1, "charged twice"
        assert len(self.gateway.refunds) <= 1, "refunded twice"
        net = sum(one.amount for one in charged) - sum(one.amount for one in self.gateway.refunds)
        for name in delivered:
            assert len(self.replies(name)) == 1, f"{name} was answered {self.replies(name)}"
        state = (await load(self.documents, PAYMENTS, ORDER)).state
        events = await history(self.documents, PAYMENTS, ORDER)
        assert fold(PAYMENTS, PAYMENTS.initial, [event.data for event in events]) == state
        assert state.charged - state.refunded == net
        assert state.intent is None
        answers = {type for name in delivered for type, _ in self.replies(name)}
        if "refund" in delivered:
            assert net == 0
            refunded = orjson.loads(next(iter(self.replies("refund")))[1])["amount"]
            assert refunded == sum(one.amount for one in self.gateway.refunds)
            assert refunded == AMOUNT or "payments.charged" not in answers
        elif "charge" in delivered:
            assert ("payments.charged" in answers) == (net == AMOUNT)


@pytest.mark.parametrize("declines", [False, True])
@pytest.mark.parametrize("commands", [["charge"], ["charge", "refund"], ["refund", "charge"]], ids="+".join)
def test_a_crash_at_any_port_call_charges_at_most_once_and_answers(commands, declines):
    async def scenario(nth: int) -> bool:
        world = World(declines)
        there = await crash_at(world.gates, nth, world.handle, commands)
        await world.check(commands)
        return there

    for nth in from_1():
        if not run_simulated(scenario(nth)):
            assert nth > 4 * len(commands)
            break


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

    for nth in from_1():
        if not run_simulated(scenario(nth)):
            break


@settings(max_examples=300, deadline=None)
@given(actions=schedules(["charge", "refund"]), declines=st.booleans(), lands_late=st.booleans())
def test_any_interleaving_of_deliveries_and_crashes_charges_at_most_once(
    actions: list[Action], declines: bool, lands_late: bool
):
    async def scenario() -> None:
        world = World(declines, lands_late)
        await world.check(sorted(await run_schedule(world.gates, world.handle, actions)))

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
        assert sum(refund.amount for refund in world.gateway.refunds) == AMOUNT
        assert [type for type, _ in world.replies("charge")] == ["payments.declined"]

    run_simulated(scenario())
