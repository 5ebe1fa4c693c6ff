"""The figures of one SKU: its stock document, in the SKU's own partition."""

from dataclasses import dataclass

from core.documents import DocumentNotFound, Documents
from core.json import JsonObject

CONTAINER = "inventory"
STOCK = "stock"


@dataclass(frozen=True, slots=True)
class LowStock:
    """When a SKU counts as low: with `threshold` available pieces or fewer, until there are `margin` more.

    A threshold of None: no longer asked for. `crossings` counts how often it became low, or no longer was.
    """

    threshold: int | None
    margin: int
    low: bool = False
    crossings: int = 0


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
    low_stock: LowStock | None = None

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
    """Raises KeyError or TypeError for what is not a stock document.

    What a SKU never had, a return or a threshold, it has no field for.
    """
    sku = item["sku"]
    if not isinstance(sku, str) or not sku:
        raise TypeError("sku: must be a non-empty string")
    came_back = "returned" in item
    return Figures(
        sku,
        received=_count(item, "received"),
        adjusted=_count(item, "adjusted"),
        available=_count(item, "available"),
        held=_count(item, "held"),
        shipped=_count(item, "shipped"),
        movements=_count(item, "movements"),
        version=_count(item, "version"),
        returned=_count(item, "returned") if came_back else 0,
        written_off=_count(item, "written_off") if came_back else 0,
        low_stock=_low_stock(item) if "low_stock" in item else None,
    )


def _low_stock(item: JsonObject) -> LowStock:
    found = item["low_stock"]
    if not isinstance(found, dict) or not isinstance(found["low"], bool):
        raise TypeError("low_stock: must be an object that says whether the SKU is low")
    threshold = None if found["threshold"] is None else _count(found, "threshold")
    return LowStock(threshold, _count(found, "margin"), found["low"], _count(found, "crossings"))


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
