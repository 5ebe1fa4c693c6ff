"""The figures of one SKU: its stock document, in the SKU's own partition."""

from dataclasses import dataclass

from core.documents import DocumentNotFound, Documents
from core.json import JsonObject

CONTAINER = "inventory"
STOCK = "stock"


@dataclass(frozen=True, slots=True)
class Figures:
    """The stock document of one SKU; version 0: there is none yet.

    `movements` counts what changed the number on hand other than shipments. `returned` and `written_off` are
    pieces that came back, and those of them that cannot be sold; `shipped` still counts them.
    """

    sku: str
    received: int = 0
    adjusted: int = 0
    available: int = 0
    held: int = 0
    shipped: int = 0
    movements: int = 0
    version: int = 0
    returned: int = 0
    written_off: int = 0

    @property
    def on_hand(self) -> int:
        return self.available + self.held


async def read_figures(documents: Documents, sku: str) -> Figures:
    """Figures of version 0 when the SKU is unknown."""
    try:
        stored = await documents.read(CONTAINER, sku, STOCK)
    except DocumentNotFound:
        return Figures(sku)
    return figures(stored.item)


def figures(item: JsonObject) -> Figures:
    """Raises KeyError or TypeError for what is not a stock document."""
    sku = item["sku"]
    if not isinstance(sku, str) or not sku:
        raise TypeError("sku: must be a non-empty string")
    counts = [_count(item, field) for field in _COUNTS]
    if "returned" in item:
        counts += [_count(item, "returned"), _count(item, "written_off")]
    return Figures(sku, *counts)


_COUNTS = ("received", "adjusted", "available", "held", "shipped", "movements", "version")
"""Always there; `returned` and `written_off` come with the SKU's first return."""


def _count(item: JsonObject, field: str) -> int:
    value = item[field]
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{field}: must be a whole number")
    return value


def stock_item(stock: Figures) -> JsonObject:
    return {
        "id": STOCK,
        "sku": stock.sku,
        "kind": "stock",
        "received": stock.received,
        "adjusted": stock.adjusted,
        "available": stock.available,
        "held": stock.held,
        "shipped": stock.shipped,
        "movements": stock.movements,
        "version": stock.version,
    }
