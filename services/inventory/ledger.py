"""The stock ledger: one partition per SKU, and what one order may do to one SKU.

    stock         the figures, none of them below zero:
                  received + adjusted = available + held + (shipped - returned) + written_off
    hold:<order>  what an order holds: held -> released | committed. Both ends are final: the document stays
                  as a tombstone that refuses a late hold
    movement:...  a receipt or an adjustment, with its reason
    return:<id>   what came back with one return

Every move is one batch, so a hold and the figures never differ, and every move may be repeated: it looks at
the hold first. A hold and its SKU's figures change by conditional patches; two buyers never read, modify and
write one number.
"""

from datetime import datetime
from enum import StrEnum
from typing import cast

from core.documents import (
    Create,
    DocumentConflict,
    DocumentNotFound,
    Documents,
    Increment,
    Patch,
    PreconditionFailed,
    SetField,
    Where,
    WriteOperation,
)
from core.json import JsonObject
from services.inventory.figures import CONTAINER, STOCK, Figures, read_figures, stock_item
from services.inventory.movements import movement_item

TOMBSTONE_TTL_S = 30 * 86400
"""Longer than any queue keeps a message and a re-drive takes. Past that the reservation still refuses."""

SHIPPED_TTL_S = 2 * 365 * 86400
"""How long it is kept what was shipped for an order: so long it can be returned."""

SHORTAGE = "shipped after its hold had ended, with too little on hand"


class Refusal(StrEnum):
    OUT_OF_STOCK = "out_of_stock"
    UNKNOWN_SKU = "unknown_sku"
    RELEASED = "released"
    """The undo came first."""


async def hold(
    documents: Documents, order_id: str, sku: str, quantity: int, expires_at: datetime
) -> Refusal | None:
    """Hold `quantity` for the order. One request; two when a hold or a tombstone is there already."""
    try:
        await documents.batch(
            CONTAINER,
            sku,
            [
                Create(_hold_item(order_id, sku, quantity, "held", expires_at)),
                Patch(
                    STOCK,
                    (Increment("available", -quantity), Increment("held", quantity), Increment("version", 1)),
                    (Where("available", ">=", quantity),),
                ),
            ],
        )
    except DocumentConflict:
        state = await _hold_state(documents, order_id, sku)
        return Refusal.RELEASED if state == "released" else None
    except DocumentNotFound:
        return Refusal.UNKNOWN_SKU
    except PreconditionFailed:
        return Refusal.OUT_OF_STOCK
    return None


async def release(documents: Documents, order_id: str, sku: str, quantity: int, now: datetime) -> bool:
    """Give back what the order holds and bar a later hold. Committed goods have left: they stay shipped.

    Answers whether there was any hold document. One request when something was held, else two.
    """
    while True:
        try:
            await documents.batch(
                CONTAINER,
                sku,
                [
                    _released(order_id),
                    Patch(
                        STOCK,
                        (
                            Increment("available", quantity),
                            Increment("held", -quantity),
                            Increment("version", 1),
                        ),
                    ),
                ],
            )
        except PreconditionFailed:
            return True
        except DocumentNotFound:
            try:
                await documents.create(CONTAINER, sku, _hold_item(order_id, sku, quantity, "released", now))
            except DocumentConflict:
                continue
            return False
        return True


async def commit(documents: Documents, order_id: str, sku: str, quantity: int, now: datetime) -> None:
    """The goods have left: count them as shipped, whatever became of the hold. One request when they were
    held."""
    try:
        await documents.batch(
            CONTAINER,
            sku,
            [
                _committed(order_id, "held", now),
                Patch(
                    STOCK,
                    (Increment("held", -quantity), Increment("shipped", quantity), Increment("version", 1)),
                ),
            ],
        )
    except (PreconditionFailed, DocumentNotFound):
        await _commit_without_hold(documents, order_id, sku, quantity, now)


async def take_back(
    documents: Documents,
    order_id: str,
    return_id: str,
    sku: str,
    restocked: int,
    written_off: int,
    now: datetime,
) -> None:
    """Goods that were shipped have come back, to be sold again or not. One request, once per return."""
    came_back: JsonObject = {
        "id": f"return:{return_id}",
        "sku": sku,
        "kind": "return",
        "order_id": order_id,
        "return_id": return_id,
        "restocked": restocked,
        "written_off": written_off,
        "time": now.isoformat(),
    }
    booked = Patch(
        STOCK,
        (
            Increment("available", restocked),
            Increment("returned", restocked + written_off),
            Increment("written_off", written_off),
            Increment("movements", 1),
            Increment("version", 1),
        ),
    )
    try:
        await documents.batch(CONTAINER, sku, [Create(came_back), booked])
    except DocumentConflict:
        return


async def _commit_without_hold(
    documents: Documents, order_id: str, sku: str, quantity: int, now: datetime
) -> None:
    """From what is available; what is missing there is a shortage, an adjustment with its reason."""
    while True:
        try:
            state = await _hold_state(documents, order_id, sku)
        except DocumentNotFound:
            state = "absent"
        if state == "committed":
            return
        if state == "held":
            # The hold was made between the two requests, by a reserve that a crash had left half done.
            await commit(documents, order_id, sku, quantity, now)
            return
        stock = await read_figures(documents, sku)
        short = max(0, quantity - stock.available)
        operations: list[WriteOperation] = [
            Create(_committed_item(order_id, sku, quantity, now))
            if state == "absent"
            else _committed(order_id, "released", now),
            *_book_shipment(stock, quantity, short),
        ]
        if short:
            operations.append(
                Create(movement_item(sku, stock.movements + 1, short, f"{SHORTAGE} ({order_id})", now))
            )
        try:
            await documents.batch(CONTAINER, sku, operations)
        except (DocumentConflict, PreconditionFailed):
            continue
        return


def _book_shipment(stock: Figures, quantity: int, short: int) -> list[WriteOperation]:
    if stock.version == 0:
        booked = Figures(stock.sku, adjusted=short, shipped=quantity, movements=1, version=1)
        return [Create(stock_item(booked))]
    return [
        Patch(
            STOCK,
            (
                Increment("available", short - quantity),
                Increment("adjusted", short),
                Increment("shipped", quantity),
                Increment("movements", 1 if short else 0),
                Increment("version", 1),
            ),
            (Where("version", "=", stock.version),),
        )
    ]


def _hold_id(order_id: str) -> str:
    return f"hold:{order_id}"


def _hold_item(order_id: str, sku: str, quantity: int, state: str, expires_at: datetime) -> JsonObject:
    item: JsonObject = {
        "id": _hold_id(order_id),
        "sku": sku,
        "kind": "hold",
        "order_id": order_id,
        "quantity": quantity,
        "state": state,
        "expires_at": expires_at.isoformat(),
    }
    if state != "held":
        item["ttl"] = TOMBSTONE_TTL_S
    return item


def _committed_item(order_id: str, sku: str, quantity: int, now: datetime) -> JsonObject:
    item = _hold_item(order_id, sku, quantity, "committed", now)
    return {**item, "ttl": SHIPPED_TTL_S, "time": now.isoformat()}


def _released(order_id: str) -> Patch:
    return Patch(
        _hold_id(order_id),
        (SetField("state", "released"), SetField("ttl", TOMBSTONE_TTL_S)),
        (Where("state", "=", "held"),),
    )


def _committed(order_id: str, only_from: str, now: datetime) -> Patch:
    """With the time, by which the SKU's history finds it."""
    return Patch(
        _hold_id(order_id),
        (
            SetField("state", "committed"),
            SetField("ttl", SHIPPED_TTL_S),
            SetField("time", now.isoformat()),
        ),
        (Where("state", "=", only_from),),
    )


async def _hold_state(documents: Documents, order_id: str, sku: str) -> str:
    stored = await documents.read(CONTAINER, sku, _hold_id(order_id))
    return cast(str, stored.item["state"])
