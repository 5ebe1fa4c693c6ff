"""With two carriers there is one shipment at most too, and one that is down is passed over."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.decider import fold, history, load
from core.outside_call import OutcomeUnknown, OutsideUnavailable
from emulator.simulation import run_simulated
from services.shipping.calls import Carriers
from services.shipping.carrier import Parcel
from services.shipping.decider import SHIPMENTS
from services.shipping.handlers import NoCarrierNow
from services.shipping.messages import (
    ShipmentCreated,
    ShipmentRefused,
)
from services.shipping.offers import NotServed, Offer
from tests.fakes import START
from tests.interleaving import (
    Action,
    at_each_gate,
    crash_at,
    overtake_at,
    run_schedule,
    schedules,
    start,
)
from tests.shipping_world import ORDER, TIMEOUT_S, StrictCarrier, World


class TwoCarriers(World):
    """`first` is asked first. That there are never two live shipments each carrier checks."""

    def __init__(self, refuses: bool = False, lands_late: bool = False) -> None:
        super().__init__()
        live: set[str] = set()
        self.first = StrictCarrier(self.gates, refuses, lands_late, "a-first", live)
        self.second = StrictCarrier(self.gates, False, lands_late, "second", live)

    def carriers(self) -> Carriers:
        return Carriers({each.name: each for each in (self.first, self.second)}, self.clock, TIMEOUT_S)

    async def check(self, delivered: Sequence[str]) -> None:
        both = (self.first, self.second)
        for carrier in both:
            await carrier.outside.landed()
            assert not carrier.outside.overlapped, "two calls were in flight at once"
        for name in delivered:
            assert len(self.replies(name)) == 1, f"{name} was answered {self.replies(name)}"
        state = (await load(self.documents, SHIPMENTS, ORDER)).state
        events = await history(self.documents, SHIPMENTS, ORDER)
        assert fold(SHIPMENTS, SHIPMENTS.initial, [event.data for event in events]) == state
        live = {id for carrier in both for id in carrier.live}
        assert (state.status == "created") == (len(live) == 1)
        assert state.intent is None
        answers = {type for name in delivered for type, _ in self.replies(name)}
        if "cancel" in delivered:
            assert not live
        elif "create" in delivered:
            assert "shipping.created" in answers
            assert live == {state.shipment_id}
            assert any(
                shipment.shipment_id == state.shipment_id and carrier.name == state.carrier
                for carrier in both
                for shipment in carrier.shipments
                if isinstance(shipment, ShipmentCreated)
            )


@pytest.mark.parametrize("refuses", [False, True])
@pytest.mark.parametrize("commands", [["create"], ["create", "cancel"], ["cancel", "create"]], ids="+".join)
def test_with_two_carriers_a_crash_at_any_port_call_leaves_one_shipment_at_most(commands, refuses):
    async def scenario(nth: int) -> bool:
        world = TwoCarriers(refuses)
        there = await crash_at(world.gates, nth, world.handle, commands)
        await world.check(commands)
        return there

    at_each_gate(scenario, more_than=4 * len(commands))


@pytest.mark.parametrize("refuses", [False, True])
@pytest.mark.parametrize("lands_late", [False, True])
@pytest.mark.parametrize("pause_s", [0.0, 10.5, 30.0])
@pytest.mark.parametrize(
    ("slow", "others"), [("create", ["create"]), ("create", ["create", "cancel"]), ("cancel", ["create"])]
)
def test_with_two_carriers_a_delivery_overtaken_at_any_port_call_leaves_one(
    slow, others, pause_s, lands_late, refuses
):
    async def scenario(nth: int) -> bool:
        world = TwoCarriers(refuses, lands_late)
        there = await overtake_at(world.gates, nth, world.handle, slow, others, pause_s)
        await world.check([slow, *others])
        return there

    at_each_gate(scenario)


@settings(max_examples=200, deadline=None)
@given(actions=schedules(["create", "cancel"]), refuses=st.booleans(), lands_late=st.booleans())
def test_with_two_carriers_any_interleaving_leaves_one_shipment_at_most(
    actions: list[Action], refuses: bool, lands_late: bool
):
    async def scenario() -> None:
        world = TwoCarriers(refuses, lands_late)
        await world.check(sorted(await run_schedule(world.gates, world.handle, actions)))

    run_simulated(scenario())


def test_a_carrier_that_is_down_is_passed_over_and_the_next_takes_the_parcel_at_once():
    async def scenario() -> None:
        world = TwoCarriers()
        world.first.down = True
        await world.handle("create")
        assert [type for type, _ in world.replies("create")] == ["shipping.created"]
        assert world.second.live == {"second-1"}
        assert world.clock.now() - START < timedelta(seconds=3)
        types = [event.type for event in await history(world.documents, SHIPMENTS, ORDER)]
        assert types == [
            "shipping.create_started",
            "shipping.carrier_failed",
            "shipping.create_started",
            "shipping.created",
        ]
        await world.check(["create"])

    run_simulated(scenario())


def test_when_all_carriers_are_down_nothing_is_in_doubt_and_the_undo_need_not_wait():
    async def scenario() -> None:
        world = TwoCarriers()
        world.first.down = world.second.down = True
        with pytest.raises(NoCarrierNow):
            await world.handle("create")
        before = world.clock.now()
        await world.handle("cancel")
        assert world.clock.now() == before
        assert [type for type, _ in world.replies("create")] == ["shipping.refused"]
        await world.check(["create", "cancel"])

    run_simulated(scenario())


def test_a_carrier_whose_answer_is_lost_is_looked_up_before_the_next_is_asked():
    async def scenario() -> None:
        world = TwoCarriers(lands_late=True)
        world.gates.plan = lambda delivery, n: "hold" if delivery == "slow" and n == 3 else "go"
        slow = start(world.handle, "create", "slow")
        await asyncio.sleep(10.5)
        with pytest.raises(OutcomeUnknown):
            await slow
        with pytest.raises(OutcomeUnknown):
            await world.handle("create")
        assert world.second.shipments == []
        await asyncio.sleep(1)
        await world.handle("create")
        assert (world.first.live, world.second.shipments) == ({"a-first-1"}, [])
        await world.check(["create"])

    run_simulated(scenario())


def test_a_carrier_that_cannot_be_asked_for_prices_is_asked_last():
    async def scenario() -> None:
        world = TwoCarriers()

        async def no_prices(parcel: Parcel) -> Sequence[Offer]:
            raise OutsideUnavailable("no prices")

        world.first.quote = no_prices  # type: ignore[method-assign]
        await world.handle("create")
        assert world.second.live == {"second-1"}
        other = TwoCarriers()
        other.first.quote = no_prices  # type: ignore[method-assign]
        other.second.down = True
        await other.handle("create")
        assert other.first.live == {"a-first-1"}

    run_simulated(scenario())


def test_a_parcel_that_no_carrier_takes_is_refused_with_what_a_carrier_says_of_it():
    async def scenario() -> None:
        world = TwoCarriers()

        async def not_served(parcel: Parcel) -> Sequence[Offer] | NotServed:
            return NotServed("customs_not_set_up")

        async def none(parcel: Parcel) -> Sequence[Offer] | NotServed:
            return []

        world.first.quote = not_served  # type: ignore[assignment, method-assign]
        world.second.quote = none  # type: ignore[assignment, method-assign]
        await world.handle("create")
        assert [orjson.loads(data)["reason"] for _, data in world.replies("create")] == ["customs_not_set_up"]
        other = TwoCarriers()
        other.first.quote = not_served  # type: ignore[assignment, method-assign]
        await other.handle("create")
        assert other.second.live == {"second-1"}

    run_simulated(scenario())


def test_a_carrier_that_may_have_taken_the_parcel_is_not_passed_over_although_it_is_then_down():
    async def scenario() -> None:
        world = TwoCarriers()
        create = world.first.create

        async def lose_the_answer(
            key: str, parcel: Parcel, service: str
        ) -> ShipmentCreated | ShipmentRefused:
            await create(key, parcel, service)
            world.first.down = True
            raise OutcomeUnknown("the answer was lost")

        def lose_it_once(key: str, parcel: Parcel, service: str) -> Any:
            return (create if world.first.down else lose_the_answer)(key, parcel, service)

        world.first.create = lose_it_once  # type: ignore[method-assign]
        with pytest.raises(OutcomeUnknown):
            await world.handle("create")
        assert world.second.shipments == []
        await asyncio.sleep(12)
        await world.handle("create")
        assert world.second.shipments == []
        assert [type for type, _ in world.replies("create")] == ["shipping.created"]
        await world.check(["create"])

    run_simulated(scenario())
