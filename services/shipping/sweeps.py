"""Finds the parcels of which a carrier is to be asked: those that nothing was heard of for too long, and
those that a carrier may have which was given up.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import cast

from core.bus import Bus
from core.contracts import contract_name
from core.documents import Documents, Query, Where, each_page
from core.envelope import Envelope, command_id, to_message, wrap
from core.json import JsonObject
from core.telemetry import child_traceparent, root_traceparent
from services.shipping.decider import SHIPMENTS
from services.shipping.messages import CheckBookings, CheckParcel
from services.shipping.tracking_handlers import check_part

QUEUE = "shipping"
PAGE = 100
PAGES_PER_RUN = 20


async def check_silent_parcels(documents: Documents, bus: Bus, before: datetime, now: datetime) -> int:
    """Answers how many carriers' answers were asked for: of the parcels whose stream last changed before that
    moment. One query when there is none; what is left after PAGES_PER_RUN pages is the next run's.
    """
    silent = (
        Where("updated_at", "<", before.isoformat()),
        Where("state.awaits_news", "=", True),
    )
    return await _ask(documents, bus, silent, CheckParcel, now)


async def check_bookings_in_doubt(documents: Documents, bus: Bus, now: datetime) -> int:
    """Answers of how many parcels. One query when there is none, as above.

    To the second: the snapshot writes its times in another way, which sorts differently within one.
    """
    before = (now + timedelta(seconds=1)).isoformat()
    return await _ask(documents, bus, (Where("state.check_at", "<", before),), CheckBookings, now)


async def _ask(
    documents: Documents,
    bus: Bus,
    where: tuple[Where, ...],
    check: Callable[[str, int], CheckParcel | CheckBookings],
    now: datetime,
) -> int:
    asked = 0
    query = Query((Where("kind", "=", "snapshot"), *where), limit=PAGE)
    async for page in each_page(documents, SHIPMENTS.container, query, PAGES_PER_RUN):
        if page.items:
            await bus.send(QUEUE, [to_message(_command(check, item, now)) for item in page.items])
        asked += len(page.items)
    return asked


def _command(
    check: Callable[[str, int], CheckParcel | CheckBookings], item: JsonObject, now: datetime
) -> Envelope:
    told = check(cast(str, item["stream"]), cast(int, item["version"]))
    parcel = told.parcel_id
    id = command_id(parcel, contract_name(type(told)), check_part(told))
    return wrap(
        told,
        id=id,
        source="timers.shipping",
        subject=parcel,
        time=now,
        correlation_id=parcel,
        causation_id=f"{parcel}:{SHIPMENTS.container}:{told.version}",
        traceparent=child_traceparent(root_traceparent(parcel), id),
    )
