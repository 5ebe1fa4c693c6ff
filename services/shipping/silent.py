"""Finds the parcels under way of which nothing was heard for too long, and has the carrier asked."""

from datetime import datetime
from typing import cast

from core.bus import Bus
from core.contracts import contract_name
from core.documents import Documents, Query, Where
from core.envelope import Envelope, command_id, to_message, wrap
from core.json import JsonObject
from core.telemetry import child_traceparent, root_traceparent
from services.shipping.decider import SHIPMENTS
from services.shipping.messages import CheckParcel
from services.shipping.tracking_handlers import check_part

QUEUE = "shipping"
PAGE = 100
PAGES_PER_RUN = 20


async def check_silent_parcels(documents: Documents, bus: Bus, before: datetime, now: datetime) -> int:
    """Answers how many carriers' answers were asked for: of the parcels whose stream last changed before that
    moment. One query when there is none; what is left after PAGES_PER_RUN pages is the next run's.
    """
    where = (
        Where("kind", "=", "snapshot"),
        Where("updated_at", "<", before.isoformat()),
        Where("state.awaits_news", "=", True),
    )
    asked, continuation = 0, None
    for _ in range(PAGES_PER_RUN):
        page = await documents.query(SHIPMENTS.container, Query(where, limit=PAGE, continuation=continuation))
        if page.items:
            await bus.send(QUEUE, [to_message(_check(item, now)) for item in page.items])
        asked += len(page.items)
        continuation = page.continuation
        if continuation is None:
            break
    return asked


def _check(item: JsonObject, now: datetime) -> Envelope:
    check = CheckParcel(cast(str, item["stream"]), cast(int, item["version"]))
    parcel = check.parcel_id
    id = command_id(parcel, contract_name(CheckParcel), check_part(check))
    return wrap(
        check,
        id=id,
        source="timers.shipping",
        subject=parcel,
        time=now,
        correlation_id=parcel,
        causation_id=f"{parcel}:{SHIPMENTS.container}:{check.version}",
        traceparent=child_traceparent(root_traceparent(parcel), id),
    )
