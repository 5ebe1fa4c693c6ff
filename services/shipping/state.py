"""What the events of a shipment add up to."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, assert_never

from core.outside_call import Intent
from services.shipping.events import (
    BookingLookedFor,
    CancelStarted,
    CancelWanted,
    CarrierFailed,
    CreateStarted,
    DeliveryException,
    OutForDelivery,
    ParcelDelivered,
    ParcelLookedFor,
    ParcelNeedsAttention,
    ParcelTracked,
    ReturnedToSender,
    ReturnReceived,
    ShipmentEvent,
    StrayBookingCancelled,
    StrayBookingFound,
    StrayCancelFailed,
)
from services.shipping.messages import (
    Address,
    ShipmentCancelled,
    ShipmentCreated,
    ShipmentRefused,
    TrackingStatus,
)
from services.shipping.offers import Offer

CANCELLATION_CAME_FIRST = "cancelled"

LOOKS = 14
"""How often the carrier is asked in vain before nobody expects news any more."""

_FINALITY = {"delivered": 1, "returned_to_sender": 2}
_STEPS = ("in_transit", "out_for_delivery", "exception")


type ShipmentStatus = Literal["none", "creating", "created", "refused", "cancelling", "cancelled"]


@dataclass(frozen=True, slots=True)
class Doubt:
    """A carrier that was given up and may have the parcel after all.

    looks: how often it had none since; failures: how often in a row it could not be asked.
    """

    carrier: str
    look_at: datetime
    looks: int = 0
    failures: int = 0


@dataclass(frozen=True, slots=True)
class Stray:
    """What such a carrier has. cancel_at: when the next try is due; None: it is cancelled."""

    carrier: str
    shipment_id: str
    tracking_number: str
    cancel_at: datetime | None
    failures: int = 0


@dataclass(frozen=True, slots=True)
class Shipment:
    """order_id: the parcel's key, its order's or its return's; return_of: the order of a return.
    address, pieces: the customer's, and how many articles are in the parcel: for the label.
    carrier, service: who was asked last, for what; offers: the carriers that have not refused, best first.
    passed_over: those of them that had nothing to say in this round.
    intent: of the call under way; none while `creating`: the carriers can do nothing for the moment.
    attempts: how many intents to create it there were.
    create_answer, cancel_answered: what the commands were answered; an answer once given stays.
    reason: why the shipment was refused.
    tracking, tracked_at, detail: the news that counts, by the carrier's time; news: the ids of all of it.
    awaits_news, looks: whether the parcel is under way, and how often the carrier was asked in vain.
    doubts, strays: by carrier; check_at: when the first of them is to be seen to.
    attention: what people were told of, by reason and carrier: each once.
    """

    status: ShipmentStatus = "none"
    order_id: str = ""
    return_of: str = ""
    shipment_id: str = ""
    tracking_number: str = ""
    address: Address | None = None
    pieces: int = 0
    carrier: str = ""
    service: str = ""
    offers: tuple[Offer, ...] = ()
    passed_over: tuple[str, ...] = ()
    intent: Intent | None = None
    attempts: int = 0
    cancel_wanted: bool = False
    create_answer: Literal["", "created", "refused"] = ""
    cancel_answered: bool = False
    reason: str = ""
    tracking: TrackingStatus | None = None
    tracked_at: datetime | None = None
    detail: str = ""
    news: tuple[str, ...] = ()
    awaits_news: bool = False
    looks: int = 0
    doubts: tuple[Doubt, ...] = ()
    strays: tuple[Stray, ...] = ()
    check_at: datetime | None = None
    attention: tuple[str, ...] = ()


def order_of(state: Shipment) -> str:
    return state.return_of or state.order_id


def is_decided(state: Shipment) -> bool:
    """Who has the parcel, or that nobody has: no carrier will be asked for it any more."""
    return state.status not in ("none", "creating")


def next_offer(state: Shipment) -> Offer | None:
    """Of a carrier that was not asked in this round, beside the one that is being asked."""
    asked = {state.carrier, *state.passed_over}
    return next((offer for offer in state.offers if offer.carrier not in asked), None)


def evolve(state: Shipment, event: ShipmentEvent) -> Shipment:  # noqa: PLR0911, PLR0912  (one an event)
    match event:
        case CreateStarted():
            return replace(
                state,
                status="creating",
                order_id=event.order_id,
                return_of=event.return_of,
                carrier=event.carrier,
                service=event.service,
                offers=event.offers or state.offers,
                address=event.address or state.address,
                pieces=event.pieces or state.pieces,
                passed_over=() if event.carrier in state.passed_over else state.passed_over,
                intent=Intent(event.attempt, event.deadline),
                attempts=event.attempt,
            )
        case CarrierFailed():
            state = replace(state, intent=None)
            if event.look_at is not None:
                state = _with_doubts(state, event.carrier, Doubt(event.carrier, event.look_at))
            if event.refused:
                left = tuple(offer for offer in state.offers if offer.carrier != event.carrier)
                return replace(state, offers=left)
            return replace(state, passed_over=(*state.passed_over, event.carrier))
        case ShipmentCreated():
            return _created(state, event)
        case ShipmentRefused():
            return replace(
                state,
                status="refused" if state.status == "creating" else state.status,
                intent=None,
                create_answer="refused",
                reason=event.reason,
            )
        case CancelWanted():
            return replace(state, cancel_wanted=True)
        case CancelStarted():
            return replace(
                state,
                status="cancelling",
                intent=Intent(event.attempt, event.deadline),
                awaits_news=False,
            )
        case ShipmentCancelled():
            return replace(
                state, status="cancelled", order_id=event.order_id, intent=None, cancel_answered=True
            )
        case ParcelTracked():
            return _tracked(state, event)
        case ParcelLookedFor():
            looks = state.looks + 1
            return replace(state, looks=looks, awaits_news=state.awaits_news and looks < LOOKS)
        case BookingLookedFor():
            return _looked_for(state, event)
        case StrayBookingFound():
            found = Stray(event.carrier, event.shipment_id, event.tracking_number, event.cancel_at)
            return _with_strays(_with_doubts(state, event.carrier), found)
        case StrayCancelFailed() | StrayBookingCancelled():
            return _stray_tried(state, event)
        case ParcelNeedsAttention():
            return replace(state, attention=(*state.attention, f"{event.reason}:{event.carrier}"))
        case (
            OutForDelivery() | ParcelDelivered() | DeliveryException() | ReturnedToSender() | ReturnReceived()
        ):
            return state
        case _:
            assert_never(event)


def _created(state: Shipment, event: ShipmentCreated) -> Shipment:
    """A shipment that is to be cancelled at once is answered as refused: nobody may go on with it."""
    state = replace(
        state,
        status="created",
        order_id=event.order_id,
        shipment_id=event.shipment_id,
        tracking_number=event.tracking_number,
        carrier=event.carrier or state.carrier,
        intent=None,
        awaits_news=True,
    )
    if state.create_answer:
        return state
    if state.cancel_wanted or state.cancel_answered:
        return replace(state, create_answer="refused", reason=CANCELLATION_CAME_FIRST)
    return replace(state, create_answer="created")


def _looked_for(state: Shipment, event: BookingLookedFor) -> Shipment:
    if event.look_at is None:
        return _with_doubts(state, event.carrier)
    new = Doubt(event.carrier, event.look_at, looks=-1)
    doubt = next((each for each in state.doubts if each.carrier == event.carrier), new)
    looks = doubt.looks + 1 if event.answered else doubt.looks
    failures = 0 if event.answered else doubt.failures + 1
    return _with_doubts(state, event.carrier, Doubt(event.carrier, event.look_at, looks, failures))


def _stray_tried(state: Shipment, event: StrayCancelFailed | StrayBookingCancelled) -> Shipment:
    for stray in state.strays:
        if (stray.carrier, stray.shipment_id) == (event.carrier, event.shipment_id):
            if isinstance(event, StrayBookingCancelled):
                return _with_strays(state, replace(stray, cancel_at=None))
            failures = stray.failures + 1
            return _with_strays(state, replace(stray, cancel_at=event.cancel_at, failures=failures))
    return state


def _with_doubts(state: Shipment, carrier: str, *now: Doubt) -> Shipment:
    """`now` in place of what was in doubt of this carrier."""
    others = tuple(each for each in state.doubts if each.carrier != carrier)
    return _due(replace(state, doubts=(*others, *now)))


def _with_strays(state: Shipment, stray: Stray) -> Shipment:
    key = (stray.carrier, stray.shipment_id)
    others = tuple(each for each in state.strays if (each.carrier, each.shipment_id) != key)
    return _due(replace(state, strays=(*others, stray)))


def _due(state: Shipment) -> Shipment:
    due = [each.look_at for each in state.doubts]
    due += [each.cancel_at for each in state.strays if each.cancel_at is not None]
    return replace(state, check_at=min(due, default=None))


def _tracked(state: Shipment, event: ParcelTracked) -> Shipment:
    """Of all news that which is the most final counts, then the latest: in whatever order they come, the end
    is the same. A parcel that went back was not delivered, whatever was said before or is said after: what is
    delivered then is delivered to the sender.
    """
    state = replace(state, news=(*state.news, event.event_id), looks=0)
    if state.tracking is not None and state.tracked_at is not None:
        known = _order(state.tracking, state.tracked_at, state.detail)
        if _order(event.status, event.at, event.detail) <= known:
            return state
    return replace(
        state,
        tracking=event.status,
        tracked_at=event.at,
        detail=event.detail,
        awaits_news=state.status == "created" and event.status not in _FINALITY,
    )


def _order(status: TrackingStatus, at: datetime, detail: str) -> tuple[int, datetime, int, str]:
    return _FINALITY.get(status, 0), at, _STEPS.index(status) if status in _STEPS else 0, detail
