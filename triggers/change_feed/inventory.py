"""What follows from a change of stock: the SKU's row among the stock levels."""

from collections.abc import Sequence

import azure.functions as func

from core.bus import Bus
from core.concurrency import gather_bounded
from core.decider import BrokenStream
from core.documents import Documents
from core.json import JsonObject
from core.resilience import retry_transient
from services.inventory.figures import CONTAINER, Figures
from services.inventory.stock_projection import project, read_figures
from triggers.change_feed.feed import on_changes
from triggers.change_feed.parking import POISON, Poison, park

AT_ONCE = 16


def blueprint(documents: Documents, bus: Bus) -> func.Blueprint:
    bp = func.Blueprint()

    @on_changes(bp, CONTAINER)
    async def project_stock(changes: func.DocumentList) -> None:
        await project_changes(documents, bus, [change.data for change in changes])

    return bp


async def project_changes(documents: Documents, bus: Bus, changes: Sequence[JsonObject]) -> None:
    """One write per SKU, with its newest figures. Holds and movements of the same container are passed by."""
    poison: list[Poison] = []
    newest: dict[str, tuple[Figures, JsonObject]] = {}
    for change in changes:
        if change.get("kind") == "stock":
            try:
                stock = read_figures(change)
            except BrokenStream as error:
                poison.append(Poison(change, str(error)))
            else:
                if stock.sku not in newest or newest[stock.sku][0].version < stock.version:
                    newest[stock.sku] = (stock, change)

    async def project_sku(found: tuple[Figures, JsonObject]) -> None:
        stock, change = found
        try:
            await retry_transient(lambda: project(documents, stock))
        except POISON as error:
            poison.append(Poison(change, str(error)))

    await gather_bounded(project_sku, list(newest.values()), AT_ONCE)
    await park(bus, "project_stock", CONTAINER, poison)
