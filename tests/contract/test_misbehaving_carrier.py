"""What a carrier does that misbehaves, and what its policy and the service make of it: real HTTP, real time.

EasyPost as composition/providers.py has it. What is looked up is asked again; a booking is not, but looked up
first; and another carrier takes the parcel when it is certain that this one has not.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import timedelta
from typing import Any

import pytest

from adapters.easypost.carrier import EasyPostCarrier
from adapters.easypost.settings import EasyPostSettings
from adapters.resilience.carrier import ResilientCarrier
from adapters.sandbox.carrier import POST, SandboxCarrier
from core.bulkhead import BulkheadFull
from core.contracts import contract_name
from core.decider import load
from core.envelope import Envelope, command_id, from_json, wrap
from core.outside_call import SETTLING_S, OutcomeUnknown, OutsideUnavailable
from core.outside_limits import OutsideLimits
from core.outside_policy import OutsidePolicy
from services.shipping.calls import Carriers
from services.shipping.carrier import Carrier, Parcel
from services.shipping.decider import SHIPMENTS
from services.shipping.handlers import handle_command
from services.shipping.messages import Address, CreateShipment, ShipmentCancelled, ShipmentCreated
from services.shipping.state import Shipment
from services.shipping.strays import LOOKS_S
from services.shipping.sweeps import check_bookings_in_doubt
from services.shipping.webhooks import find_parcel
from tests.easypost_stand_in import KEY, StandIn, serving
from tests.fakes import FakeBus, FakeDocuments, FakeLoopClock
from tests.unit.http_support import Api, content

PATIENCE_S = 1.0
"""Longer than a good answer takes on a machine that is busy."""
LIMITS = OutsideLimits(
    timeout_s=4.0,
    attempt_s=PATIENCE_S,
    attempts=3,
    circuit_failures=4,
    circuit_s=1.0,
    concurrency=2,
    queue=1,
)
SHOP = Address("Orderflow", "1 Warehouse Road", "Oakland", "94601", "US")
ADA = Address("Ada", "388 Townsend St", "San Francisco", "94107", "US")
PARCEL = Parcel("ord-1", ADA, "standard", 2)
SERVICE = "USPS GroundAdvantage"
CREATED = ShipmentCreated("ord-1", "shp_1", "EZSHP_1", "easypost")

MISBEHAVIOURS = ["slow", "reset", "garbage", "429", "500", "html", "half", "empty"]
misbehaves = pytest.mark.parametrize("behaviour", MISBEHAVIOURS)


class AtOnce(random.Random):
    """No back-off but what the provider asks for."""

    def uniform(self, a: float, b: float) -> float:
        return 0.0


@pytest.fixture
async def server() -> AsyncIterator[StandIn]:
    async with serving() as stand_in:
        yield stand_in


@pytest.fixture
def carrier(server: StandIn) -> ResilientCarrier:
    settings = EasyPostSettings(KEY, "a secret of the endpoint", 8.0)
    easypost = EasyPostCarrier(settings, SHOP, PATIENCE_S, api=f"{server.url}/v2")
    return ResilientCarrier(easypost, OutsidePolicy("carrier:easypost", LIMITS, random=AtOnce()))


async def create(carrier: Carrier) -> Any:
    return await carrier.create("key", PARCEL, SERVICE)


type Ask = Callable[[Carrier], Coroutine[Any, Any, object]]

REPEATED: dict[str, tuple[str, Ask]] = {
    "quote": ("/shipments", lambda carrier: carrier.quote(PARCEL)),
    "find_shipment": ("/ord-1", lambda carrier: carrier.find_shipment("ord-1")),
    "cancel": ("/refund", lambda carrier: carrier.cancel("key", "ord-1", "shp_1")),
    "find_cancellation": ("/shp_1", lambda carrier: carrier.find_cancellation("ord-1", "shp_1")),
    "track": ("/shp_1", lambda carrier: carrier.track("ord-1", "shp_1")),
    "label": ("/label", lambda carrier: carrier.label("ord-1", "shp_1", "pdf")),
}
"""The calls that are safe to repeat, with the end of the path that they ask."""


@misbehaves
@pytest.mark.parametrize("call", REPEATED)
async def test_what_is_safe_to_repeat_is_asked_again(
    call: str, behaviour: str, server: StandIn, carrier: ResilientCarrier
) -> None:
    await create(carrier)
    path, ask = REPEATED[call]
    before = len(server.requests)
    server.misbehave = [(path, behaviour)]
    await ask(carrier)
    asked = [n for n, each in enumerate(server.requests) if n >= before and each.endswith(path[1:])]
    assert len(asked) == 2
    if behaviour == "429":
        assert server.times[asked[1]] - server.times[asked[0]] >= 1.0


@misbehaves
async def test_a_cancellation_that_was_done_without_an_answer_is_done_once(
    behaviour: str, server: StandIn, carrier: ResilientCarrier
) -> None:
    await create(carrier)
    server.misbehave = [("/refund", "lost"), ("/refund", behaviour)]
    assert await carrier.cancel("key", "ord-1", "shp_1") == ShipmentCancelled("ord-1")


@misbehaves
@pytest.mark.parametrize("path", ["/ord-1", "/shipments", "/buy"])
async def test_a_booking_is_asked_for_once_and_the_next_looks_for_it_first(
    path: str, behaviour: str, server: StandIn, carrier: ResilientCarrier
) -> None:
    server.misbehave = [(path, behaviour)]
    with pytest.raises((OutcomeUnknown, OutsideUnavailable)) as raised:
        await create(carrier)
    assert sum(each.endswith(path[1:]) for each in server.requests) == 1
    # What certainly did nothing is told from what may have: a look-up, or one request too many.
    timed_out = behaviour == "slow"  # at one of its requests: who made the call cannot say at which
    certain = not timed_out and (path == "/ord-1" or behaviour == "429")
    assert isinstance(raised.value, OutsideUnavailable) == certain
    again = len(server.requests)
    assert isinstance(await create(carrier), ShipmentCreated)
    assert server.requests[again] == "GET ord-1"
    assert len(server.bought()) == 1


@pytest.mark.parametrize("how", ["lost", "silent"])
async def test_a_booking_whose_answer_is_lost_is_found_and_not_made_again(
    how: str, server: StandIn, carrier: ResilientCarrier
) -> None:
    server.misbehave = [("/buy", how)]
    with pytest.raises(OutcomeUnknown):
        await create(carrier)
    assert await carrier.find_shipment("ord-1") == CREATED
    assert await create(carrier) == CREATED
    assert server.requests.count("POST buy") == 1


async def test_no_more_calls_reach_a_carrier_at_once_than_may(
    server: StandIn, carrier: ResilientCarrier
) -> None:
    server.then = "not so slow"
    outcomes = await asyncio.gather(*(carrier.quote(PARCEL) for _ in range(5)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes].count(BulkheadFull) == 2
    assert len(server.requests) == LIMITS.concurrency + LIMITS.queue


class Shop:
    """Shipping with EasyPost and, dearer, the post of the sandbox."""

    def __init__(self, carrier: ResilientCarrier) -> None:
        self.clock = FakeLoopClock()
        self.documents = FakeDocuments(self.clock)
        self.bus = FakeBus(self.clock)
        post = SandboxCarrier(self.documents, self.bus, self.clock, POST)
        self.policies = (carrier.guard, OutsidePolicy("carrier:sandbox-post", LIMITS))
        of_sandbox = ResilientCarrier(post, self.policies[1])
        self.carriers = Carriers(
            {"easypost": carrier, "sandbox-post": of_sandbox}, self.clock, LIMITS.timeout_s
        )

    async def ship(self, order_id: str) -> Shipment:
        await handle_command(self.documents, self.bus, self.carriers, to_create(order_id))
        state = await self.state(order_id)
        assert state.status == "created"
        return state

    async def state(self, order_id: str) -> Shipment:
        return (await load(self.documents, SHIPMENTS, order_id)).state

    def later(self, seconds: float) -> None:
        self.clock.start += timedelta(seconds=seconds)

    async def sweep(self) -> None:
        """What the timer does, and what follows."""
        before = len(self.bus.sent["shipping"])
        await check_bookings_in_doubt(self.documents, self.bus, self.clock.now())
        for message in self.bus.sent["shipping"][before:]:
            await handle_command(self.documents, self.bus, self.carriers, from_json(message.body))

    async def circuits(self) -> dict[str, object]:
        """As the app's health shows them."""
        shown = content(await Api(outside=self.policies).call("get_health"))
        return {each["provider"]: each["circuit"] for each in shown["outside"]}


def to_create(order_id: str) -> Envelope:
    return wrap(
        CreateShipment(order_id, ADA, "standard", 2, currency="USD"),
        id=command_id(order_id, contract_name(CreateShipment)),
        source="orders",
        subject=order_id,
        time=FakeLoopClock().now(),
        correlation_id=order_id,
        causation_id="c",
    )


@misbehaves
async def test_a_carrier_that_goes_on_so_is_asked_no_more_and_the_next_takes_the_parcels_as_health_shows(
    behaviour: str, server: StandIn, carrier: ResilientCarrier
) -> None:
    shop = Shop(carrier)
    assert (await shop.ship("ord-1")).carrier == "easypost"
    server.then = behaviour
    before = len(server.requests)
    for order_id in ("ord-2", "ord-3"):
        assert (await shop.ship(order_id)).carrier == "sandbox-post"
    assert len(server.requests) == before + LIMITS.circuit_failures
    assert await shop.circuits() == {"carrier:easypost": "open", "carrier:sandbox-post": "closed"}
    assert (await shop.ship("ord-4")).carrier == "sandbox-post"
    assert len(server.requests) == before + LIMITS.circuit_failures
    server.then = "well"
    await asyncio.sleep(carrier.guard.circuit.opens_in_s)
    assert (await shop.ship("ord-5")).carrier == "easypost"
    assert await shop.circuits() == {"carrier:easypost": "closed", "carrier:sandbox-post": "closed"}


async def test_a_carrier_that_is_one_too_many_at_the_purchase_is_passed_over_at_once(
    server: StandIn, carrier: ResilientCarrier
) -> None:
    shop = Shop(carrier)
    server.misbehave = [("/buy", "429")] * 3
    assert (await shop.ship("ord-1")).carrier == "sandbox-post"
    assert server.bought() == []


@pytest.mark.parametrize(("behaviour", "taken_by"), [("500", "sandbox-post"), ("lost", "easypost")])
async def test_a_purchase_in_doubt_is_looked_up_after_its_deadline_before_anybody_else_is_asked(
    behaviour: str, taken_by: str, server: StandIn, carrier: ResilientCarrier
) -> None:
    shop = Shop(carrier)
    server.misbehave = [("/buy", behaviour)]
    with pytest.raises(OutcomeUnknown):
        await shop.ship("ord-1")
    with pytest.raises(OutcomeUnknown, match="another delivery"):
        await shop.ship("ord-1")
    shop.later(LIMITS.timeout_s + SETTLING_S)
    found = await shop.ship("ord-1")
    assert found.carrier == taken_by
    assert len(server.bought()) == (taken_by == "easypost")


async def test_a_purchase_that_shows_after_the_next_carrier_took_the_parcel_is_refunded(
    server: StandIn, carrier: ResilientCarrier
) -> None:
    shop = Shop(carrier)
    server.misbehave = [("/buy", "lost")]
    server.hides_purchases = True
    with pytest.raises(OutcomeUnknown):
        await shop.ship("ord-1")
    shop.later(LIMITS.timeout_s + SETTLING_S)
    assert (await shop.ship("ord-1")).carrier == "sandbox-post"
    server.hides_purchases = False
    shop.later(LOOKS_S[0] + 1)
    await shop.sweep()
    [bought] = server.bought()
    assert bought["refund_status"] == "submitted"
    state = await shop.state("ord-1")
    assert [(each.shipment_id, each.cancel_at) for each in state.strays] == [(bought["id"], None)]
    assert (state.carrier, state.status) == ("sandbox-post", "created")
    assert await find_parcel(shop.documents, bought["id"]) == "ord-1"
