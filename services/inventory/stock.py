"""Stock as a person sees and sets it: what is on hand of one SKU."""

from dataclasses import dataclass
from datetime import datetime

from core.decider import Rejection
from core.documents import (
    Create,
    DocumentConflict,
    Documents,
    Increment,
    Patch,
    PreconditionFailed,
    Where,
    WriteOperation,
)
from services.inventory.figures import CONTAINER, STOCK, Figures, figures, read_figures, stock_item
from services.inventory.ledger import movement_item

MAX_ON_HAND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class StockLevel:
    """on_hand = available + held; received + adjusted = on_hand + (shipped - returned) + written_off."""

    sku: str
    on_hand: int
    available: int
    held: int
    shipped: int
    received: int
    adjusted: int
    returned: int
    written_off: int
    version: int


class UnknownSku(Rejection):
    """Nothing was ever received of it."""


class ReasonRequired(Rejection):
    """Stock must not go down without a reason."""


class BelowHeld(Rejection):
    """Orders hold more than the count that was given."""


class InvalidQuantity(Rejection):
    """Not a count."""


async def read_stock(documents: Documents, sku: str) -> StockLevel:
    """Raises UnknownSku."""
    stock = await read_figures(documents, sku)
    if stock.version == 0:
        raise UnknownSku("unknown_sku", f"sku: nothing was ever received of {sku!r}")
    return stock_level(stock)


async def set_on_hand(
    documents: Documents, sku: str, on_hand: int, reason: str | None, now: datetime
) -> StockLevel:
    """Book the difference to what is on hand, with its movement, in one batch.

    More, without a reason, is a receipt; with a reason, or less, an adjustment. The same count books nothing.
    Raises InvalidQuantity, ReasonRequired (less without a reason), BelowHeld.
    """
    if not 0 <= on_hand <= MAX_ON_HAND:
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
        if on_hand < stock.held:
            raise BelowHeld("below_held", f"on_hand: {on_hand} is below the {stock.held} that orders hold")
        try:
            return await _book(documents, stock, difference, reason, now)
        except (DocumentConflict, PreconditionFailed):
            continue


async def _book(
    documents: Documents, stock: Figures, difference: int, reason: str | None, now: datetime
) -> StockLevel:
    received = difference if reason is None else 0
    adjusted = difference - received
    counted = 1 if difference else 0
    if stock.version == 0:
        first = Figures(
            stock.sku,
            received=received,
            adjusted=adjusted,
            available=difference,
            movements=counted,
            version=1,
        )
        write: WriteOperation = Create(stock_item(first))
    else:
        # Holds and releases leave what is on hand as it is, so they need not disturb a count of a busy SKU:
        # only another movement, a return among them, or a shipment since the reading does.
        write = Patch(
            STOCK,
            (
                Increment("received", received),
                Increment("adjusted", adjusted),
                Increment("available", difference),
                Increment("movements", counted),
                Increment("version", 1),
            ),
            (
                Where("movements", "=", stock.movements),
                Where("shipped", "=", stock.shipped),
                Where("available", ">=", -difference),
            ),
        )
    operations = [write]
    if counted:
        operations.append(Create(movement_item(stock.sku, stock.movements + 1, difference, reason, now)))
    written = (await documents.batch(CONTAINER, stock.sku, operations))[0]
    assert written is not None  # noqa: S101  (a write answers with the item)
    return stock_level(figures(written.item))


def stock_level(stock: Figures) -> StockLevel:
    return StockLevel(
        sku=stock.sku,
        on_hand=stock.on_hand,
        available=stock.available,
        held=stock.held,
        shipped=stock.shipped,
        received=stock.received,
        adjusted=stock.adjusted,
        returned=stock.returned,
        written_off=stock.written_off,
        version=stock.version,
    )
