"""News of a parcel from the queue to the topic, wherever a process dies; and parcels of which none come."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import orjson
import pytest
from hypothesis import given, settings

from adapters.resilience.carrier import ResilientCarrier
from core.contracts import InvalidContract, contract_name
from core.decider import fold, history, load
from core.envelope import Envelope, command_id, from_json, wrap
from core.outside_call import OutcomeUnknown
from core.outside_limits import OutsideLimits
from core.outside_policy import OutsidePolicy
from emulator.simulation import run_simulated
from services.shipping.carrier import Notice
from services.shipping.decider import SHIPMENTS
from services.shipping.handlers import handle_command
from services.shipping.messages import CreateReturn, TrackingStatus
from services.shipping.sweeps import PAGE, check_silent_parcels
from services.shipping.tracking import News
from services.shipping.tracking_handlers import NotCreatedYet
from services.shipping.webhooks import track_parcel
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
from tests.shipping_world import ADDRESS, ORDER, StrictCarrier, World, command

NEWS: dict[str, News] = {
    "moves": News("evt-1", "in_transit", START + timedelta(hours=1)),
    "arrives": News("evt-2", "delivered", START + timedelta(hours=2)),
    "goes-back": News("evt-3", "returned_to_sender", START + timedelta(hours=3), "refused"),
}


class TellingCarrier(StrictCarrier):
    """Knows of a journey, which its webhooks tell."""

    def __init__(self, world: World) -> None:
        super().__init__(world.gates, refuses=False, lands_late=False)
        self.journey: list[News] = []
        self.asked = 0

    async def track(self, parcel_id: str, shipment_id: str) -> Sequence[News]:
        self.asked += 1
        await asyncio.sleep(0)
        return list(self.journey)


class Telling(World):
    def __init__(self) -> None:
        super().__init__()
        self.carrier: TellingCarrier = TellingCarrier(self)

    async def handle(self, name: str) -> None:
        told = command(name) if name in ("create", "cancel") else webhook(NEWS[name])
        await handle_command(self.documents, self.bus, self.carriers(), told)

    async def again(self, envelope: Envelope) -> None:
        await handle_command(self.documents, self.bus, self.carriers(), envelope)

    def told(self) -> list[tuple[str, str]]:
        """What came to the topic: once for each id, as its duplicate detection sees to it."""
        sent = {message.message_id: message for message in self.bus.sent["service-events"]}
        return [(id, orjson.loads(message.body)["type"]) for id, message in sorted(sent.items())]

    async def on_stream(self) -> list[str]:
        return [event.type for event in await history(self.documents, SHIPMENTS, ORDER)]


def webhook(news: News, parcel: str = ORDER, shipment_id: str = "shp-1") -> Envelope:
    return track_parcel(Notice(shipment_id, news), parcel, "strict", START)


def test_a_delivery_is_recorded_and_told_and_told_again_when_its_webhook_comes_again():
    async def scenario() -> None:
        world = Telling()
        for name in ("create", "arrives"):
            await world.handle(name)
        stored = world.documents.items("shipments")
        assert world.told() == [(f"{ORDER}:shipments:4", "shipping.delivered")]
        await world.handle("arrives")
        assert world.documents.items("shipments") == stored
        first, second = world.bus.sent["service-events"]
        assert first == second
        event = from_json(first.body)
        assert (event.id, event.subject, event.source) == (f"{ORDER}:shipments:4", ORDER, "shipping")
        assert event.causation_id == f"{ORDER}:shipping.track:evt-2"

    run_simulated(scenario())


def test_the_parcel_of_a_return_tells_its_order():
    async def scenario() -> None:
        world = Telling()
        data = CreateReturn(ORDER, "ord-1-r1", ADDRESS, "standard", 1)
        created = wrap(
            data,
            id=command_id(ORDER, contract_name(CreateReturn), "ord-1-r1"),
            source="orders",
            subject=ORDER,
            time=START,
            correlation_id=ORDER,
            causation_id="c",
        )
        await world.again(created)
        await world.again(webhook(NEWS["arrives"], parcel="ord-1-r1"))
        (message,) = world.bus.sent["service-events"]
        event = from_json(message.body)
        assert (event.type, event.subject, event.data.return_id) == (
            "shipping.return_received",
            ORDER,
            "ord-1-r1",
        )
        assert message.message_id == "ord-1-r1:shipments:4"

    run_simulated(scenario())


def test_news_that_are_faster_than_the_carriers_own_answer_wait_for_it():
    async def scenario() -> None:
        world = Telling()
        world.gates.plan = lambda delivery, n: "hold" if delivery == "slow" and n == 4 else "go"
        slow = start(world.handle, "create", "slow")
        await settle()
        with pytest.raises(NotCreatedYet):
            await world.handle("arrives")
        world.gates.open()
        await slow
        await world.handle("arrives")
        assert [type for _, type in world.told()] == ["shipping.delivered"]

    run_simulated(scenario())


@pytest.mark.parametrize("commands", [[], ["cancel"]], ids=["none", "cancelled before"])
def test_news_of_a_parcel_that_nobody_sent_are_not_valid_and_say_so(commands):
    async def scenario() -> None:
        world = Telling()
        for name in commands:
            await world.handle(name)
        with pytest.raises(InvalidContract, match="no carrier has a parcel of 'ord-1'"):
            await world.handle("arrives")
        assert world.told() == []

    run_simulated(scenario())


def test_news_of_another_shipment_change_nothing():
    async def scenario() -> None:
        world = Telling()
        await world.handle("create")
        await world.again(webhook(NEWS["arrives"], shipment_id="shp-9"))
        assert await world.on_stream() == ["shipping.create_started", "shipping.created"]
        assert world.told() == []

    run_simulated(scenario())


async def check(world: Telling, delivered: Sequence[str]) -> None:
    state = (await load(world.documents, SHIPMENTS, ORDER)).state
    events = await history(world.documents, SHIPMENTS, ORDER)
    assert fold(SHIPMENTS, SHIPMENTS.initial, [event.data for event in events]) == state
    told = [type for _, type in world.told()]
    if "create" not in delivered:
        return
    heard = [name for name in NEWS if name in delivered]
    assert sorted(state.news) == sorted(NEWS[name].event_id for name in heard)
    assert told.count("shipping.returned_to_sender") == ("goes-back" in heard)
    assert told.count("shipping.delivered") <= ("arrives" in heard)
    if "arrives" in heard and "goes-back" not in heard:
        assert told == ["shipping.delivered"]
    recorded = [event.event_id for event in events if event.type.removeprefix("shipping.") in PUBLIC]
    assert sorted(recorded) == [id for id, _ in world.told()]


PUBLIC = {"delivered", "returned_to_sender", "exception", "out_for_delivery", "parcel_needs_attention"}


@pytest.mark.parametrize("names", [["moves", "arrives"], ["arrives", "moves", "goes-back"]], ids="+".join)
def test_a_crash_at_any_port_call_loses_no_news_and_tells_each_once(names):
    async def scenario(nth: int) -> bool:
        world = Telling()
        await world.handle("create")
        there = await crash_at(world.gates, nth, world.handle, names)
        await check(world, ["create", *names])
        return there

    at_each_gate(scenario, more_than=4 * len(names))


@pytest.mark.parametrize("others", [["arrives"], ["goes-back"], ["moves", "goes-back"]], ids="+".join)
def test_news_overtaken_at_any_port_call_end_in_the_same(others):
    async def scenario(nth: int) -> bool:
        world = Telling()
        await world.handle("create")
        there = await overtake_at(world.gates, nth, world.handle, "arrives", others, 0.0)
        await check(world, ["create", "arrives", *others])
        return there

    at_each_gate(scenario)


@settings(max_examples=100, deadline=None)
@given(actions=schedules(["moves", "arrives", "goes-back"]))
def test_any_interleaving_of_news_and_crashes_is_right(actions: list[Action]):
    async def scenario() -> None:
        world = Telling()
        await world.handle("create")
        await check(world, ["create", *sorted(await run_schedule(world.gates, world.handle, actions))])

    run_simulated(scenario())


DAY = timedelta(days=1)


async def ask_of_the_silent(world: Telling) -> int:
    now = world.clock.now()
    return await check_silent_parcels(world.documents, world.bus, now - DAY, now)


def checks(world: Telling) -> list[Envelope]:
    return [from_json(message.body) for message in world.bus.sent["shipping"]]


def test_when_nothing_is_due_one_query_is_all_that_the_timer_costs():
    async def scenario() -> None:
        world = Telling()
        await world.handle("create")
        before = len(world.documents.requests)
        assert await ask_of_the_silent(world) == 0
        assert world.documents.requests[before:] == ["query shipments"]
        assert world.bus.sent["shipping"] == []

    run_simulated(scenario())


def test_the_carrier_is_asked_of_a_parcel_that_is_silent_for_too_long_and_what_it_says_is_told():
    async def scenario() -> None:
        world = Telling()
        await world.handle("create")
        world.carrier.journey = [NEWS["moves"], NEWS["arrives"]]
        await asyncio.sleep(DAY.total_seconds() + 1)
        assert await ask_of_the_silent(world) == 1
        (asked,) = checks(world)
        assert asked.id == f"{ORDER}:shipping.check_parcel:v2"
        await world.again(asked)
        assert (await world.on_stream())[2:] == ["shipping.tracked", "shipping.tracked", "shipping.delivered"]
        assert [type for _, type in world.told()] == ["shipping.delivered"]
        assert await ask_of_the_silent(world) == 0

    run_simulated(scenario())


def test_a_question_that_comes_again_asks_nobody_and_tells_again():
    async def scenario() -> None:
        world = Telling()
        await world.handle("create")
        world.carrier.journey = [NEWS["arrives"]]
        await asyncio.sleep(DAY.total_seconds() + 1)
        await ask_of_the_silent(world)
        (asked,) = checks(world)
        for _ in range(2):
            await world.again(asked)
        assert world.carrier.asked == 1
        assert len(world.bus.sent["service-events"]) == 2
        assert len(world.told()) == 1

    run_simulated(scenario())


def test_a_carrier_that_has_nothing_new_is_asked_again_after_as_long():
    async def scenario() -> None:
        world = Telling()
        await world.handle("create")
        for looks in (1, 2):
            await asyncio.sleep(DAY.total_seconds() + 1)
            assert await ask_of_the_silent(world) == 1
            await world.again(checks(world)[-1])
            assert await ask_of_the_silent(world) == 0
            assert (await load(world.documents, SHIPMENTS, ORDER)).state.looks == looks
        assert world.told() == []

    run_simulated(scenario())


def test_a_carrier_that_does_not_answer_leaves_the_question_to_its_redelivery():
    async def scenario() -> None:
        world = Telling()
        await world.handle("create")

        async def never(order_id: str, shipment_id: str) -> Sequence[News]:
            await asyncio.sleep(3600)
            return []

        world.carrier.track = never  # type: ignore[method-assign]
        world.carrier = ResilientCarrier(world.carrier, OutsidePolicy("carrier:strict", OutsideLimits()))  # type: ignore[assignment]
        await asyncio.sleep(DAY.total_seconds() + 1)
        await ask_of_the_silent(world)
        with pytest.raises(OutcomeUnknown, match="carrier:strict: no answer within"):
            await world.again(checks(world)[0])
        assert await world.on_stream() == ["shipping.create_started", "shipping.created"]

    run_simulated(scenario())


def test_parcels_that_have_arrived_or_were_cancelled_are_not_asked_for_and_many_come_page_by_page():
    async def scenario() -> None:
        world = Telling()
        for name in ("create", "arrives"):
            await world.handle(name)
        template = next(item for item in world.documents.items("shipments") if item["id"] == "snapshot")
        statuses: list[tuple[TrackingStatus, bool]] = [("in_transit", True)] * (PAGE + 5)
        statuses += [("delivered", False)] * 3
        for number, (status, awaits) in enumerate(statuses):
            state = template["state"] | {"tracking": status, "awaits_news": awaits}
            item = template | {"stream": f"ord-x{number}", "state": state}
            await world.documents.upsert("shipments", f"ord-x{number}", item)
        await asyncio.sleep(DAY.total_seconds() + 1)
        assert await ask_of_the_silent(world) == PAGE + 5
        assert len({asked.id for asked in checks(world)}) == PAGE + 5

    run_simulated(scenario())
