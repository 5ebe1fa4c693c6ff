"""The rules of bookings that nobody counts on: of a carrier that was given up, and took the parcel after all.

A carrier that did not answer is looked up before the next is asked, and had nothing then. Its request may
still be on the way. So it is looked up again, after LOOKS_S, once it is decided who has the parcel; what it
has beside that is cancelled there, tried until it succeeds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from services.shipping.events import (
    BookingLookedFor,
    ParcelNeedsAttention,
    ShipmentEvent,
    StrayBookingCancelled,
    StrayBookingFound,
    StrayCancelFailed,
)
from services.shipping.messages import ShipmentCreated, TrackingStatus
from services.shipping.state import Doubt, Shipment, Stray, is_decided, order_of

LOOKS_S: Final = (300.0, 3600.0, 6 * 3600.0, 86400.0)
"""How long after being given up, and then after each look, a carrier is looked up: no request is slower."""

FIRST_PAUSE_S: Final = 300.0
LONGEST_PAUSE_S: Final = 86400.0
"""Between tries that fail; twice as long each time."""

PATIENCE: Final = 5
"""After so many failures in a row, two and a half hours, people are told. The tries go on."""


@dataclass(frozen=True, slots=True)
class RecordLook:
    """What a carrier in doubt has of the parcel. None: nothing, or nothing but a refusal."""

    carrier: str
    found: ShipmentCreated | None


@dataclass(frozen=True, slots=True)
class RecordNoLook:
    """A carrier in doubt could not be asked."""

    carrier: str


@dataclass(frozen=True, slots=True)
class RecordStrayCancelled:
    carrier: str
    shipment_id: str


@dataclass(frozen=True, slots=True)
class RecordStrayKept:
    """The carrier has not cancelled it: it does not answer, or refuses."""

    carrier: str
    shipment_id: str


type StrayCommand = RecordLook | RecordNoLook | RecordStrayCancelled | RecordStrayKept


def first_look(now: datetime) -> datetime:
    return now + timedelta(seconds=LOOKS_S[0])


def decide_stray(state: Shipment, command: StrayCommand, now: datetime) -> Sequence[ShipmentEvent]:
    match command:
        case RecordLook():
            return _look(state, command, now)
        case RecordNoLook():
            return _no_look(state, command, now)
        case RecordStrayCancelled(carrier, shipment_id):
            if _to_cancel(state, carrier, shipment_id) is None:
                return []
            return [StrayBookingCancelled(state.order_id, carrier, shipment_id)]
        case RecordStrayKept(carrier, shipment_id):
            return _kept(state, carrier, shipment_id, now)


def found_late(state: Shipment, found: ShipmentCreated, now: datetime) -> Sequence[ShipmentEvent]:
    """What a carrier has whose attempt was given up. Nothing is to be done about it while carriers are still
    asked, who may be the same again and then count on it: it is looked up later.
    """
    carrier = found.carrier or state.carrier
    if is_known(state, found.shipment_id, carrier):
        return []
    if not is_decided(state):
        if _doubt(state, carrier) is not None:
            return []
        return [BookingLookedFor(state.order_id, carrier, answered=True, look_at=first_look(now))]
    return [StrayBookingFound(state.order_id, carrier, found.shipment_id, found.tracking_number, now)]


def is_known(state: Shipment, shipment_id: str, carrier: str = "") -> bool:
    """As the parcel's own, or as a stray. `carrier` is empty when it is not known."""
    known = [(state.carrier, state.shipment_id), *((each.carrier, each.shipment_id) for each in state.strays)]
    return any(shipment_id == id != "" and carrier in ("", name) for name, id in known)


def stray(state: Shipment, shipment_id: str) -> Stray | None:
    if shipment_id == state.shipment_id:
        return None
    return next((each for each in state.strays if each.shipment_id == shipment_id), None)


def record_stray_news(state: Shipment, found: Stray, status: TrackingStatus) -> Sequence[ShipmentEvent]:
    """Of the order nothing is told by it. A carrier that moves it has another parcel in its hands, or ours
    with the wrong label on it; an exception may be no more than the cancellation.
    """
    if status == "exception":
        return []
    return attention(state, "stray_moves", found.carrier, found.shipment_id, found.tracking_number)


def attention(
    state: Shipment, reason: str, carrier: str, shipment_id: str = "", tracking_number: str = ""
) -> Sequence[ParcelNeedsAttention]:
    """Told once for each reason and carrier."""
    if f"{reason}:{carrier}" in state.attention:
        return []
    return_id = state.order_id if state.return_of else ""
    told = ParcelNeedsAttention(order_of(state), return_id, carrier, shipment_id, tracking_number, reason)
    return [told]


def _look(state: Shipment, command: RecordLook, now: datetime) -> Sequence[ShipmentEvent]:
    doubt = _doubt(state, command.carrier)
    if doubt is None or not is_decided(state):
        return []
    if command.found is None:
        done = doubt.looks + 1
        again = now + timedelta(seconds=LOOKS_S[done]) if done < len(LOOKS_S) else None
        return [BookingLookedFor(state.order_id, doubt.carrier, answered=True, look_at=again)]
    strayed = found_late(state, command.found, now)
    if strayed:
        return strayed
    return [BookingLookedFor(state.order_id, doubt.carrier, answered=True, look_at=None)]


def _no_look(state: Shipment, command: RecordNoLook, now: datetime) -> Sequence[ShipmentEvent]:
    doubt = _doubt(state, command.carrier)
    if doubt is None:
        return []
    again = _after_failures(doubt.failures, now)
    looked = BookingLookedFor(state.order_id, doubt.carrier, answered=False, look_at=again)
    if doubt.failures + 1 < PATIENCE:
        return [looked]
    return [looked, *attention(state, "carrier_not_reached", doubt.carrier)]


def _kept(state: Shipment, carrier: str, shipment_id: str, now: datetime) -> Sequence[ShipmentEvent]:
    kept = _to_cancel(state, carrier, shipment_id)
    if kept is None:
        return []
    failed = StrayCancelFailed(state.order_id, carrier, shipment_id, _after_failures(kept.failures, now))
    if kept.failures + 1 < PATIENCE:
        return [failed]
    return [failed, *attention(state, "stray_not_cancelled", carrier, shipment_id, kept.tracking_number)]


def _doubt(state: Shipment, carrier: str) -> Doubt | None:
    return next((each for each in state.doubts if each.carrier == carrier), None)


def _to_cancel(state: Shipment, carrier: str, shipment_id: str) -> Stray | None:
    for each in state.strays:
        if (each.carrier, each.shipment_id) == (carrier, shipment_id) and each.cancel_at is not None:
            return each
    return None


def _after_failures(before: int, now: datetime) -> datetime:
    return now + timedelta(seconds=min(FIRST_PAUSE_S * 2.0**before, LONGEST_PAUSE_S))
