"""At most one shipment, whatever order the deliveries' port calls come in and wherever a process dies."""

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
from services.shipping.carrier import Carrier
from services.shipping.decider import SHIPMENTS, RecordCreate
from services.shipping.events import CancelStarted
from services.shipping.handlers import handle_command
from services.shipping.messages import (
    Address,
    CancelShipment,
    CreateShipment,
    ShipmentCancelled,
    ShipmentCreated,
    ShipmentRefused,
)
from services.shipping.tracking import News
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
ADDRESS = Address("Ada", "1 Main Street", "London", "N1 1AA", "GB")
TIMEOUT_S = 10.0


class StrictCarrier(Carrier):
    def __init__(self, gate: Gates, refuses: bool, lands_late: bool) -> None:
        self.outside = StrictOutside(gate, lands_late)
        self._refuses = refuses
        self.shipments: list[ShipmentCreated | ShipmentRefused] = []
        self.cancellations: list[ShipmentCancelled] = []

    async def create(
        self, key: str, order_id: str, address: Address, delivery: str, pieces: int
    ) -> ShipmentCreated | ShipmentRefused:
        return await self.outside.do(key, lambda: self.create_now(order_id))

    def create_now(self, order_id: str) -> ShipmentCreated | ShipmentRefused:
        created = ShipmentCreated(order_id, f"shp-{len(self.shipments) + 1}", "TRK1")
        self.shipments.append(ShipmentRefused(order_id, "not_served") if self._refuses else created)
        return self.shipments[-1]

    async def find_shipment(self, order_id: str) -> ShipmentCreated | ShipmentRefused | None:
        return await self.outside.find(self.shipments)

    async def cancel(self, key: str, order_id: str, shipment_id: str) -> ShipmentCancelled:
        return await self.outside.do(key, lambda: self._cancel_now(order_id))

    def _cancel_now(self, order_id: str) -> ShipmentCancelled:
        self.cancellations.append(ShipmentCancelled(order_id))
        return self.cancellations[-1]

    async def find_cancellation(self, order_id: str) -> ShipmentCancelled | None:
        return await self.outside.find(self.cancellations)

    async def track(self, order_id: str, shipment_id: str) -> Sequence[News]:
        return []


def command(name: str) -> Envelope:
    data = CreateShipment(ORDER, ADDRESS, "standard", 2) if name == "create" else CancelShipment(ORDER)
    type = contract_name(data.__class__)
    return wrap(
        data,
        id=command_id(ORDER, type),
        source="orders",
        subject=ORDER,
        time=START,
        correlation_id=ORDER,
        causation_id=f"{ORDER}:orders:4",
    )


class World:
    def __init__(self, refuses: bool = False, lands_late: bool = False) -> None:
        self.gates = Gates(lambda delivery, n: "go")
        self.clock = FakeLoopClock()
        self.documents = FakeDocuments(self.clock, before=self.gates, after=self.gates)
        self.bus = FakeBus(self.clock, before=self.gates, after=self.gates)
        self.carrier = StrictCarrier(self.gates, refuses, lands_late)

    async def handle(self, name: str) -> None:
        await handle_command(self.documents, self.bus, self.carrier, self.clock, TIMEOUT_S, command(name))

    def replies(self, name: str) -> set[tuple[str, bytes]]:
        """The different answers that were sent to a command."""
        return {
            (body["type"], orjson.dumps(body["data"]))
            for body in (orjson.loads(message.body) for message in self.bus.sent["order-replies"])
            if body["causationid"] == f"{ORDER}:shipping.{name}"
        }

    async def check(self, delivered: Sequence[str]) -> None:
        await self.carrier.outside.landed()
        created = [one for one in self.carrier.shipments if isinstance(one, ShipmentCreated)]
        assert not self.carrier.outside.overlapped, "two calls were in flight at once"
        assert len(self.carrier.shipments) <= 1, "created twice"
        assert len(self.carrier.cancellations) <= len(created), "cancelled twice"
        live = len(created) - len(self.carrier.cancellations)
        for name in delivered:
            assert len(self.replies(name)) == 1, f"{name} was answered {self.replies(name)}"
        state = (await load(self.documents, SHIPMENTS, ORDER)).state
        events = await history(self.documents, SHIPMENTS, ORDER)
        assert fold(SHIPMENTS, SHIPMENTS.initial, [event.data for event in events]) == state
        assert (state.status == "created") == (live == 1)
        assert state.intent is None
        answers = {type for name in delivered for type, _ in self.replies(name)}
        if "cancel" in delivered:
            assert live == 0
        elif "create" in delivered:
            assert ("shipping.created" in answers) == (live == 1)


@pytest.mark.parametrize("refuses", [False, True])
@pytest.mark.parametrize("commands", [["create"], ["create", "cancel"], ["cancel", "create"]], ids="+".join)
def test_a_crash_at_any_port_call_creates_at_most_one_shipment_and_answers(commands, refuses):
    async def scenario(nth: int) -> bool:
        world = World(refuses)
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

    for nth in from_1():
        if not run_simulated(scenario(nth)):
            break


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


def test_a_shipment_that_turns_up_after_its_cancellation_was_answered_is_cancelled():
    async def scenario() -> None:
        world = World()
        await world.handle("cancel")
        found = world.carrier.create_now(ORDER)
        cause = Cause(f"{ORDER}:shipping.create", ORDER, "late")
        healed = await execute(
            world.documents, SHIPMENTS, ORDER, RecordCreate(found, deadline(START, TIMEOUT_S)), cause, START
        )
        assert [type(event) for event in healed.events] == [ShipmentCreated, CancelStarted]
        with pytest.raises(OutcomeUnknown):
            await world.handle("create")
        await asyncio.sleep(12)
        await world.handle("create")
        assert len(world.carrier.cancellations) == 1
        assert [type for type, _ in world.replies("create")] == ["shipping.refused"]

    run_simulated(scenario())
