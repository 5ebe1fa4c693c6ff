"""What follows from a change of stock: the SKU's row among the stock levels, news of what runs low, and a
movement's entry on record.
"""

from collections import defaultdict
from collections.abc import Sequence
from functools import partial

import azure.functions as func

from core.bus import Bus, OutgoingMessage
from core.concurrency import gather_bounded
from core.decider import BrokenStream
from core.documents import Documents
from core.json import JsonObject
from core.read_model_places import Places, written_to
from core.resilience import retry_transient
from services.inventory.figures import CONTAINER, Figures
from services.inventory.low_stock import CROSSING, event_message, record_crossing, written_at
from services.inventory.recording import RECORDED, record_movements
from services.inventory.stock_projection import STOCK_LEVELS, project, read_figures
from triggers.change_feed.feed import on_changes
from triggers.change_feed.parking import POISON, Poison, park

TOPIC = "service-events"
POLL_MS = 1000
"""A SKU that sells well changes many times in a second, and is written once."""
AT_ONCE = 16
SEND_MESSAGES = 100
"""Of some hundred bytes each."""


def blueprint(documents: Documents, bus: Bus) -> func.Blueprint:
    bp = func.Blueprint()
    places = Places(documents)

    @on_changes(bp, CONTAINER, POLL_MS)
    async def project_stock(changes: func.DocumentList) -> None:
        await project_changes(documents, bus, [change.data for change in changes], places)

    return bp


async def project_changes(
    documents: Documents, bus: Bus, changes: Sequence[JsonObject], places: Places | None = None
) -> None:
    """One write per SKU, with its newest figures. Holds of the same container are passed by."""
    poison: list[Poison] = []
    newest: dict[str, tuple[Figures, JsonObject]] = {}
    news: list[OutgoingMessage] = []
    movements: dict[str, list[JsonObject]] = defaultdict(list)
    for change in changes:
        kind = change.get("kind")
        try:
            if kind == "stock":
                stock = read_figures(change)
                if stock.sku not in newest or newest[stock.sku][0].version < stock.version:
                    newest[stock.sku] = (stock, change)
            elif kind in RECORDED:
                movements[str(change.get("sku"))].append(change)
            elif kind == CROSSING:
                news.append(event_message(change))
        except BrokenStream as error:
            poison.append(Poison(change, str(error)))

    async def project_sku(found: tuple[Figures, JsonObject]) -> None:
        stock, change = found
        try:
            for container in await written_to(places, STOCK_LEVELS):
                await retry_transient(partial(project, documents, stock, container))
            if stock.low_stock is not None:
                await retry_transient(lambda: record_crossing(documents, stock, written_at(change)))
        except POISON as error:
            poison.append(Poison(change, str(error)))

    async def record_sku(found: list[JsonObject]) -> None:
        try:
            await retry_transient(lambda: record_movements(documents, found))
        except POISON as error:
            poison.append(Poison(found[0], str(error)))

    await gather_bounded(project_sku, list(newest.values()), AT_ONCE)
    await gather_bounded(record_sku, list(movements.values()), AT_ONCE)
    for start in range(0, len(news), SEND_MESSAGES):
        await retry_transient(partial(bus.send, TOPIC, news[start : start + SEND_MESSAGES]))
    await park(bus, "project_stock", CONTAINER, poison)
