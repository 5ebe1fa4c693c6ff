"""Telling that a SKU runs low, and that it no longer does, once for each crossing.

The threshold and the state stand in the SKU's stock document, so the change feed that brings the figures
brings them too, and a SKU without a threshold costs nothing. A crossing is recorded in one batch: the state
turns round, and `crossing:<n>` is created. The feed brings that document in its turn, and its event is sent;
so what was recorded is told, also when a crash comes in between.

There is a margin between both so that a level which goes up and down about the threshold is told once.
"""

from dataclasses import replace
from datetime import UTC, datetime
from typing import cast

from core.bus import OutgoingMessage
from core.contracts import contract_name, decode
from core.decider import BrokenStream
from core.documents import (
    Create,
    DocumentConflict,
    Documents,
    Increment,
    Patch,
    PreconditionFailed,
    SetField,
    Where,
)
from core.envelope import to_message, wrap
from core.json import JsonObject
from services.inventory.events import StockLow, StockRecovered
from services.inventory.figures import CONTAINER, STOCK, Figures, figures, read_figures
from services.inventory.ledger import TOMBSTONE_TTL_S
from services.inventory.stock import StockLevel, UnknownSku, stock_level

CROSSING = "crossing"


async def set_threshold(documents: Documents, sku: str, threshold: int | None, margin: int) -> StockLevel:
    """None: nobody wants to be told any more; a SKU that was low is no longer, and that is not told.

    Raises UnknownSku.
    """
    while True:
        stock = await read_figures(documents, sku)
        if stock.version == 0:
            raise UnknownSku("unknown_sku", f"sku: nothing was ever received of {sku!r}")
        # A first one is guarded by the version, so that no crossing is recorded in between and forgotten.
        first = stock.low_stock is None
        asked: JsonObject = {"threshold": threshold, "margin": margin, "low": False, "crossings": 0}
        changes = [SetField("low_stock", asked)] if first else _changes(threshold, margin)
        conditions = (Where("version", "=", stock.version),) if first else ()
        try:
            written = await documents.patch(
                CONTAINER, sku, STOCK, [*changes, Increment("version", 1)], conditions
            )
        except PreconditionFailed:
            continue
        return stock_level(figures(written.item))


def _changes(threshold: int | None, margin: int) -> list[SetField]:
    changes = [SetField("low_stock.threshold", threshold), SetField("low_stock.margin", margin)]
    return changes if threshold is not None else [*changes, SetField("low_stock.low", False)]


async def record_crossing(documents: Documents, stock: Figures, at: datetime) -> None:
    """One request if these figures say that the SKU crossed its threshold, else none.

    `at` is the time of the figures. They may be old by now: the crossing is recorded only if it is still one.
    If it is not, the change that undid it comes by the feed as well.
    """
    found = stock.low_stock
    if found is None or found.threshold is None:
        return
    if not found.low and stock.available <= found.threshold:
        still = Where("available", "<=", found.threshold)
    elif found.low and stock.available >= found.threshold + found.margin:
        still = Where("available", ">=", found.threshold + found.margin)
    else:
        return
    number = found.crossings + 1
    crossing: JsonObject = {
        "id": f"crossing:{number}",
        "sku": stock.sku,
        "kind": CROSSING,
        "number": number,
        "low": not found.low,
        "available": stock.available,
        "threshold": found.threshold,
        "at": at.isoformat(),
        "ttl": TOMBSTONE_TTL_S,
    }
    turned = Patch(
        STOCK,
        (
            SetField("low_stock.low", not found.low),
            Increment("low_stock.crossings", 1),
            Increment("version", 1),
        ),
        (
            still,
            Where("low_stock.low", "=", found.low),
            Where("low_stock.crossings", "=", found.crossings),
            Where("low_stock.threshold", "=", found.threshold),
            Where("low_stock.margin", "=", found.margin),
        ),
    )
    try:
        await documents.batch(CONTAINER, stock.sku, [turned, Create(crossing)])
    except (DocumentConflict, PreconditionFailed):
        return


def event_message(crossing: JsonObject) -> OutgoingMessage:
    """MessageId = event id, `{sku}:inventory:{number of the crossing}`, so that the topic drops what the feed
    delivers twice. Raises BrokenStream for what is no crossing."""
    try:
        event = StockLow if crossing["low"] else StockRecovered
        told = {field: crossing[field] for field in ("sku", "available", "threshold")}
        data = decode(contract_name(event), told)
        id = f"{data.sku}:{CONTAINER}:{cast(int, crossing['number']):d}"
        at = datetime.fromisoformat(cast(str, crossing["at"]))
    except (KeyError, TypeError, ValueError) as error:
        raise BrokenStream(f"crossing {crossing.get('id')} of {crossing.get('sku')}: {error}") from error
    envelope = wrap(
        data,
        id=id,
        source="inventory",
        subject=data.sku,
        time=at,
        correlation_id=data.sku,
        causation_id=f"{id}:{STOCK}",
    )
    return replace(to_message(envelope), message_id=id)


def written_at(item: JsonObject) -> datetime:
    """When the store wrote this item."""
    return datetime.fromtimestamp(cast(float, item["_ts"]), UTC)
