"""A shipment as it is shown."""

from typing import Literal, TypedDict

from core.decider import RecordedEvent, Rejection, fold, history
from core.documents import Documents
from core.json import Timestamp
from services.shipping.decider import SHIPMENTS
from services.shipping.events import ParcelTracked
from services.shipping.messages import TrackingStatus
from services.shipping.state import ShipmentStatus, Stray, order_of


class NewsView(TypedDict):
    """`at` as the carrier says."""

    status: TrackingStatus
    at: Timestamp
    detail: str
    recorded_at: Timestamp


class StrayView(TypedDict):
    carrier: str
    shipment_id: str
    tracking_number: str
    cancelled: bool


class ShipmentView(TypedDict):
    """`tracking` is the status that counts, `news` all that the carrier said, in the order in which it came.

    in_doubt, strays: carriers that may have the parcel too, and what they had (strays.py).
    """

    id: str
    order_id: str
    return_id: str
    status: ShipmentStatus
    carrier: str
    service: str
    shipment_id: str
    tracking_number: str
    reason: str
    tracking: TrackingStatus | Literal[""]
    tracked_at: Timestamp | None
    news: list[NewsView]
    in_doubt: list[str]
    strays: list[StrayView]
    version: int


class ShipmentNotFound(Rejection):
    def __init__(self) -> None:
        super().__init__("shipment_not_found", "there is no shipment of this order or return")


async def read_shipment(documents: Documents, parcel_id: str) -> ShipmentView:
    """By the order's id or the return's. One query. Raises ShipmentNotFound."""
    events = await history(documents, SHIPMENTS, parcel_id)
    if not events:
        raise ShipmentNotFound
    state = fold(SHIPMENTS, SHIPMENTS.initial, [event.data for event in events])
    news = [_news(event, event.data) for event in events if isinstance(event.data, ParcelTracked)]
    return {
        "id": parcel_id,
        "order_id": order_of(state) or parcel_id,
        "return_id": parcel_id if state.return_of else "",
        "status": state.status,
        "carrier": state.carrier,
        "service": state.service,
        "shipment_id": state.shipment_id,
        "tracking_number": state.tracking_number,
        "reason": state.reason,
        "tracking": state.tracking or "",
        "tracked_at": state.tracked_at.isoformat() if state.tracked_at else None,
        "news": news,
        "in_doubt": [doubt.carrier for doubt in state.doubts],
        "strays": [_stray(each) for each in state.strays],
        "version": len(events),
    }


def _stray(stray: Stray) -> StrayView:
    return {
        "carrier": stray.carrier,
        "shipment_id": stray.shipment_id,
        "tracking_number": stray.tracking_number,
        "cancelled": stray.cancel_at is None,
    }


def _news(event: RecordedEvent, tracked: ParcelTracked) -> NewsView:
    return {
        "status": tracked.status,
        "at": tracked.at.isoformat(),
        "detail": tracked.detail,
        "recorded_at": event.time.isoformat(),
    }
