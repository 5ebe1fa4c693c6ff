"""Receipts, adjustments and stock-takes: whatever changes the number on hand and is not an order's.

Each is one batch of the SKU's partition: the figures, and the movement as a document. With a key, the
document's id is made of the key, so that a movement which is asked for twice is booked once.
"""

import hashlib
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import assert_never, cast

from core.documents import (
    Create,
    DocumentConflict,
    DocumentNotFound,
    Documents,
    Increment,
    Patch,
    PreconditionFailed,
    Where,
    WriteOperation,
)
from core.json import JsonObject
from services.inventory.figures import CONTAINER, STOCK, Figures, figures, read_figures, stock_item
from services.inventory.stock import (
    MAX_ON_HAND,
    BelowHeld,
    InvalidQuantity,
    KeyReused,
    ReasonRequired,
    StockLevel,
    UnknownSku,
    stock_level,
)

STOCK_TAKE = "stock-take"
MOVEMENT = "movement"
REFUSED = "refused"
"""Kind of the document that a movement of an import leaves which the rules refused."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """Goods came in; `quantity` is at least 1."""

    quantity: int
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class Adjustment:
    """So many more, or fewer, than was thought; never 0."""

    quantity: int
    reason: str


@dataclass(frozen=True, slots=True)
class Count:
    """A stock-take found `on_hand` on the shelf, what orders hold included. `reference` names it."""

    on_hand: int
    reference: str


type Booking = Receipt | Adjustment | Count


async def book(documents: Documents, sku: str, key: str, booking: Booking, now: datetime) -> JsonObject:
    """The movement as it is recorded, now or when the key first came; a count is one without a difference
    too. Three requests.

    Raises UnknownSku (an adjustment), InvalidQuantity, BelowHeld, KeyReused.
    """
    id = movement_id(key)
    asked: JsonObject = {"type": type(booking).__name__.lower(), **asdict(booking)}
    while True:
        recorded = await _recorded(documents, sku, id)
        if recorded is not None:
            if recorded["asked"] != asked:
                raise KeyReused(
                    "idempotency_key_reused", "Idempotency-Key: belongs to another movement of this SKU"
                )
            return recorded
        stock = await read_figures(documents, sku)
        change = _change(stock, booking)
        _check(stock, change)
        movement: JsonObject = {
            **movement_item(sku, stock.movements + 1, change, _reason(booking), now),
            "id": id,
            "on_hand": stock.on_hand + change,
            "asked": asked,
        }
        try:
            await _write(documents, stock, movement)
        except (DocumentConflict, PreconditionFailed):
            continue
        return movement


def movement_id(key: str) -> str:
    """A key may have characters that an id must not have."""
    return f"movement:{hashlib.sha256(key.encode()).hexdigest()[:32]}"


def movement_item(sku: str, number: int, quantity: int, reason: str | None, now: datetime) -> JsonObject:
    """Without a reason it is a receipt, else an adjustment by `quantity`, which may be negative."""
    return {
        "id": f"movement:{number}",
        "sku": sku,
        "kind": MOVEMENT,
        "number": number,
        "movement": "receipt" if reason is None else "adjustment",
        "quantity": quantity,
        "reason": reason,
        "time": now.isoformat(),
    }


async def set_on_hand(
    documents: Documents, sku: str, on_hand: int, reason: str | None, now: datetime
) -> StockLevel:
    """Book the difference to what is on hand. The same number again books nothing.

    More, without a reason, is a receipt; with a reason, or less, an adjustment. Raises InvalidQuantity,
    ReasonRequired (less without a reason), BelowHeld.
    """
    if on_hand < 0:
        raise InvalidQuantity("invalid_quantity", f"on_hand: must be from 0 to {MAX_ON_HAND}, not {on_hand}")
    reason = reason or None
    while True:
        stock = await read_figures(documents, sku)
        difference = on_hand - stock.on_hand
        if difference == 0 and stock.version > 0:
            return stock_level(stock)
        if difference < 0 and reason is None:
            raise ReasonRequired(
                "reason_required", f"reason: required to lower on_hand from {stock.on_hand} to {on_hand}"
            )
        _check(stock, difference)
        movement = {
            **movement_item(sku, stock.movements + 1, difference, reason, now),
            "on_hand": on_hand,
        }
        try:
            return stock_level(await _write(documents, stock, movement if difference else None))
        except (DocumentConflict, PreconditionFailed):
            continue


async def _recorded(documents: Documents, sku: str, id: str) -> JsonObject | None:
    try:
        return (await documents.read(CONTAINER, sku, id)).item
    except DocumentNotFound:
        return None


def _change(stock: Figures, booking: Booking) -> int:
    match booking:
        case Receipt(quantity=quantity):
            return quantity
        case Adjustment(quantity=quantity):
            if stock.version == 0:
                raise UnknownSku("unknown_sku", f"sku: nothing was ever received of {stock.sku!r}")
            return quantity
        case Count(on_hand=on_hand):
            return on_hand - stock.on_hand
        case _:
            assert_never(booking)


def _reason(booking: Booking) -> str | None:
    match booking:
        case Receipt():
            return None
        case Adjustment(reason=reason):
            return reason
        case Count():
            return STOCK_TAKE
        case _:
            assert_never(booking)


def _check(stock: Figures, change: int) -> None:
    on_hand = stock.on_hand + change
    if on_hand < 0:
        raise BelowHeld("below_held", f"on_hand: must not go below 0, would be {on_hand}")
    if on_hand < stock.held:
        raise BelowHeld("below_held", f"on_hand: {on_hand} is below the {stock.held} that orders hold")
    if on_hand > MAX_ON_HAND:
        raise InvalidQuantity("invalid_quantity", f"on_hand: must be from 0 to {MAX_ON_HAND}, not {on_hand}")


async def _write(documents: Documents, stock: Figures, movement: JsonObject | None) -> Figures:
    """Without a movement only an empty stock document is made. Raises PreconditionFailed when another
    movement, a return or a shipment came since the reading, DocumentConflict when the movement is there."""
    quantity = 0 if movement is None else cast(int, movement["quantity"])
    received = quantity if movement is not None and movement["movement"] == "receipt" else 0
    adjusted = quantity - received
    counted = 0 if movement is None else 1
    if stock.version == 0:
        first = Figures(
            stock.sku,
            received=received,
            adjusted=adjusted,
            available=quantity,
            movements=counted,
            version=1,
        )
        write: WriteOperation = Create(stock_item(first))
    else:
        # Holds and releases leave what is on hand as it is, so they need not disturb a count of a busy SKU.
        write = Patch(
            STOCK,
            (
                Increment("received", received),
                Increment("adjusted", adjusted),
                Increment("available", quantity),
                Increment("movements", counted),
                Increment("version", 1),
            ),
            (
                Where("movements", "=", stock.movements),
                Where("shipped", "=", stock.shipped),
                Where("available", ">=", -quantity),
            ),
        )
    operations = [write] if movement is None else [write, Create(movement)]
    written = (await documents.batch(CONTAINER, stock.sku, operations))[0]
    assert written is not None  # noqa: S101  (a write answers with the item)
    return figures(written.item)
