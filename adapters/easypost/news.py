"""What EasyPost says of a parcel: https://docs.easypost.com/docs/trackers"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from services.shipping.messages import TrackingStatus
from services.shipping.tracking import News

_STATUSES: Final[Mapping[str, TrackingStatus]] = {
    "in_transit": "in_transit",
    "out_for_delivery": "out_for_delivery",
    "delivered": "delivered",
    "available_for_pickup": "exception",
    "return_to_sender": "returned_to_sender",
    "failure": "exception",
    "cancelled": "exception",
    "error": "exception",
}
"""`pre_transit` and `unknown` are no news."""

MAX_DETAIL: Final = 200


def news_of(details: Sequence[Mapping[str, Any]]) -> list[News]:
    """Of a tracker's details, the oldest first. The same detail is the same news, from whatever source.

    Raises KeyError, TypeError, ValueError for what is none.
    """
    found = []
    for detail in details:
        status = _STATUSES.get(str(detail["status"]))
        if status is None:
            continue
        at = datetime.fromisoformat(detail["datetime"])
        if at.tzinfo is None:
            raise ValueError("datetime: must have an offset")
        text = "" if status in ("in_transit", "delivered") else str(detail.get("message") or detail["status"])
        found.append(
            News(f"easypost-{detail['status']}-{int(at.timestamp())}", status, at, text[:MAX_DETAIL])
        )
    return sorted(found, key=lambda news: news.at)
