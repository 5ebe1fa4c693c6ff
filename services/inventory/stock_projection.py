"""The read container `stock-levels`: one row per SKU, with the figures of its stock document.

{"id": sku, "sku", "on_hand", "available", "held", "shipped", "received", "adjusted", "version"},
"returned" and "written_off" when anything came back, and "low_stock" ({"threshold", "margin", "low"}) when
somebody asked to be told.
"""

from typing import cast

from core.decider import BrokenStream
from core.documents import (
    DocumentConflict,
    DocumentNotFound,
    Documents,
    PreconditionFailed,
    SetField,
    Where,
)
from core.json import JsonObject
from core.read_models import Key, ReadModel
from services.inventory import figures
from services.inventory.figures import Figures

CONTAINER = "stock-levels"


def read_figures(item: JsonObject) -> Figures:
    """A stock document as a change feed gives it. Raises BrokenStream."""
    try:
        return figures.figures(item)
    except (KeyError, TypeError) as error:
        raise BrokenStream(f"stock of {item.get('sku')}: {error}") from error


async def project(documents: Documents, stock: Figures, container: str = CONTAINER) -> None:
    """One request; two for a SKU's first row. Figures that are not newer than the row change nothing."""
    row = _row(stock)
    changes = [SetField(field, value) for field, value in row.items() if field not in {"id", "sku"}]
    while True:
        try:
            await documents.patch(
                container, stock.sku, stock.sku, changes, (Where("version", "<", stock.version),)
            )
        except PreconditionFailed:
            return
        except DocumentNotFound:
            try:
                await documents.create(container, stock.sku, row)
            except DocumentConflict:
                continue
        return


def _row(stock: Figures) -> JsonObject:
    """What a SKU never had it has no field for: most changes are of such SKUs, and each field costs."""
    row: JsonObject = {
        "id": stock.sku,
        "sku": stock.sku,
        "on_hand": stock.on_hand,
        "available": stock.available,
        "held": stock.held,
        "shipped": stock.shipped,
        "received": stock.received,
        "adjusted": stock.adjusted,
        "version": stock.version,
    }
    if stock.returned:
        row |= {"returned": stock.returned, "written_off": stock.written_off}
    if stock.low_stock is not None:
        low_stock = stock.low_stock
        row["low_stock"] = {
            "threshold": low_stock.threshold,
            "margin": low_stock.margin,
            "low": low_stock.low,
        }
    return row


async def _truth(documents: Documents, key: Key) -> JsonObject | None:
    try:
        stored = await documents.read(figures.CONTAINER, key.id, figures.STOCK)
    except DocumentNotFound:
        return None
    return _row(read_figures(stored.item)) if key.id == key.partition else None


def _key(item: JsonObject) -> Key:
    return Key(cast(str, item["sku"]), cast(str, item["sku"]))


def _row_key(item: JsonObject) -> Key:
    return Key(cast(str, item["sku"]), cast(str, item["id"]))


STOCK_LEVELS = ReadModel(
    name="stock",
    container=CONTAINER,
    second="stock-levels-2",
    source=figures.CONTAINER,
    where=(Where("kind", "=", "stock"),),
    source_key=_key,
    row_key=_row_key,
    truth=_truth,
)
