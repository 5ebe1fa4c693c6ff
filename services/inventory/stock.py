"""Stock as a person sees it: the level of one SKU, and the rules for whoever changes it."""

from collections.abc import Mapping
from dataclasses import dataclass

from core.concurrency import gather_bounded
from core.decider import Rejection
from core.documents import Documents
from services.inventory.figures import Figures, LowStock, read_figures

MAX_ON_HAND = 1_000_000_000
AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class StockLevel:
    """on_hand = available + held; received + adjusted = on_hand + (shipped - returned) + written_off.

    `threshold` and `margin` as in `LowStock`, None where nobody asked for them.
    """

    sku: str
    on_hand: int
    available: int
    held: int
    shipped: int
    received: int
    adjusted: int
    returned: int
    written_off: int
    low: bool
    threshold: int | None
    margin: int | None
    version: int


class UnknownSku(Rejection):
    """Nothing was ever received of it."""


class ReasonRequired(Rejection):
    """Stock must not go down without a reason."""


class BelowHeld(Rejection):
    """Orders hold more than would be left."""


class InvalidQuantity(Rejection):
    """Not a count, or too many."""


class OutOfStock(Rejection):
    """Fewer can be had than are wanted."""


class KeyReused(Rejection):
    """The Idempotency-Key belongs to something else that was asked of this SKU."""


def stock_level(stock: Figures) -> StockLevel:
    low_stock = stock.low_stock or LowStock(None, 0)
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
        low=low_stock.low,
        threshold=low_stock.threshold,
        margin=None if low_stock.threshold is None else low_stock.margin,
        version=stock.version,
    )


async def read_stock(documents: Documents, sku: str) -> StockLevel:
    """Raises UnknownSku."""
    stock = await read_figures(documents, sku)
    if stock.version == 0:
        raise UnknownSku("unknown_sku", f"sku: nothing was ever received of {sku!r}")
    return stock_level(stock)


async def check_available(documents: Documents, wanted: Mapping[str, int], freed: Mapping[str, int]) -> None:
    """Whether the pieces wanted of each SKU could be had now, those included that are given back for it.

    Holds nothing: it keeps people from giving up what they have for what there is not. Raises OutOfStock.
    """
    short: dict[str, int] = {}

    async def check(sku: str) -> None:
        to_be_had = (await read_figures(documents, sku)).available + freed.get(sku, 0)
        if to_be_had < wanted[sku]:
            short[sku] = to_be_had

    await gather_bounded(check, list(wanted), AT_ONCE)
    if short:
        sku = min(short)
        raise OutOfStock("out_of_stock", f"lines: of {sku!r} only {short[sku]} can be had, not {wanted[sku]}")
