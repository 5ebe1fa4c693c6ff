"""From a webhook to the queue: what a carrier tells becomes a command of shipping."""

from datetime import datetime

from core.contracts import contract_name
from core.documents import Documents, Query, Where
from core.envelope import Envelope, command_id, wrap
from core.telemetry import child_traceparent, root_traceparent
from services.shipping.carrier import Notice
from services.shipping.decider import SHIPMENTS
from services.shipping.events import StrayBookingFound
from services.shipping.messages import TrackParcel


def track_parcel(notice: Notice, parcel_id: str, carrier: str, now: datetime) -> Envelope:
    """The same news are the same command, however often they are delivered."""
    news = notice.news
    id = command_id(parcel_id, contract_name(TrackParcel), news.event_id)
    return wrap(
        TrackParcel(parcel_id, notice.shipment_id, news.event_id, news.status, news.at, news.detail),
        id=id,
        source=f"webhooks.{carrier}",
        subject=parcel_id,
        time=now,
        correlation_id=parcel_id,
        causation_id=news.event_id,
        traceparent=child_traceparent(root_traceparent(parcel_id), id),
    )


async def find_parcel(documents: Documents, shipment_id: str) -> str | None:
    """By the carrier's id, for a carrier whose webhooks do not name the parcel. A query, two for a stray."""
    own = (Where("kind", "=", "snapshot"), Where("state.shipment_id", "=", shipment_id))
    stray = (
        Where("type", "=", contract_name(StrayBookingFound)),
        Where("data.shipment_id", "=", shipment_id),
    )
    for where in (own, stray):
        page = await documents.query(SHIPMENTS.container, Query(where, limit=1))
        if page.items:
            return str(page.items[0]["stream"])
    return None
