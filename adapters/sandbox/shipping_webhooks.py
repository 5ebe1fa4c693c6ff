"""The webhooks of the sandbox carriers, for who wants to send one over HTTP.

    Sandbox-Signature: t=<epoch seconds>,v1=<HMAC-SHA256, hex, of "<t>.<body>" with the secret "sandbox">

    {"id": "evt-1", "type": "parcel.delivered", "parcel_id": "ord-1", "shipment_id": "shp-ord-1",
     "at": "2027-01-15T09:30:00Z", "detail": ""}

`type` is `parcel.` and a tracking status; others are ignored. `parcel_id` is the order's id or the return's,
and may be left out; `detail` too.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import orjson

from adapters.sandbox.carrier import WEBHOOKS
from core.contracts import InvalidContract
from core.signatures import verify
from services.shipping.carrier import Notice, Webhooks
from services.shipping.messages import TrackingStatus
from services.shipping.tracking import News

SECRET: Final = "sandbox"  # noqa: S105  (it protects nothing: the sandbox has no parcels)

_NEWS: Mapping[str, TrackingStatus] = {
    "parcel.in_transit": "in_transit",
    "parcel.out_for_delivery": "out_for_delivery",
    "parcel.delivered": "delivered",
    "parcel.exception": "exception",
    "parcel.returned_to_sender": "returned_to_sender",
}


@dataclass(frozen=True, slots=True)
class SandboxShippingWebhooks(Webhooks):
    carrier: str = WEBHOOKS
    header: str = "Sandbox-Signature"

    def read(self, body: bytes, headers: Mapping[str, str], path: str, now: datetime) -> Notice | None:
        verify(SECRET, headers.get(self.header.lower(), ""), body, now)
        try:
            event = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise InvalidContract("body: must be JSON") from error
        if not isinstance(event, dict):
            raise InvalidContract("body: must be a JSON object")
        for field in ("id", "type", "shipment_id", "at"):
            if not isinstance(event.get(field), str) or not event[field]:
                raise InvalidContract(f"{field}: must be a non-empty string")
        for field in ("parcel_id", "detail"):
            if not isinstance(event.setdefault(field, ""), str):
                raise InvalidContract(f"{field}: must be a string")
        status = _NEWS.get(event["type"])
        if status is None:
            return None
        news = News(event["id"], status, _time(event["at"]), event["detail"])
        return Notice(event["shipment_id"], news, event["parcel_id"])


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidContract("at: must be a time as in RFC 3339") from error
    if time.tzinfo is None:
        raise InvalidContract("at: must have an offset")
    return time
