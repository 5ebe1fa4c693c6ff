"""The rules of news of a parcel: in any order, more than once, too late."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.shipping.events import (
    DeliveryException,
    OutForDelivery,
    ParcelDelivered,
    ParcelLookedFor,
    ParcelTracked,
    Published,
    ReturnedToSender,
    ReturnReceived,
    ShipmentEvent,
)
from services.shipping.messages import TrackingStatus
from services.shipping.state import Shipment, evolve, order_of
from services.shipping.strays import attention, record_stray_news, stray

NEWS_KEPT = 100
"""Of one parcel. Beyond it only what is final is recorded: a stream must not grow for ever."""

NO_NEWS = "no_news"


@dataclass(frozen=True, slots=True)
class News:
    """What a carrier says. `event_id` is the same whenever the same is said; `at` is the carrier's time."""

    event_id: str
    status: TrackingStatus
    at: datetime
    detail: str = ""


@dataclass(frozen=True, slots=True)
class RecordNews:
    """`shipment_id` is the carrier's: of one that is neither the parcel's own nor a stray (strays.py),
    nothing is recorded.
    """

    shipment_id: str
    news: News


@dataclass(frozen=True, slots=True)
class RecordSilence:
    """The carrier was asked and had nothing new."""


def record_news(state: Shipment, command: RecordNews) -> Sequence[ShipmentEvent]:
    """The record and, when the parcel's status changes by it, what is told."""
    news = command.news
    strayed = stray(state, command.shipment_id)
    if strayed is not None:
        return record_stray_news(state, strayed, news.status)
    if command.shipment_id != state.shipment_id or not state.shipment_id or news.event_id in state.news:
        return []
    if len(state.news) >= NEWS_KEPT and news.status not in ("delivered", "returned_to_sender"):
        return []
    tracked = ParcelTracked(state.order_id, news.event_id, news.status, news.at, news.detail)
    after = evolve(state, tracked)
    if after.tracking == state.tracking:
        return [tracked]
    told = _told(after, news)
    return [tracked, *([] if told is None else [told]), *_for_people(after, news)]


def record_silence(state: Shipment, now: datetime) -> Sequence[ShipmentEvent]:
    if not state.awaits_news:
        return []
    looked = ParcelLookedFor(state.order_id)
    if evolve(state, looked).awaits_news:
        return [looked]
    return [looked, _exception(state, now, NO_NEWS), *_of_own(state, NO_NEWS)]


def _for_people(state: Shipment, news: News) -> Sequence[ShipmentEvent]:
    """A cancelled parcel that moves is the customer's own doing when it is a return's: it is told as received
    (docs/returns.md).
    """
    if news.status == "returned_to_sender":
        return _of_own(state, "returned_to_sender")
    if state.status == "created" or state.return_of or news.status == "exception":
        return []
    return _of_own(state, "cancelled_moves")


def _of_own(state: Shipment, reason: str) -> Sequence[ShipmentEvent]:
    return attention(state, reason, state.carrier, state.shipment_id, state.tracking_number)


def _told(state: Shipment, news: News) -> Published | None:  # noqa: PLR0911  (one a status)
    """Of a parcel that is cancelled the customer expects nothing, and an exception may be no more than the
    cancellation; what arrives is told.
    """
    order_id, shipment_id, number = order_of(state), state.shipment_id, state.tracking_number
    if state.status != "created" and news.status in ("exception", "out_for_delivery"):
        return None
    match news.status:
        case "in_transit":
            return None
        case "exception":
            return _exception(state, news.at, news.detail)
        case "out_for_delivery":
            return None if state.return_of else OutForDelivery(order_id, shipment_id, number, news.at)
        case "delivered" if state.return_of:
            return ReturnReceived(order_id, state.order_id, shipment_id, news.at)
        case "delivered":
            return ParcelDelivered(order_id, shipment_id, number, news.at)
        case "returned_to_sender" if state.return_of:
            return _exception(state, news.at, "returned_to_sender")
        case "returned_to_sender":
            return ReturnedToSender(order_id, shipment_id, number, news.at, news.detail)


def _exception(state: Shipment, at: datetime, detail: str) -> DeliveryException:
    return_id = state.order_id if state.return_of else ""
    return DeliveryException(order_of(state), return_id, state.shipment_id, state.tracking_number, at, detail)
