"""The list of stock levels, from the read container, which follows the stock by a moment."""

from core.documents import Documents, Query
from core.json import Json, JsonObject
from services.inventory.stock_projection import CONTAINER

_FIELDS = ("sku", "on_hand", "available", "held", "shipped", "received", "adjusted")


async def list_levels(documents: Documents, limit: int, continuation: str | None) -> JsonObject:
    """{"items", "continuation"}, in the order of the SKUs.

    Raises BadDocumentRequest for a continuation of another query.
    """
    query = Query(order_by="sku", limit=limit, continuation=continuation)
    page = await documents.query(CONTAINER, query)
    items: list[Json] = [_level(row) for row in page.items]
    return {"items": items, "continuation": page.continuation}


def _level(row: JsonObject) -> JsonObject:
    return {
        **{field: row[field] for field in _FIELDS},
        "returned": row.get("returned", 0),
        "written_off": row.get("written_off", 0),
        "version": row["version"],
    }
