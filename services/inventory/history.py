"""The ledger of a SKU as history: what changed the number on hand, newest first.

Holds are left out until they are shipped, since they change nothing on the shelf.
"""

from typing import Literal, TypedDict, cast

from core.documents import Documents, Query, Where
from core.json import JsonObject, Timestamp
from services.inventory.figures import CONTAINER
from services.inventory.stock import read_stock


class LedgerEntry(TypedDict):
    """`quantity` is the change of the number on hand, `on_hand` the number after it, where that is known."""

    time: Timestamp
    type: Literal["receipt", "adjustment", "count", "shipment", "return"]
    quantity: int
    on_hand: int | None
    counted: int | None
    reason: str | None
    reference: str | None
    written_off: int | None
    order_id: str | None
    return_id: str | None


class LedgerPage(TypedDict):
    sku: str
    items: list[LedgerEntry]
    continuation: str | None


async def read_history(documents: Documents, sku: str, limit: int, continuation: str | None) -> LedgerPage:
    """Newest first.

    Raises UnknownSku, BadDocumentRequest for a continuation of another query.
    """
    query = Query(
        (Where("time", ">", ""),), sku, "time", descending=True, limit=limit, continuation=continuation
    )
    page = await documents.query(CONTAINER, query)
    if not page.items:
        await read_stock(documents, sku)
    items = [entry(item) for item in page.items]
    return {"sku": sku, "items": items, "continuation": page.continuation}


def entry(item: JsonObject) -> LedgerEntry:
    """Of a document with a time."""
    asked = cast(JsonObject, item.get("asked", {}))
    match item["kind"]:
        case "hold":
            type_, quantity = "shipment", -cast(int, item["quantity"])
        case "return":
            type_, quantity = "return", cast(int, item["restocked"])
        case _:
            type_, quantity = cast(str, asked.get("type", item["movement"])), cast(int, item["quantity"])
    shown = {
        "time": item["time"],
        "type": type_,
        "quantity": quantity,
        "on_hand": item.get("on_hand"),
        "counted": asked.get("on_hand"),
        "reason": item.get("reason"),
        "reference": asked.get("reference"),
        "written_off": item.get("written_off"),
        "order_id": item.get("order_id"),
        "return_id": item.get("return_id"),
    }
    return cast(LedgerEntry, shown)
