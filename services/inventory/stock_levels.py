"""The list of stock levels, from the read container, which follows the stock by a moment."""

from typing import TypedDict, cast

from pydantic import TypeAdapter

from core.documents import Documents, Query, Where
from core.json import JsonObject
from services.inventory.stock import StockLevel
from services.inventory.stock_projection import CONTAINER


class StockLevels(TypedDict):
    items: list[StockLevel]
    continuation: str | None


_levels = TypeAdapter(StockLevel)


async def list_levels(
    documents: Documents, low: bool, limit: int, continuation: str | None, container: str = CONTAINER
) -> StockLevels:
    """In the order of the SKUs; all of them, or those that are low.

    Raises BadDocumentRequest for a continuation of another query.
    """
    where = (Where("low_stock.low", "=", True),) if low else ()
    query = Query(where, order_by="sku", limit=limit, continuation=continuation)
    page = await documents.query(container, query)
    return {"items": [_level(row) for row in page.items], "continuation": page.continuation}


def _level(row: JsonObject) -> StockLevel:
    low_stock = row.get("low_stock") or {"threshold": None, "margin": None, "low": False}
    figures = {"returned": 0, "written_off": 0, **row, **cast(JsonObject, low_stock)}
    if figures["threshold"] is None:
        figures["margin"] = None
    return _levels.validate_python({name: figures[name] for name in StockLevel.__slots__})
