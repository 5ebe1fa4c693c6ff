"""Brings what the streams hold into the read container `audit`, as pages (services/audit/pages.py).

Nobody waits for it, so a range is looked at only once in five seconds: an order's events of that time are one
page for each of its streams, and cost one request.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import azure.functions as func

from core.bus import Bus
from core.concurrency import gather_bounded
from core.decider import BrokenStream
from core.documents import Documents
from core.json import JsonObject
from core.resilience import retry_transient
from services.audit.pages import add, history_of, numbered, pages
from triggers.change_feed.feed import on_changes
from triggers.change_feed.parking import POISON, Poison, park

POLL_MS = 5000
AT_ONCE = 16

type Entries = Callable[[JsonObject], Iterable[JsonObject]]
"""Those that a document of the feed brings. Raises BrokenStream."""


def blueprint(documents: Documents, bus: Bus) -> func.Blueprint:
    bp = func.Blueprint()

    @on_changes(bp, "orders", POLL_MS)
    async def audit_orders(changes: func.DocumentList) -> None:
        await record_changes(documents, bus, "orders", [change.data for change in changes])

    @on_changes(bp, "payments", POLL_MS)
    async def audit_payments(changes: func.DocumentList) -> None:
        await record_changes(documents, bus, "payments", [change.data for change in changes])

    @on_changes(bp, "shipments", POLL_MS)
    async def audit_shipments(changes: func.DocumentList) -> None:
        await record_changes(documents, bus, "shipments", [change.data for change in changes])

    @on_changes(bp, "reservations", POLL_MS)
    async def audit_reservations(changes: func.DocumentList) -> None:
        await record_changes(
            documents, bus, "reservations", [change.data for change in changes], entries=history_of
        )

    return bp


def event_of(change: JsonObject) -> Iterable[JsonObject]:
    """The change itself, if it is an event. Snapshots and inbox records are passed by."""
    return (change,) if change.get("kind") == "event" else ()


async def record_changes(
    documents: Documents, bus: Bus, chain: str, changes: Sequence[JsonObject], entries: Entries = event_of
) -> None:
    """One write for each stream, however many of its entries the batch brought; `chain` is the container."""
    poison: list[Poison] = []
    streams: dict[str, list[JsonObject]] = defaultdict(list)
    for change in changes:
        try:
            for entry in entries(change):
                streams[numbered(entry)[0]].append(entry)
        except BrokenStream as error:
            poison.append(Poison(change, str(error)))

    async def record(found: JsonObject) -> None:
        try:
            await retry_transient(partial(add, documents, found))
        except POISON as error:
            poison.append(Poison(found, str(error)))

    found = [page for stream, entries in streams.items() for page in pages(chain, stream, entries)]
    await gather_bounded(record, found, AT_ONCE)
    await park(bus, f"audit_{chain}", chain, poison)
