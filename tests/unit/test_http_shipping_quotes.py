"""Prices of carriers over HTTP."""

import pytest

from services.shipping.offers import NotServed
from tests.fakes import START
from tests.unit.http_support import Api, broken_rules, content

ADDRESS = {"name": "Ada", "street": "1 Road", "city": "London", "postal_code": "N1 1AA", "country": "GB"}
PARCEL = {
    "currency": "GBP",
    "lines": [
        {"sku": "CUP", "quantity": 2, "unit_price": 250},
        {"sku": "CUP", "quantity": 1, "unit_price": 200},
    ],
    "shipping_address": ADDRESS,
}
POST = {"carrier": "sandbox-post", "service": "parcel", "price": 510, "days": 2, "currency": "GBP"}
EXPRESS = {"carrier": "sandbox-express", "service": "parcel", "price": 1170, "days": 1, "currency": "GBP"}


async def quoted(api: Api, **changes: object):
    return content(await api.call("quote_parcel", PARCEL | changes))


async def test_the_carriers_offers_are_in_the_order_in_which_they_would_be_asked_and_nothing_is_ordered():
    assert START.hour < 12  # the cut-off of the express
    api = Api()
    assert await quoted(api) == {"offers": [POST, EXPRESS], "not_served": ""}
    assert await quoted(api, delivery="express") == {"offers": [EXPRESS, POST], "not_served": ""}
    assert api.documents.items("sandbox") == api.documents.items("shipments") == []


async def test_a_destination_that_nobody_serves_has_no_offer_and_says_why():
    api = Api()
    nowhere = {"shipping_address": ADDRESS | {"country": "AQ"}}
    assert await quoted(api, **nowhere) == {"offers": [], "not_served": "not_served"}
    asked = []

    async def not_served(parcel):
        asked.append(parcel)
        return NotServed("customs_not_set_up")

    api.carriers.named("sandbox-post").quote = not_served
    assert await quoted(api, **nowhere) == {"offers": [], "not_served": "customs_not_set_up"}
    [parcel] = asked
    assert [(each.sku, each.quantity, each.value) for each in parcel.contents] == [("CUP", 3, 700)]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"currency": "XXX"}, "currency"),
        ({"lines": []}, "lines"),
        ({"shipping_address": ADDRESS | {"country": "gb"}}, "shipping_address.country"),
        ({"delivery": "By Hand"}, "delivery"),
        ({"customer_id": "ada"}, "customer_id"),
    ],
)
async def test_what_is_no_parcel_is_refused_with_the_field(changes, field):
    response = await Api().call("quote_parcel", PARCEL | changes)
    assert (response.status_code, list(broken_rules(response))) == (400, [field])
