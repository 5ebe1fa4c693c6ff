"""Which carrier is asked first, and which next: by price, speed and destination."""

from collections.abc import Sequence
from dataclasses import dataclass

EXPRESS = "express"
ECONOMY = "economy"

STANDARD_DAYS = 7
"""A customer who chose nothing is not to wait longer for a cheaper carrier."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What a carrier would do for a parcel.

    service: the carrier's name of it; empty: the carrier's own choice, of one that was not asked for prices.
    price: minor units of `currency`; None: not known.
    days: from now to the delivery, the cut-off included; None: not known.
    """

    carrier: str
    service: str
    price: int | None
    days: int | None
    currency: str = ""


@dataclass(frozen=True, slots=True)
class NotServed:
    """Why a carrier makes no offer for a parcel: a code of its own."""

    reason: str


def rank(offers: Sequence[Offer], delivery: str, currency: str = "") -> tuple[Offer, ...]:
    """The best offer of each carrier, the best of all first. A carrier that does not serve the destination
    makes none.

    `express`: the fastest, then the cheapest. `economy`: the cheapest, then the fastest. Anything else: the
    cheapest of those that deliver within STANDARD_DAYS, then the others. What is not known comes last.
    Prices are compared within a currency only: those in `currency`, the order's, come first. The order does
    not depend on that of `offers`.
    """
    priced = {offer.currency for offer in offers if offer.price is not None}
    compared = currency if currency in priced else min(priced, default="")
    best: dict[str, Offer] = {}
    for offer in sorted(offers, key=lambda offer: _order(offer, delivery, compared)):
        best.setdefault(offer.carrier, offer)
    return tuple(best.values())


def _order(offer: Offer, delivery: str, currency: str) -> tuple[bool, str, bool, float, float, str, str]:
    unknown = offer.price is None or offer.days is None
    price, days = offer.price or 0, offer.days or 0
    late = delivery not in (EXPRESS, ECONOMY) and days > STANDARD_DAYS
    first, second = (days, price) if delivery == EXPRESS or late else (price, days)
    other = "" if unknown or offer.currency == currency else offer.currency
    return unknown, other, late, first, second, offer.carrier, offer.service
