"""Where a chain of the audit trail must end, by what remembers it outside its entries."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import cast

from core.audit import CONTAINER, HEAD
from core.chain import HASH
from core.documents import DocumentNotFound, Documents, Query, Where
from core.json import JsonObject
from services.audit.pages import history_of


@dataclass(frozen=True, slots=True)
class Source:
    """The document that knows the end of a chain. `events`: the entries are documents of its container."""

    container: str
    id: str
    events: bool = False


CHAINS: Mapping[str, Source] = MappingProxyType(
    {
        "orders": Source("orders", "snapshot", events=True),
        "payments": Source("payments", "snapshot", events=True),
        "shipments": Source("shipments", "snapshot", events=True),
        "reservations": Source("reservations", "reservation"),
        "record": Source(CONTAINER, HEAD),
    }
)


@dataclass(frozen=True, slots=True)
class End:
    """Number and hash of the last entry. `item` is what says so."""

    number: int
    hash: str
    item: JsonObject


async def end_of(documents: Documents, chain: str, stream: str) -> End | None:
    """None when there is no such stream, or (holds only) it has expired. A lost snapshot is made up for."""
    source = CHAINS[chain]
    try:
        item = (await documents.read(source.container, stream, source.id)).item
    except DocumentNotFound:
        if not source.events:
            return None
        newest = Query((Where("kind", "=", "event"),), stream, "version", descending=True, limit=1)
        found = (await documents.query(source.container, newest)).items
        if not found:
            return None
        item = found[0]
    if chain == "reservations":
        history = history_of(item)
        return _end(history[-1], "version", item) if history else None
    return _end(item, "number" if chain == "record" else "version", item)


def _end(last: JsonObject, number: str, item: JsonObject) -> End:
    return End(cast(int, last[number]), cast(str, last.get(HASH) or ""), item)


async def written_at(documents: Documents, chain: str, stream: str, number: int, end: End) -> datetime | None:
    """When an entry that the feed has not brought was written. None when its source has lost it, too."""
    source = CHAINS[chain]
    entry: JsonObject
    if source.events:
        try:
            entry = (await documents.read(source.container, stream, str(number))).item
        except DocumentNotFound:
            return None
    elif chain == "reservations":
        entry = history_of(end.item)[number - 1]
    else:
        return None  # entries on record are written together with their head
    return datetime.fromisoformat(cast(str, entry["time"]))
