"""The list of stock levels, from the read container, which follows the stock by a moment."""

from typing import cast

from core.documents import Documents, Query, Where
from core.json import Json, JsonObject
from services.inventory.stock_projection import CONTAINER

_FIELDS = ("sku", "on_hand", "available", "held", "shipped", "received", "adjusted")


async def list_levels(
    documents: Documents, low: bool, limit: int, continuation: str | None, container: str = CONTAINER
) -> JsonObject:
    """{"items", "continuation"}, in the order of the SKUs; all of them, or those that are low.

    Raises BadDocumentRequest for a continuation of another query.
    """
    where = (Where("low_stock.low", "=", True),) if low else ()
    query = Query(where, order_by="sku", limit=limit, continuation=continuation)
    page = await documents.query(container, query)
    items: list[Json] = [_level(row) for row in page.items]
    return {"items": items, "continuation": page.continuation}


def _level(row: JsonObject) -> JsonObject:
    low_stock = cast(JsonObject, row.get("low_stock") or {"threshold": None, "margin": None, "low": False})
    threshold = low_stock["threshold"]
    return {
        **{field: row[field] for field in _FIELDS},
        "returned": row.get("returned", 0),
        "written_off": row.get("written_off", 0),
        "low": low_stock["low"],
        "threshold": threshold,
        "margin": None if threshold is None else low_stock["margin"],
        "version": row["version"],
    }
