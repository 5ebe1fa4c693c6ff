"""Reads an audit trail page by page, and verifies the chain that it is.

| chain | its entries | what remembers the last |
| --- | --- | --- |
| `orders`, `payments`, `shipments` | the events of a stream: what was accepted | the snapshot |
| `record` | refused commands, movements of stock (core/audit.py) | the document `head` |
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import cast

from core.audit import CONTAINER, ENTRY, HEAD
from core.chain import HASH, entry_hash
from core.decider import Rejection
from core.documents import BadDocumentRequest, DocumentNotFound, Documents, Query, Where
from core.json import Json, JsonObject

HIDDEN = frozenset({"payment_method", "request_digest", "action_url"})
"""Of what changed: who has it could charge, or act for the customer. The hash covers it all the same."""


@dataclass(frozen=True, slots=True)
class Chain:
    """`number` is the field of the head that says how many entries there are."""

    container: str
    kind: str = "event"
    head: str = "snapshot"
    number: str = "version"


CHAINS: Mapping[str, Chain] = MappingProxyType(
    {
        "orders": Chain("orders"),
        "payments": Chain("payments"),
        "shipments": Chain("shipments"),
        "record": Chain(CONTAINER, ENTRY, HEAD, "number"),
    }
)


class UnknownTrail(Rejection):
    def __init__(self) -> None:
        super().__init__("unknown_trail", "nothing is on record of that")


@dataclass(frozen=True, slots=True)
class Place:
    """Between two entries: the number and the hash of the one before. The hash is empty before the first, and
    after an entry of a time before there were hashes.
    """

    number: int = 0
    hash: str = ""


@dataclass(frozen=True, slots=True)
class Break:
    """The first entry that is not as it was written, or is not there."""

    number: int
    reason: str


async def read_trail(
    documents: Documents, name: str, stream: str, limit: int, continuation: str | None
) -> JsonObject:
    """One page: {"stream", "chain", "entries", "verified", "continuation"}, oldest first.

    `verified` says of the entries of this page, and that they follow those of the page before: {"status":
    "valid" or "broken", "from", "to", "unchained" (entries without a hash), "broken_at", "reason"}. The last
    page is also held against what remembers the end of the chain.

    Raises UnknownTrail, BadDocumentRequest for a continuation that is none.
    """
    chain = CHAINS[name]
    start = _place(continuation)
    head = await _head(documents, chain, stream)  # before the entries: what comes meanwhile is no break
    items, more = await _entries(documents, chain, stream, start.number, limit)
    if not items and head is None and start == Place():
        raise UnknownTrail
    end = _after(items, start)
    found = first_break(items, start)
    if found is None and head is not None:
        found = _against_head(items, start, _head_place(chain, head), more=more)
    verified: JsonObject = {
        "status": "valid" if found is None else "broken",
        "from": start.number + 1,
        "to": end.number,
        "unchained": sum(1 for item in items if not item.get(HASH)),
        "broken_at": None if found is None else found.number,
        "reason": None if found is None else found.reason,
    }
    return {
        "stream": stream,
        "chain": name,
        "entries": [_view(item) for item in items],
        "verified": verified,
        "continuation": f"{end.number}:{end.hash}" if more else None,
    }


def first_break(items: Sequence[JsonObject], start: Place = Place()) -> Break | None:
    """Entries in the order of their numbers, after `start`.

    Those that were written before there were hashes have none; after the first that has one, all must.
    """
    number, previous = start.number, start.hash
    for item in items:
        number += 1
        if item["version"] != number:
            return Break(number, "is missing")
        stored = item.get(HASH) or ""
        if not stored and previous:
            return Break(number, "has lost its hash")
        if stored and stored != entry_hash(previous, item):
            return Break(number, "is not as it was written, or follows on something else")
        previous = stored
    return None


def _against_head(items: Sequence[JsonObject], start: Place, head: Place, *, more: bool) -> Break | None:
    end = _after(items, start)
    if head.number > end.number:
        return None if more else Break(end.number + 1, "is missing")
    at_head = next((item for item in items if item["version"] == head.number), None)
    if at_head is not None and head.hash and at_head.get(HASH) != head.hash:
        return Break(head.number, "is not the entry that was the last")
    return None


async def _head(documents: Documents, chain: Chain, stream: str) -> JsonObject | None:
    try:
        return (await documents.read(chain.container, stream, chain.head)).item
    except DocumentNotFound:
        return None


def _head_place(chain: Chain, head: JsonObject) -> Place:
    return Place(cast(int, head[chain.number]), cast(str, head.get(HASH, "")))


async def _entries(
    documents: Documents, chain: Chain, stream: str, after: int, limit: int
) -> tuple[list[JsonObject], bool]:
    """The next entries, and whether there are more."""
    where = (Where("kind", "=", chain.kind), Where("version", ">", after))
    found: list[JsonObject] = []
    continuation = None
    while True:
        left = limit - len(found)
        page = await documents.query(
            chain.container, Query(where, stream, "version", limit=left, continuation=continuation)
        )
        found += page.items
        continuation = page.continuation
        if continuation is None or len(found) >= limit:
            return found, continuation is not None


def _after(items: Sequence[JsonObject], start: Place) -> Place:
    if not items:
        return start
    return Place(cast(int, items[-1]["version"]), cast(str, items[-1].get(HASH) or ""))


def _place(continuation: str | None) -> Place:
    if continuation is None:
        return Place()
    number, separator, hash_ = continuation.partition(":")
    if not (separator and number.isascii() and number.isdecimal() and len(number) < 16):
        raise BadDocumentRequest("continuation: is not one of a trail")
    return Place(int(number), hash_)


def _view(item: JsonObject) -> Json:
    data = cast(JsonObject, item["data"])
    return {
        "number": item["version"],
        "time": item["time"],
        "actor": item["actor"],
        "outcome": item.get("outcome", "accepted"),
        "what": item.get("type", item.get("command")),
        "causation_id": item.get("causation_id", item.get("command")),
        "correlation_id": item["correlation_id"],
        "changed": {field: value for field, value in data.items() if field not in HIDDEN},
        HASH: item.get(HASH),
    }
