"""A call that a policy refuses leaves no intent behind, so that its undo has nothing to find out."""

import asyncio

import pytest

from adapters.resilience.carrier import ResilientCarrier
from adapters.resilience.gateway import ResilientGateway
from core.bulkhead import BulkheadFull
from core.circuit import CircuitOpen
from core.decider import history, load
from core.envelope import Envelope
from core.outside_call import OutcomeUnknown, OutsideUnavailable
from core.outside_limits import OutsideLimits
from core.outside_policy import OutsidePolicy
from core.resilience import retry_transient
from emulator.simulation import run_simulated
from services.payments.decider import PAYMENTS
from services.payments.handlers import handle_command
from services.shipping.calls import Carriers
from services.shipping.decider import SHIPMENTS
from services.shipping.handlers import handle_command as handle_shipping
from tests import shipping_world as shipping
from tests.fakes import FakeBus, FakeDocuments, FakeLoopClock
from tests.interleaving import Gates
from tests.payments_support import ORDER, TIMEOUT_S, World, command

LIMITS = OutsideLimits(circuit_failures=1, circuit_s=20.0, concurrency=1, queue=1)


async def open_circuit(policy: OutsidePolicy) -> None:
    async def down() -> None:
        raise OutsideUnavailable("down")

    with pytest.raises(OutsideUnavailable, match="down"):
        await policy.call(down)
    assert policy.circuit.state == "open"


class Payments(World):
    def __init__(self) -> None:
        super().__init__()
        self.policy = OutsidePolicy("gateway:strict", LIMITS)
        self.resilient = ResilientGateway(self.gateway, self.policy)

    async def handle(self, name: str) -> None:
        await handle_command(self.documents, self.bus, self.resilient, self.clock, TIMEOUT_S, command(name))

    async def events(self) -> list[str]:
        return [event.type for event in await history(self.documents, PAYMENTS, ORDER)]

    def answers(self, name: str) -> list[str]:
        return [type for type, _ in self.replies(name)]


def test_an_open_circuit_refuses_a_charge_before_its_intent_and_the_undo_asks_nobody():
    async def scenario() -> None:
        world = Payments()
        await open_circuit(world.policy)
        with pytest.raises(CircuitOpen):
            await world.handle("charge")
        assert world.documents.items("payments") == []
        await world.handle("refund")
        assert world.answers("refund") == ["payments.refunded"]
        assert world.policy.circuit.state == "open"  # nobody was asked
        await world.handle("charge")
        assert world.answers("charge") == ["payments.declined"]
        await world.check(["charge", "refund"])
        assert world.gateway.charges == []

    run_simulated(scenario())


def test_a_message_waits_for_the_circuit_where_it_is_and_costs_one_delivery():
    async def scenario() -> None:
        world = Payments()
        await open_circuit(world.policy)
        await retry_transient(lambda: world.handle("charge"))
        assert 20.0 <= asyncio.get_running_loop().time() < 22.0
        assert world.answers("charge") == ["payments.charged"]
        await world.check(["charge"])

    run_simulated(scenario())


def test_an_open_circuit_refuses_a_refund_before_its_intent():
    async def scenario() -> None:
        world = Payments()
        await world.handle("charge")
        await open_circuit(world.policy)
        with pytest.raises(CircuitOpen):
            await world.handle("refund")
        assert await world.events() == ["payments.charge_started", "payments.charged"]
        await asyncio.sleep(20.0)
        await world.handle("refund")
        await world.check(["charge", "refund"])

    run_simulated(scenario())


def test_a_full_bulkhead_refuses_a_charge_before_its_intent():
    async def scenario() -> None:
        world = Payments()

        async def slow() -> None:
            await asyncio.sleep(3.0)

        async with asyncio.TaskGroup() as others:
            for _ in range(2):
                others.create_task(world.policy.call(slow))
            await asyncio.sleep(0.1)
            with pytest.raises(BulkheadFull):
                await world.handle("charge")
            assert world.documents.items("payments") == []

    run_simulated(scenario())


def test_an_outcome_that_is_known_is_recorded_whatever_the_circuit_does_meanwhile():
    """The admission of the charge is good for the refund that its lateness makes necessary."""

    async def scenario() -> None:
        world = Payments()
        charge = world.gateway.charge

        async def fail() -> None:
            with world.policy.circuit.attempt(probe=False):
                raise OutsideUnavailable("down")

        async def charge_and_open(*arguments: object) -> object:
            result = await charge(*arguments)  # type: ignore[arg-type]
            with pytest.raises(OutcomeUnknown):
                await world.handle("refund")
            with pytest.raises(OutsideUnavailable):
                await fail()
            return result

        world.gateway.charge = charge_and_open  # type: ignore[method-assign,assignment]
        await world.handle("charge")
        assert world.policy.circuit.state == "open"
        assert (await load(world.documents, PAYMENTS, ORDER)).state.status == "refunded"
        await world.check(["charge", "refund"])

    run_simulated(scenario())


def test_a_charge_that_was_sent_stays_unknown_when_the_circuit_opens_over_it():
    async def scenario() -> None:
        world = Payments()

        async def no_answer(*_: object) -> object:
            await asyncio.sleep(60.0)
            raise AssertionError

        charge, world.gateway.charge = world.gateway.charge, no_answer  # type: ignore[method-assign,assignment]
        with pytest.raises(OutcomeUnknown):
            await world.handle("charge")
        assert world.policy.circuit.state == "open"
        assert await world.events() == ["payments.charge_started"]
        world.gateway.charge = charge  # type: ignore[method-assign]
        await retry_transient(lambda: world.handle("charge"))
        await world.check(["charge"])

    run_simulated(scenario())


class Shipping:
    def __init__(self) -> None:
        self.clock = FakeLoopClock()
        gates = Gates(lambda delivery, n: "go")
        self.documents = FakeDocuments(self.clock)
        self.bus = FakeBus(self.clock)
        self.live: set[str] = set()
        self.bare = {
            name: shipping.StrictCarrier(gates, refuses=False, lands_late=False, name=name, live=self.live)
            for name in ("first", "second")
        }
        self.policies = {name: OutsidePolicy(f"carrier:{name}", LIMITS) for name in self.bare}
        self.carriers = Carriers(
            {name: ResilientCarrier(self.bare[name], self.policies[name]) for name in self.bare},
            self.clock,
            TIMEOUT_S,
        )

    async def handle(self, told: Envelope) -> None:
        await handle_shipping(self.documents, self.bus, self.carriers, told)

    async def carrier(self) -> str:
        return (await load(self.documents, SHIPMENTS, ORDER)).state.carrier


def test_a_parcel_goes_to_the_next_carrier_while_the_circuit_of_the_first_is_open():
    async def scenario() -> None:
        world = Shipping()
        await open_circuit(world.policies["first"])
        await world.handle(shipping.command("create"))
        assert await world.carrier() == "second"
        assert world.bare["first"].shipments == []

    run_simulated(scenario())


def test_with_every_circuit_open_no_parcel_is_in_doubt_and_the_undo_asks_nobody():
    async def scenario() -> None:
        world = Shipping()
        for policy in world.policies.values():
            await open_circuit(policy)
        with pytest.raises(CircuitOpen):
            await world.handle(shipping.command("create"))
        assert world.documents.items("shipments") == []
        await world.handle(shipping.command("cancel"))
        state = (await load(world.documents, SHIPMENTS, ORDER)).state
        assert (state.status, state.intent) == ("cancelled", None)

    run_simulated(scenario())


def test_an_open_circuit_refuses_a_cancellation_before_its_intent():
    async def scenario() -> None:
        world = Shipping()
        await world.handle(shipping.command("create"))
        await open_circuit(world.policies[await world.carrier()])
        with pytest.raises(CircuitOpen):
            await world.handle(shipping.command("cancel"))
        state = (await load(world.documents, SHIPMENTS, ORDER)).state
        assert (state.status, state.intent) == ("created", None)
        await retry_transient(lambda: world.handle(shipping.command("cancel")))
        assert world.live == set()

    run_simulated(scenario())
