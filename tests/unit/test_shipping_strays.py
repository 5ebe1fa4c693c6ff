"""A carrier that takes the parcel long after it was given up: in the end one booking is live at most."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.decider import fold, history, load
from core.envelope import from_json
from core.outside_call import OutcomeUnknown, OutsideUnavailable
from emulator.simulation import run_simulated
from services.shipping.calls import Carriers
from services.shipping.carrier import Notice, Parcel
from services.shipping.decider import SHIPMENTS
from services.shipping.handlers import handle_command
from services.shipping.messages import ShipmentCancelled, ShipmentCreated, ShipmentRefused
from services.shipping.state import Shipment
from services.shipping.strays import LOOKS_S, PATIENCE
from services.shipping.sweeps import check_bookings_in_doubt
from services.shipping.tracking import News
from services.shipping.webhooks import find_parcel, track_parcel
from tests.fakes import START
from tests.interleaving import (
    Action,
    Crash,
    at_each_gate,
    crash_at,
    overtake_at,
    run_schedule,
    schedules,
)
from tests.shipping_world import ORDER, TIMEOUT_S, StrictCarrier, World, command

LATE_S = 400.0
LATEST_S = sum(LOOKS_S)


class LateCarrier(StrictCarrier):
    """Whose requests may land long after who made them has gone, and which has a parcel once: a request of
    the same reference finds the first. `loses` its first requests: they are not answered and land late.
    """

    def __init__(self, world: World, name: str, late_s: float, refuses: bool = False, loses: int = 0) -> None:
        super().__init__(world.gates, refuses, lands_late=False, name=name)
        self.gate = world.gates
        self.late_s = late_s
        self.loses = loses
        self.late: list[asyncio.Task[None]] = []
        self.cancelled: set[str] = set()

    async def create(self, key: str, parcel: Parcel, service: str) -> ShipmentCreated | ShipmentRefused:
        if self.down:
            raise OutsideUnavailable(f"{self.name} is down")
        if self.loses:
            self.loses -= 1
            self._land_late(parcel)
            raise OutcomeUnknown("no answer")
        try:
            await self.gate("call")
        except (asyncio.CancelledError, Crash):
            self._land_late(parcel)
            raise
        booked = self._book(parcel.parcel_id)
        try:
            await self.gate("call")
        except OutsideUnavailable as error:
            raise OutcomeUnknown("the answer was lost") from error
        return booked

    def _land_late(self, parcel: Parcel) -> None:
        async def land() -> None:
            await asyncio.sleep(self.late_s)
            self._book(parcel.parcel_id)

        self.late.append(asyncio.ensure_future(land()))

    def _book(self, parcel_id: str) -> ShipmentCreated | ShipmentRefused:
        if not self.shipments:
            id = f"{self.name}-1"
            booked = ShipmentCreated(parcel_id, id, f"TRK-{self.name}", self.name)
            self.shipments.append(ShipmentRefused(parcel_id, "not_served") if self.refuses else booked)
            self.live |= set() if self.refuses else {id}
        return self.shipments[0]

    async def find_shipment(self, parcel_id: str) -> ShipmentCreated | ShipmentRefused | None:
        if self.down:
            raise OutsideUnavailable(f"{self.name} is down")
        return await self.outside.find(self.shipments)

    async def cancel(self, key: str, parcel_id: str, shipment_id: str) -> ShipmentCancelled:
        if self.down:
            raise OutsideUnavailable(f"{self.name} is down")
        await self.gate("call")
        assert shipment_id not in self.cancelled or key == self.cancel_key, "cancelled under another key"
        self.cancel_key = key
        self.cancelled.add(shipment_id)
        self.live.discard(shipment_id)
        await self.gate("call")
        return ShipmentCancelled(parcel_id)

    async def find_cancellation(self, parcel_id: str, shipment_id: str) -> ShipmentCancelled | None:
        if self.down:
            raise OutsideUnavailable(f"{self.name} is down")
        await self.gate("find")
        return ShipmentCancelled(parcel_id) if shipment_id in self.cancelled else None


class LateWorld(World):
    """`first` is asked first. `sweep` is what the timer does, and what follows from it."""

    def __init__(self, late_s: float = LATE_S, refuses: bool = False, loses: int = 0) -> None:
        super().__init__()
        self.first = LateCarrier(self, "a-first", late_s, loses=loses)
        self.second = LateCarrier(self, "second", late_s, refuses)
        self.both = (self.first, self.second)
        self.asked = 0

    def carriers(self) -> Carriers:
        return Carriers({each.name: each for each in self.both}, self.clock, TIMEOUT_S)

    async def handle(self, name: str) -> None:
        match name:
            case "a while":
                await asyncio.sleep(TIMEOUT_S + 1.5)
            case "an hour":
                await asyncio.sleep(3600)
            case "sweep":
                await self.sweep()
            case _:
                await handle_command(self.documents, self.bus, self.carriers(), command(name))

    async def sweep(self) -> int:
        """Answers how many parcels were asked of."""
        asked = await check_bookings_in_doubt(self.documents, self.bus, self.clock.now())
        messages = self.bus.sent["shipping"]
        for message in messages[len(messages) - asked :]:
            await handle_command(self.documents, self.bus, self.carriers(), from_json(message.body))
        return asked

    async def news(self, shipment_id: str, status: str = "in_transit") -> None:
        told = News(f"evt-{shipment_id}-{status}", status, self.clock.now())  # type: ignore[arg-type]
        webhook = track_parcel(Notice(shipment_id, told), ORDER, "strict", START)
        await handle_command(self.documents, self.bus, self.carriers(), webhook)

    async def state(self) -> Shipment:
        return (await load(self.documents, SHIPMENTS, ORDER)).state

    async def types(self) -> list[str]:
        events = await history(self.documents, SHIPMENTS, ORDER)
        return [event.type.removeprefix("shipping.") for event in events]

    def told(self) -> list[tuple[str, str]]:
        """The reasons for which people are told, with the carrier: once for each id."""
        sent = {message.message_id: orjson.loads(message.body) for message in self.bus.sent["service-events"]}
        return [(body["data"]["reason"], body["data"]["carrier"]) for body in sent.values()]

    def live(self) -> set[str]:
        return {id for carrier in self.both for id in carrier.live}

    async def rest(self) -> None:
        """Let land what is under way, and the timer come until nothing is to be done."""
        await asyncio.gather(*(landing for carrier in self.both for landing in carrier.late))
        for _ in range(12):
            await asyncio.sleep(6 * 3600)
            await self.sweep()
        assert await self.sweep() == 0

    async def check(self, delivered: Sequence[str]) -> None:
        await self.rest()
        state = await self.state()
        assert (state.check_at, state.doubts, state.intent) == (None, (), None)
        assert all(stray.cancel_at is None for stray in state.strays)
        events = await history(self.documents, SHIPMENTS, ORDER)
        assert fold(SHIPMENTS, SHIPMENTS.initial, [event.data for event in events]) == state
        assert self.live() == ({state.shipment_id} if state.status == "created" else set())
        for name in {"create", "cancel"} & set(delivered):
            assert len(self.replies(name)) == 1, f"{name} was answered {self.replies(name)}"
        if "cancel" in delivered:
            assert state.status == "cancelled"
        elif "create" in delivered:
            assert state.status == "created"
        assert self.told() == []


FALLBACK = ["create", "a while", "create", "an hour", "sweep"]


async def until_handled(world: LateWorld, *names: str) -> None:
    for name in names:
        try:
            await world.handle(name)
        except OutcomeUnknown:
            assert name == "create"


def test_a_booking_that_comes_after_the_next_carrier_took_the_parcel_is_cancelled():
    async def scenario() -> None:
        world = LateWorld(loses=1)
        await until_handled(world, "create", "a while", "create")
        assert [type for type, _ in world.replies("create")] == ["shipping.created"]
        assert await world.sweep() == 0
        await asyncio.sleep(LATE_S)
        assert world.live() == {"a-first-1", "second-1"}
        assert await world.sweep() == 1
        assert world.live() == {"second-1"}
        assert (await world.types())[-2:] == ["stray_booking_found", "stray_booking_cancelled"]
        assert [stray.tracking_number for stray in (await world.state()).strays] == ["TRK-a-first"]
        await world.check(["create"])

    run_simulated(scenario())


def test_a_booking_that_comes_after_the_order_was_cancelled_is_cancelled():
    async def scenario() -> None:
        world = LateWorld(loses=1)
        await until_handled(world, "create")
        with pytest.raises(OutcomeUnknown):
            await world.handle("cancel")
        await until_handled(world, "a while", "cancel")
        assert [type for type, _ in world.replies("cancel")] == ["shipping.cancelled"]
        await asyncio.sleep(LATE_S)
        assert world.live() == {"a-first-1"}
        await world.check(["create", "cancel"])

    run_simulated(scenario())


def test_a_carrier_that_has_nothing_is_looked_up_a_few_times_and_then_left_alone():
    async def scenario() -> None:
        world = LateWorld(loses=1)
        world.first.late_s = 10 * LATEST_S
        await until_handled(world, "create", "a while", "create")
        types = await world.types()
        for pause_s in LOOKS_S:
            await asyncio.sleep(pause_s - 1)
            assert await world.sweep() == 0
            await asyncio.sleep(1)
            assert await world.sweep() == 1
            assert await world.sweep() == 0
        assert (await world.types())[len(types) :] == ["booking_looked_for"] * len(LOOKS_S)
        await asyncio.sleep(LATEST_S)
        assert await world.sweep() == 0

    run_simulated(scenario())


def test_a_carrier_that_took_the_parcel_itself_in_the_end_is_no_stray():
    async def scenario() -> None:
        world = LateWorld(loses=1, refuses=True)
        await until_handled(world, "create", "a while", "create")
        assert (await world.state()).carrier == "a-first"
        await world.check(["create"])
        assert "stray_booking_found" not in await world.types()

    run_simulated(scenario())


def test_a_stray_that_cannot_be_cancelled_is_tried_ever_more_rarely_and_people_are_told_once():
    async def scenario() -> None:
        world = LateWorld(loses=1)
        await until_handled(world, "create", "a while", "create")
        await asyncio.sleep(LATE_S)
        refused = 0

        async def refuse(key: str, parcel_id: str, shipment_id: str) -> ShipmentCancelled:
            nonlocal refused
            refused += 1
            raise OutsideUnavailable("the refund is rejected")

        cancel, world.first.cancel = world.first.cancel, refuse  # type: ignore[method-assign]
        for tries in range(1, PATIENCE + 3):
            await world.sweep()
            assert refused == tries
            assert world.told() == ([("stray_not_cancelled", "a-first")] if tries >= PATIENCE else [])
            again = (await world.state()).check_at
            assert again is not None
            assert again - world.clock.now() == timedelta(seconds=300 * 2 ** (tries - 1))
            assert await world.sweep() == 0
            await asyncio.sleep((again - world.clock.now()).total_seconds())
        world.first.cancel = cancel  # type: ignore[method-assign]
        await world.sweep()
        assert world.live() == {"second-1"}
        assert (await world.state()).check_at is None

    run_simulated(scenario())


def test_a_carrier_that_cannot_be_asked_stays_in_doubt_and_people_are_told_once():
    async def scenario() -> None:
        world = LateWorld(loses=1)
        await until_handled(world, "create", "a while", "create")
        world.first.down = True
        for _ in range(40):
            await asyncio.sleep(3600)
            await world.sweep()
        assert world.told() == [("carrier_not_reached", "a-first")]
        assert (await world.state()).doubts[0].looks == 0
        world.first.down = False
        await asyncio.sleep(86400)
        await world.sweep()
        assert world.live() == {"second-1"}

    run_simulated(scenario())


def test_a_carrier_that_is_no_longer_among_the_settings_is_told_of():
    async def scenario() -> None:
        world = LateWorld(loses=1)
        await until_handled(world, "create", "a while", "create")
        world.both = (world.second,)  # type: ignore[assignment]
        for _ in range(10):
            await asyncio.sleep(3600)
            await world.sweep()
        assert world.told() == [("carrier_not_reached", "a-first")]

    run_simulated(scenario())


def test_news_of_a_stray_find_it_before_the_timer_does_and_are_no_news_of_the_order():
    async def scenario() -> None:
        world = LateWorld(loses=1)
        await until_handled(world, "create", "a while", "create")
        await asyncio.sleep(LATE_S)
        for status in ("exception", "in_transit", "delivered"):
            for _ in range(2):
                await world.news("a-first-1", status)
        assert (await world.types())[-2:] == ["stray_booking_found", "parcel_needs_attention"]
        assert world.told() == [("stray_moves", "a-first")]
        state = await world.state()
        assert (state.tracking, state.news) == (None, ())
        assert await find_parcel(world.documents, "a-first-1") == ORDER
        await world.news("second-1", "delivered")
        assert (await world.state()).tracking == "delivered"
        await world.sweep()
        assert world.live() == {"second-1"}

    run_simulated(scenario())


def test_news_of_a_shipment_that_nobody_knows_are_looked_into_and_count_as_no_look():
    async def scenario() -> None:
        world = LateWorld(loses=1)
        await until_handled(world, "create", "a while", "create")
        types = await world.types()
        await world.news("somebody else's")
        assert await world.types() == types
        assert world.told() == []

    run_simulated(scenario())


@pytest.mark.parametrize("commands", [FALLBACK, [*FALLBACK, "cancel"], ["create", "cancel", *FALLBACK]])
def test_a_crash_at_any_port_call_leaves_one_live_booking_at_most(commands):
    async def scenario(nth: int) -> bool:
        world = LateWorld(loses=1)
        there = await crash_at(world.gates, nth, world.handle, commands)
        await world.check(commands)
        return there

    at_each_gate(scenario, more_than=4 * len(set(commands)))


@pytest.mark.parametrize("pause_s", [0.0, 400.0])
@pytest.mark.parametrize("others", [["sweep"], ["cancel"], ["cancel", "sweep", "a while", "sweep"]])
def test_a_sweep_overtaken_at_any_port_call_leaves_one_live_booking_at_most(others, pause_s):
    async def scenario(nth: int) -> bool:
        world = LateWorld(loses=1)
        await until_handled(world, *FALLBACK[:4])
        there = await overtake_at(world.gates, nth, world.handle, "sweep", others, pause_s)
        await world.check(["create", *others])
        return there

    at_each_gate(scenario)


@settings(max_examples=200, deadline=None)
@given(
    actions=schedules(["create", "cancel", "sweep"], waits=(0.5, 11.5, 300.0, 3600.0)),
    late_s=st.sampled_from([0.9, 15.0, 400.0, 20_000.0]),
    refuses=st.booleans(),
    loses=st.integers(0, 2),
)
def test_whatever_the_order_of_late_booking_fallback_cancel_and_sweep_one_booking_is_live_at_most(
    actions: list[Action], late_s: float, refuses: bool, loses: int
):
    async def scenario() -> None:
        world = LateWorld(late_s, refuses, loses)
        await world.check(sorted(await run_schedule(world.gates, world.handle, actions)))

    run_simulated(scenario())
