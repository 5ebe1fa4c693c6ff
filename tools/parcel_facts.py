"""What the events of a parcel say of its bookings, folded by other code than the app's own, beside what the
sandbox carriers have.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tools.evidence import Evidence, Item


@dataclass(slots=True)
class ParcelFacts:
    """`carrier` has the parcel, as the app sees it; empty: none has. `unsettled`: those that may have it too,
    which the app is yet to look up, or to have cancelled there.
    """

    carrier: str = ""
    unsettled: set[str] = field(default_factory=set)


def parcel_facts(events: Iterable[Item]) -> ParcelFacts:
    """`events` are those of one stream, in the order of their versions."""
    facts = ParcelFacts()
    for event in events:
        data: dict[str, Any] = event["data"]
        match event["type"].removeprefix("shipping."):
            case "created":
                facts.carrier = data.get("carrier", "")
            case "cancel_started" | "cancelled":
                facts.carrier = ""
            case "carrier_failed" if data.get("look_at"):
                facts.unsettled.add(data["carrier"])
            case "booking_looked_for" if data["look_at"] is None:
                facts.unsettled.discard(data["carrier"])
            case "stray_booking_found":
                facts.unsettled.add(data["carrier"])
            case "stray_booking_cancelled":
                facts.unsettled.discard(data["carrier"])
    return facts


def live_bookings(evidence: Evidence) -> Counter[str]:
    """By order or return, as the sandbox carriers know it; without what the app is yet to see to."""
    parcels = {id: parcel_facts(events) for id, events in evidence.streams("shipments").items()}
    live: Counter[str] = Counter()
    for booking in _bookings(evidence):
        facts = parcels.get(booking["order_id"], ParcelFacts())
        if booking.get("carrier") == facts.carrier or booking.get("carrier") not in facts.unsettled:
            live[booking["order_id"]] += 1
    return live


def booking_violations(evidence: Evidence) -> Iterator[tuple[str, str]]:
    """More than one live booking of a parcel, or one at a carrier that the app does not count on."""
    for id, number in sorted(live_bookings(evidence).items()):
        if number > 1:
            yield id, f"has {number} live bookings"
    at: dict[str, set[str]] = {}
    for booking in _bookings(evidence):
        at.setdefault(booking["order_id"], set()).add(booking.get("carrier", ""))
    for id, events in sorted(evidence.streams("shipments").items()):
        facts = parcel_facts(events)
        if facts.carrier and facts.carrier not in at.get(id, set()):
            yield id, f"is booked at {facts.carrier}, which has no live booking of it"


def _bookings(evidence: Evidence) -> Iterator[Item]:
    return (each for each in evidence.items("sandbox", "shipment") if each["status"] == "created")
