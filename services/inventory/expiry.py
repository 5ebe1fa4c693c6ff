"""What the timer does: holds that have expired go back to stock, and what a crash left in motion is finished.

Both are found by one indexed field, `due_at` of the reservation; what has come to an end has none.
"""

import logging
from datetime import datetime

from core.bus import Bus
from core.concurrency import gather_bounded
from core.documents import Documents, Query, Where, each_page
from core.envelope import to_message
from core.json import JsonObject
from core.telemetry import bind, log
from services.inventory import reservation
from services.inventory.handlers import REPLIES, finish

PAGE = 100
PAGES_PER_RUN = 20
AT_ONCE = 8

logger = logging.getLogger("orderflow.inventory")


async def finish_due(documents: Documents, bus: Bus, now: datetime) -> int:
    """Answers how many reservations were brought to rest.

    One that fails does not keep the others: the first error is raised after them, and the next run tries
    again. What is left after PAGES_PER_RUN pages is the next run's too.
    """

    async def finish_one(item: JsonObject) -> None:
        found = reservation.from_item(item)
        with bind(order_id=found.order_id):
            replies = await finish(documents, found, now)
            if replies:
                await bus.send(REPLIES, [to_message(reply) for reply in replies])

    query = Query(where=(Where("due_at", "<=", reservation.timestamp(now)),), order_by="due_at", limit=PAGE)
    finished = 0
    async for page in each_page(documents, reservation.CONTAINER, query, PAGES_PER_RUN):
        await gather_bounded(finish_one, page.items, AT_ONCE)
        finished += len(page.items)
    if finished:
        log(logger, logging.WARNING, "reservations finished by the timer", count=finished)
    return finished
