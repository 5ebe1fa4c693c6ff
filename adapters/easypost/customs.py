"""The customs form of a parcel that goes abroad: https://docs.easypost.com/guides/customs-guide

What is in it comes from the order's lines: quantity, value, and the SKU as `code`. The catalogue knows
neither names nor weights, so description, origin and tariff number are the shop's, for all its goods.
"""

from dataclasses import dataclass
from typing import Any, Final

from adapters.easypost.amounts import units
from services.shipping.carrier import Parcel
from services.shipping.messages import Content
from services.shipping.offers import NotServed

MOST_ITEMS: Final = 100
"""UPS takes no more, says EasyPost; whose account it will be is not known yet."""

LOW_VALUE: Final = 2500
"""US dollars. Exports from the United States above it must be filed with its customs (15 CFR 30.37(a))."""


@dataclass(frozen=True, slots=True)
class Customs:
    """What the shop declares. `signer` certifies it; `origin` is an ISO 3166-1 alpha-2 code, the shop's own
    country when it is empty; `tariff`, of the harmonized system, may be empty.
    """

    signer: str
    description: str
    origin: str = ""
    tariff: str = ""


def customs_info(
    customs: Customs | None, parcel: Parcel, shop_country: str, ounces_per_piece: float
) -> dict[str, Any] | NotServed:
    """As EasyPost takes it, or why there can be none."""
    if customs is None:
        return NotServed("customs_not_set_up")
    if not parcel.contents:
        return NotServed("customs_contents_unknown")  # of a command from before contents were sent
    if len(parcel.contents) > MOST_ITEMS:
        return NotServed("customs_too_many_items")
    if any(content.value <= 0 for content in parcel.contents):
        return NotServed("customs_without_value")
    origin = customs.origin or shop_country
    form: dict[str, Any] = {
        "contents_type": "returned_goods" if parcel.return_of else "merchandise",
        "contents_explanation": customs.description,
        "customs_certify": True,
        "customs_signer": customs.signer,
        "non_delivery_option": "return",
        "restriction_type": "none",
        "customs_items": [
            _item(customs, origin, content, parcel.currency, ounces_per_piece) for content in parcel.contents
        ],
    }
    countries = (parcel.address.country, shop_country)
    sender, recipient = countries if parcel.return_of else countries[::-1]
    if sender == "US":
        exemption = _exemption(parcel, recipient)
        if isinstance(exemption, NotServed):
            return exemption
        form["eel_pfc"] = exemption
    return form


def _item(
    customs: Customs, origin: str, content: Content, currency: str, ounces_per_piece: float
) -> dict[str, Any]:
    """Value and weight are those of all its pieces."""
    item: dict[str, Any] = {
        "description": customs.description,
        "quantity": content.quantity,
        "value": float(units(content.value, currency)),
        "currency": currency,
        "weight": round(ounces_per_piece * content.quantity, 1),
        "origin_country": origin,
        "code": content.sku,
    }
    return item | {"hs_tariff_number": customs.tariff} if customs.tariff else item


def _exemption(parcel: Parcel, recipient: str) -> str | NotServed:
    """From filing an export from the United States. What must be filed is for people."""
    if recipient == "CA":
        return "NOEEI 30.36"
    if parcel.currency != "USD":
        return NotServed("customs_value_not_in_usd")
    if sum(units(content.value, "USD") for content in parcel.contents) > LOW_VALUE:
        return NotServed("customs_export_to_be_filed")
    return "NOEEI 30.37(a)"
