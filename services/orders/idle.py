"""Finds the orders that nothing has happened to for too long."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import cast

from core.documents import Documents, Query, Where
from services.orders.decider import ORDERS
from services.orders.state import TERMINAL

PAGE = 100


async def idle_orders(documents: Documents, before: datetime) -> AsyncIterator[list[str]]:
    """Ids of the non-terminal orders whose stream last changed before that moment, page by page."""
    where = (
        Where("kind", "=", "snapshot"),
        Where("updated_at", "<", before.isoformat()),
        *(Where("state.status", "!=", status) for status in sorted(TERMINAL)),
    )
    continuation = None
    while True:
        page = await documents.query(ORDERS.container, Query(where, limit=PAGE, continuation=continuation))
        yield [cast(str, item["stream"]) for item in page.items]
        if page.continuation is None:
            return
        continuation = page.continuation
