"""The ledger of a SKU as history: what changed the number on hand, newest first.

Holds are left out until they are shipped, since they change nothing on the shelf.
"""

from typing import cast

from core.documents import Documents, Query, Where
from core.json import Json, JsonObject
from services.inventory.figures import CONTAINER
from services.inventory.stock import read_stock


async def read_history(documents: Documents, sku: str, limit: int, continuation: str | None) -> JsonObject:
    """{"sku", "items", "continuation"}; see `entry`.

    Raises UnknownSku, BadDocumentRequest for a continuation of another query.
    """
    query = Query(
        (Where("time", ">", ""),), sku, "time", descending=True, limit=limit, continuation=continuation
    )
    page = await documents.query(CONTAINER, query)
    if not page.items:
        await read_stock(documents, sku)
    items: list[Json] = [entry(item) for item in page.items]
    return {"sku": sku, "items": items, "continuation": page.continuation}


def entry(item: JsonObject) -> JsonObject:
    """Of a document with a time. `quantity` is the change of the number on hand.

    {"time", "type": "receipt" | "adjustment" | "count" | "shipment" | "return", "quantity", "on_hand" (after
    it, where that is known), "counted", "reason", "reference", "written_off", "order_id", "return_id"}
    """
    asked = cast(JsonObject, item.get("asked", {}))
    match item["kind"]:
        case "hold":
            type_, quantity = "shipment", -cast(int, item["quantity"])
        case "return":
            type_, quantity = "return", cast(int, item["restocked"])
        case _:
            type_, quantity = cast(str, asked.get("type", item["movement"])), cast(int, item["quantity"])
    return {
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
