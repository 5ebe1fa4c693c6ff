"""A shipment as it is shown."""

from core.decider import RecordedEvent, Rejection, fold, history
from core.documents import Documents
from core.json import Json, JsonObject
from services.shipping.decider import SHIPMENTS
from services.shipping.events import ParcelTracked
from services.shipping.state import Stray, order_of


class ShipmentNotFound(Rejection):
    def __init__(self) -> None:
        super().__init__("shipment_not_found", "there is no shipment of this order or return")


async def read_shipment(documents: Documents, parcel_id: str) -> JsonObject:
    """By the order's id or the return's. One query. Raises ShipmentNotFound.

    `tracking` is the status that counts, `news` all that the carrier said, in the order in which it came.
    `in_doubt`, `strays`: carriers that may have the parcel too, and what they had (strays.py).
    """
    events = await history(documents, SHIPMENTS, parcel_id)
    if not events:
        raise ShipmentNotFound
    state = fold(SHIPMENTS, SHIPMENTS.initial, [event.data for event in events])
    news: list[Json] = [_news(event, event.data) for event in events if isinstance(event.data, ParcelTracked)]
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


def _stray(stray: Stray) -> Json:
    return {
        "carrier": stray.carrier,
        "shipment_id": stray.shipment_id,
        "tracking_number": stray.tracking_number,
        "cancelled": stray.cancel_at is None,
    }


def _news(event: RecordedEvent, tracked: ParcelTracked) -> Json:
    return {
        "status": tracked.status,
        "at": tracked.at.isoformat(),
        "detail": tracked.detail,
        "recorded_at": event.time.isoformat(),
    }
