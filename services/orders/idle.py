"""Finds the orders and the returns that nothing has happened to for too long."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import cast

from core.documents import Documents, Query, Where, each_page
from core.json import JsonObject
from services.orders.decider import ORDERS
from services.orders.returns import ENDED
from services.orders.state import TERMINAL

PAGE = 100


async def idle_orders(documents: Documents, before: datetime) -> AsyncIterator[list[str]]:
    """Ids of the non-terminal orders whose stream last changed before that moment, page by page."""
    where = tuple(Where("state.status", "!=", status) for status in sorted(TERMINAL))
    async for page in _snapshots(documents, before, where):
        yield [cast(str, item["stream"]) for item in page]


async def idle_returns(documents: Documents, before: datetime) -> AsyncIterator[list[tuple[str, str]]]:
    """Order and id of each return that has not ended, of the orders whose stream last changed before that
    moment, page by page.
    """
    async for page in _snapshots(documents, before, (Where("state.open_returns", ">", 0),)):
        yield [
            (cast(str, item["stream"]), cast(str, each["return_id"]))
            for item in page
            for each in cast(Sequence[JsonObject], cast(JsonObject, item["state"])["returns"])
            if each["status"] not in ENDED
        ]


async def _snapshots(
    documents: Documents, before: datetime, where: tuple[Where, ...]
) -> AsyncIterator[Sequence[JsonObject]]:
    where = (Where("kind", "=", "snapshot"), Where("updated_at", "<", before.isoformat()), *where)
    async for page in each_page(documents, ORDERS.container, Query(where, limit=PAGE)):
        yield page.items
