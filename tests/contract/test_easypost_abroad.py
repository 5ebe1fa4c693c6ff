"""Parcels that cross a border, over HTTP: the customs form that EasyPost is given, and what cannot go."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from adapters.easypost.carrier import EasyPostCarrier
from adapters.easypost.customs import MOST_ITEMS, Customs
from adapters.easypost.settings import EasyPostSettings
from services.shipping.carrier import Parcel
from services.shipping.messages import Address, Content, ShipmentCreated, ShipmentRefused
from services.shipping.offers import NotServed
from tests.easypost_stand_in import KEY, StandIn, serving

SHOP = Address("Orderflow", "1 Warehouse Road", "Oakland", "94601", "US")
MARIE = Address("Marie", "1 Rue de Rivoli", "Paris", "75001", "FR")
CONTENTS = (Content("CUP", 3, 2997), Content("TEAPOT", 1, 4250))
PARCEL = Parcel("ord-1", MARIE, "standard", 4, contents=CONTENTS, currency="USD")
CUSTOMS = Customs("Grace Hopper", "Teapots of porcelain", tariff="691110")


@pytest.fixture
async def server() -> AsyncIterator[StandIn]:
    async with serving() as stand_in:
        yield stand_in


def connected(server: StandIn, customs: Customs | None = CUSTOMS, country: str = "US") -> EasyPostCarrier:
    settings = EasyPostSettings(KEY, "a secret of the endpoint", 8.0, customs)
    return EasyPostCarrier(settings, replace(SHOP, country=country), 5.0, api=f"{server.url}/v2")


async def booked(server: StandIn, carrier: EasyPostCarrier, parcel: Parcel) -> dict[str, Any]:
    """The form of the shipment that was bought."""
    assert isinstance(await carrier.create("key", parcel, ""), ShipmentCreated)
    [shipment] = server.bought()
    form: dict[str, Any] = shipment["customs_info"]
    return form


async def test_a_parcel_abroad_has_a_form_of_what_is_in_it(server: StandIn) -> None:
    carrier = connected(server)
    quoted = await carrier.quote(PARCEL)
    assert not isinstance(quoted, NotServed)
    assert len(quoted) == 3
    of_all = {
        "description": "Teapots of porcelain",
        "currency": "USD",
        "origin_country": "US",
        "hs_tariff_number": "691110",
    }
    assert await booked(server, carrier, PARCEL) == {
        "contents_type": "merchandise",
        "contents_explanation": "Teapots of porcelain",
        "customs_certify": True,
        "customs_signer": "Grace Hopper",
        "non_delivery_option": "return",
        "restriction_type": "none",
        "eel_pfc": "NOEEI 30.37(a)",
        "customs_items": [
            {"code": "CUP", "quantity": 3, "value": 29.97, "weight": 24.0, **of_all},
            {"code": "TEAPOT", "quantity": 1, "value": 42.5, "weight": 8.0, **of_all},
        ],
    }


async def test_a_parcel_within_the_country_has_none(server: StandIn) -> None:
    home = replace(PARCEL, address=replace(MARIE, country="US"), contents=())
    assert await booked(server, connected(server, customs=None), home) is None


async def test_a_return_from_abroad_is_of_returned_goods_and_exported_by_the_customer(
    server: StandIn,
) -> None:
    carrier = connected(server, replace(CUSTOMS, origin="CN", tariff=""))
    form = await booked(server, carrier, replace(PARCEL, parcel_id="ord-1-r1", return_of="ord-1"))
    assert form["contents_type"] == "returned_goods"
    assert "eel_pfc" not in form
    assert {item["origin_country"] for item in form["customs_items"]} == {"CN"}
    assert not any("hs_tariff_number" in item for item in form["customs_items"])


@pytest.mark.parametrize(
    ("currency", "value"),
    [("USD", 42.5), ("EUR", 42.5), ("JPY", 4250.0), ("KWD", 4.25)],
)
async def test_the_value_is_in_the_currency_that_was_paid(
    server: StandIn, currency: str, value: float
) -> None:
    parcel = replace(PARCEL, currency=currency, contents=CONTENTS[1:])
    form = await booked(server, connected(server, country="GB"), parcel)
    [item] = form["customs_items"]
    assert (item["value"], item["currency"]) == (value, currency)
    assert "eel_pfc" not in form


async def test_to_canada_the_exemption_is_its_own_whatever_the_value(server: StandIn) -> None:
    dear = replace(PARCEL, address=replace(MARIE, country="CA"), contents=(Content("RING", 1, 900_000),))
    assert (await booked(server, connected(server), dear))["eel_pfc"] == "NOEEI 30.36"


@pytest.mark.parametrize(
    ("customs", "changes", "reason"),
    [
        (None, {}, "customs_not_set_up"),
        (CUSTOMS, {"contents": ()}, "customs_contents_unknown"),
        (CUSTOMS, {"contents": (*CONTENTS, Content("GIFT", 1, 0))}, "customs_without_value"),
        (
            CUSTOMS,
            {"contents": tuple(Content(f"SKU-{n}", 1, 1) for n in range(MOST_ITEMS + 1))},
            "customs_too_many_items",
        ),
        (CUSTOMS, {"contents": (Content("RING", 1, 250_001),)}, "customs_export_to_be_filed"),
        (CUSTOMS, {"currency": "EUR"}, "customs_value_not_in_usd"),
    ],
)
async def test_what_cannot_go_is_not_offered_and_refused_with_the_reason_and_nobody_is_asked(
    server: StandIn, customs: Customs | None, changes: dict[str, Any], reason: str
) -> None:
    carrier, parcel = connected(server, customs), replace(PARCEL, **changes)
    assert await carrier.quote(parcel) == NotServed(reason)
    assert await carrier.create("key", parcel, "") == ShipmentRefused("ord-1", reason)
    assert server.requests == []


async def test_what_easypost_finds_wrong_with_a_form_is_its_own_code(server: StandIn) -> None:
    weightless = EasyPostSettings(KEY, "a secret of the endpoint", 0.01, CUSTOMS)
    carrier = EasyPostCarrier(weightless, SHOP, 5.0, api=f"{server.url}/v2")
    assert await carrier.quote(PARCEL) == NotServed("SHIPMENT.CUSTOMS_INFO.INVALID")
