"""EasyPost through its official library, over HTTP, against a server that speaks the documented API."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from easypost.errors import UnauthorizedError

from adapters.easypost.carrier import EasyPostCarrier
from adapters.easypost.settings import EasyPostSettings
from core.outside_call import OutcomeUnknown, OutsideUnavailable
from services.shipping.carrier import Parcel
from services.shipping.messages import Address, ShipmentCancelled, ShipmentCreated, ShipmentRefused
from services.shipping.offers import NotServed, Offer
from services.shipping.tracking import News
from tests.easypost_stand_in import KEY, StandIn, serving

SHOP = Address("Orderflow", "1 Warehouse Road", "Oakland", "94601", "US")
ADA = Address("Ada", "388 Townsend St", "San Francisco", "94107", "US")
PARCEL = Parcel("ord-1", ADA, "standard", 2)
GROUND = "USPS GroundAdvantage"
CREATED = ShipmentCreated("ord-1", "shp_1", "EZSHP_1", "easypost")


@pytest.fixture
async def server() -> AsyncIterator[StandIn]:
    async with serving() as stand_in:
        yield stand_in


@pytest.fixture
def carrier(server: StandIn) -> EasyPostCarrier:
    return connected(server)


def connected(server: StandIn, key: str = KEY, timeout_s: float = 5.0) -> EasyPostCarrier:
    settings = EasyPostSettings(key, "a secret of the endpoint", 8.0)
    return EasyPostCarrier(settings, SHOP, timeout_s, api=f"{server.url}/v2")


async def create(carrier: EasyPostCarrier, parcel: Parcel = PARCEL, service: str = GROUND):
    return await carrier.create("key", parcel, service)


async def test_what_the_rates_are_is_asked_and_nothing_is_bought(carrier, server):
    assert await carrier.quote(PARCEL) == [
        Offer("easypost", "USPS GroundAdvantage", 715, 4, "USD"),
        Offer("easypost", "USPS Express", 2890, 1, "USD"),
        Offer("easypost", "UPS Ground", 980, None, "USD"),
    ]
    assert server.bought() == []
    assert await carrier.find_shipment("ord-1") is None


async def test_no_offer_is_made_for_an_address_that_is_none_and_why_is_said(carrier):
    wrong = replace(PARCEL, address=replace(ADA, postal_code="00000"))
    assert await carrier.quote(wrong) == NotServed("ADDRESS.VERIFY.FAILURE")


async def test_a_shipment_is_bought_at_the_rate_that_was_chosen_and_only_once(carrier, server):
    for _ in range(2):
        assert await create(carrier) == CREATED
    [shipment] = server.bought()
    assert shipment["selected_rate"]["service"] == "GroundAdvantage"
    assert (shipment["reference"], shipment["parcel"]) == ("ord-1", {"weight": 16.0})
    assert shipment["to_address"]["street1"] == "388 Townsend St"
    assert shipment["from_address"]["street1"] == "1 Warehouse Road"
    assert server.requests.count("POST buy") == 1
    assert await carrier.find_shipment("ord-1") == CREATED


async def test_without_a_chosen_service_what_the_customer_chose_decides(carrier, server):
    assert isinstance(await create(carrier, replace(PARCEL, delivery="express"), ""), ShipmentCreated)
    assert server.bought()[0]["selected_rate"]["service"] == "Express"


async def test_a_return_goes_from_the_customer_to_the_shop(carrier, server):
    await create(carrier, replace(PARCEL, parcel_id="ord-1-r1", return_of="ord-1"))
    assert server.bought()[0]["from_address"]["name"] == "Ada"
    assert server.bought()[0]["to_address"]["name"] == "Orderflow"


async def test_what_easypost_refuses_is_refused_with_its_code(carrier):
    wrong = replace(PARCEL, address=replace(ADA, postal_code="00000"))
    assert await create(carrier, wrong) == ShipmentRefused("ord-1", "ADDRESS.VERIFY.FAILURE")
    assert await create(carrier, service="DHL Nothing") == ShipmentRefused("ord-1", "service_not_offered")


@pytest.mark.parametrize("how", ["500", "502", "503", "504", "408", "html", "lost"])
async def test_a_purchase_whose_answer_is_lost_is_of_unknown_outcome_and_the_repeat_finds_it(
    carrier, server, how
):
    server.misbehave = [("/buy", how)]
    with pytest.raises(OutcomeUnknown):
        await create(carrier)
    bought = how == "lost"
    assert await carrier.find_shipment("ord-1") == (CREATED if bought else None)
    assert await create(carrier) == CREATED
    assert len(server.bought()) == 1


async def test_a_purchase_that_is_never_answered_ends_with_its_time(server):
    carrier = connected(server, timeout_s=0.3)
    server.misbehave = [("/buy", "silent")]
    with pytest.raises(OutcomeUnknown, match="TimeoutError"):
        await create(carrier)
    assert await carrier.find_shipment("ord-1") == CREATED


async def test_a_shipment_that_is_bought_and_not_shown_so_yet_is_no_refusal(carrier, server):
    """Else another carrier would be asked, and there would be two."""
    await create(carrier)
    server.hides_purchases = True
    with pytest.raises(OutcomeUnknown, match="not shown so yet"):
        await create(carrier)
    server.hides_purchases = False
    assert await create(carrier) == CREATED


@pytest.mark.parametrize("path", ["/ord-1", "/shipments", "/buy"])
async def test_a_request_that_is_one_too_many_has_done_nothing(carrier, server, path):
    server.misbehave = [(path, "429")]
    with pytest.raises(OutsideUnavailable):
        await create(carrier)
    assert server.bought() == []


async def test_a_server_that_is_not_there_has_done_nothing(unused_tcp_port):
    settings = EasyPostSettings(KEY, "a secret of the endpoint")
    carrier = EasyPostCarrier(settings, SHOP, 1.0, api=f"http://127.0.0.1:{unused_tcp_port}/v2")
    with pytest.raises(OutsideUnavailable):
        await create(carrier)


async def test_a_key_that_is_not_taken_is_no_refusal_of_the_parcel(server):
    with pytest.raises(UnauthorizedError):
        await create(connected(server, key="EZTKother"))


async def test_a_cancelled_shipment_is_refunded_once_and_known_as_cancelled(carrier, server):
    await create(carrier)
    assert await carrier.find_cancellation("ord-1", "shp_1") is None
    for _ in range(2):
        assert await carrier.cancel("key", "ord-1", "shp_1") == ShipmentCancelled("ord-1")
    assert await carrier.find_cancellation("ord-1", "shp_1") == ShipmentCancelled("ord-1")
    assert await carrier.find_shipment("ord-1") == CREATED


async def test_a_refund_that_is_refused_is_tried_again(carrier, server):
    await create(carrier)
    server.refuses_refunds = True
    with pytest.raises(OutsideUnavailable, match="rejected"):
        await carrier.cancel("key", "ord-1", "shp_1")


async def test_what_became_of_a_parcel_is_read_from_its_tracker(carrier, server):
    await create(carrier)
    details = [
        ("pre_transit", "2027-01-15T08:00:00Z", "Label created"),
        ("delivered", "2027-01-17T12:30:00Z", "Delivered"),
        ("in_transit", "2027-01-16T08:00:00Z", "Arrived"),
        ("failure", "2027-01-16T18:00:00Z", "Nobody at home"),
        ("unknown", "2027-01-16T19:00:00Z", "?"),
    ]
    server.shipments["shp_1"]["tracker"]["tracking_details"] = [
        {"object": "TrackingDetail", "status": status, "datetime": at, "message": message}
        for status, at, message in details
    ]
    found = await carrier.track("ord-1", "shp_1")
    noon = datetime(2027, 1, 17, 12, 30, tzinfo=UTC)
    assert [news.status for news in found] == ["in_transit", "exception", "delivered"]
    assert found[1].detail == "Nobody at home"
    assert found[2] == News(f"easypost-delivered-{int(noon.timestamp())}", "delivered", noon)


@pytest.mark.parametrize("format", ["pdf", "zpl"])
async def test_the_label_is_easyposts_own(carrier, format):
    await create(carrier)
    assert await carrier.label("ord-1", "shp_1", format) == f"label shp_1.{format}".encode()


async def test_a_label_that_cannot_be_fetched_is_asked_for_again(carrier, server):
    await create(carrier)
    server.misbehave = [("/labels/shp_1.pdf", "500")]
    with pytest.raises(OutsideUnavailable, match="label: 500"):
        await carrier.label("ord-1", "shp_1", "pdf")


async def test_the_loop_goes_on_while_the_library_waits(server):
    carrier = connected(server, timeout_s=0.5)
    server.misbehave = [("/buy", "silent")]
    waiting = asyncio.ensure_future(create(carrier))
    turns = 0
    while not waiting.done():
        turns += 1
        await asyncio.sleep(0.01)
    assert turns > 10
    with pytest.raises(OutcomeUnknown):
        await waiting
