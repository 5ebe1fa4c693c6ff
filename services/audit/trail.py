"""Reads the audit trail of an order, a SKU or a customer, and verifies each chain of it from end to end.

| chain | its entries | what knows its end |
| --- | --- | --- |
| `orders`, `payments`, `shipments` | the events of a stream | the stream's snapshot |
| `reservations` | what became of the commands of an order's holds | the reservation |
| `record` | commands that no stream holds, movements of stock (core/audit.py) | the document `head` |

All entries are read from the container `audit`. What knows the end says how many there must be.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from heapq import merge
from typing import Literal, TypedDict, cast

from core.audit import CONTAINER, ENTRY
from core.decider import Rejection
from core.documents import BadDocumentRequest, Documents, Query, Where, each_page
from core.json import Json, JsonObject, Timestamp
from services.audit.ends import CHAINS, End, end_of, written_at
from services.audit.pages import PAGE
from services.audit.verification import Break, Verification

ALL = "all"
BROUGHT_WITHIN = timedelta(minutes=1)
"""The feed brings an entry in some seconds. What is missing for longer counts as cut off."""

HIDDEN = frozenset({"payment_method", "request_digest", "action_url"})
"""Of what changed: who has it could charge, or act for the customer. The hash covers it all the same."""

REFUSALS = frozenset({"payments.declined", "payments.part_refund_refused", "shipping.refused"})
"""Events that say that the service did not do what it was told."""

PAGES_AT_ONCE = 200
ENTRIES_AT_ONCE = 1000

_CONTINUATION = re.compile(rf"(?:{'|'.join(CHAINS)}):\d{{1,15}}(?:,(?:{'|'.join(CHAINS)}):\d{{1,15}})*")


class UnknownTrail(Rejection):
    def __init__(self) -> None:
        super().__init__("unknown_trail", "nothing is on record of that")


class AuditEntry(TypedDict):
    """`what` happened, or was asked. One that was tampered with may lack anything but its number."""

    chain: str
    number: int
    time: Timestamp | None
    actor: str | None
    outcome: str
    what: str | None
    causation_id: str | None
    correlation_id: str | None
    changed: Json
    hash: str | None


VerifiedChain = TypedDict(
    "VerifiedChain",
    {
        "chain": str,
        "status": Literal["valid", "broken"],
        "from": int,
        "to": int,
        "unchained": int,
        "broken_at": int | None,
        "reason": str | None,
        "pending": int,
    },
)
"""`to` is the last entry that is as it was written. `unchained` counts entries of a time before there were
hashes, `pending` those that the feed has not brought yet."""


class Verified(TypedDict):
    """Of all entries that there are, whatever the page."""

    status: Literal["valid", "broken"]
    chains: list[VerifiedChain]


class AuditTrail(TypedDict):
    """`entries` are one page, by time, oldest first; those of one chain are always in their order."""

    stream: str
    chain: str
    entries: list[AuditEntry]
    verified: Verified
    continuation: str | None


@dataclass(slots=True)
class Trail:
    """One chain as it was read: what is to be shown, one entry more if there is one, and the verdict."""

    name: str
    shown: list[JsonObject] = field(default_factory=list)
    verified: Verification = field(default_factory=Verification)
    end: End | None = None
    pending: int = 0

    @property
    def is_empty(self) -> bool:
        return self.end is None and self.verified.number == 0


async def read_trail(
    documents: Documents, chain: str, stream: str, limit: int, continuation: str | None, now: datetime
) -> AuditTrail:
    """`chain` is one of CHAINS, or `all`.

    Raises UnknownTrail, BadDocumentRequest for a continuation that is none.
    """
    after = _places(continuation)
    names = list(CHAINS) if chain == ALL else [chain]
    read = [_read_chain(documents, name, stream, after.get(name, 0), limit + 1, now) for name in names]
    trails = [trail for trail in await asyncio.gather(*read) if not trail.is_empty]
    if not trails:
        raise UnknownTrail
    merged = list(merge(*[[(trail.name, entry) for entry in trail.shown] for trail in trails], key=_time))
    page = merged[:limit]
    for name, entry in page:
        after[name] = cast(int, entry["version"])
    broken = any(trail.verified.broken for trail in trails)
    return {
        "stream": stream,
        "chain": chain,
        "entries": [_view(name, entry) for name, entry in page],
        "verified": {
            "status": "broken" if broken else "valid",
            "chains": [_verdict(trail) for trail in trails],
        },
        "continuation": _continuation(after) if len(merged) > limit else None,
    }


async def _read_chain(
    documents: Documents, name: str, stream: str, after: int, limit: int, now: datetime
) -> Trail:
    """All of it, of which only `limit` entries after number `after` are kept."""
    end = await end_of(documents, name, stream)  # before the entries: what comes meanwhile is no break
    trail = Trail(name, end=end)
    entries = _recorded(documents, stream) if name == "record" else _paged(documents, name, stream)
    async for entry in entries:
        if trail.verified.take(entry) and trail.verified.number > after and len(trail.shown) < limit:
            trail.shown.append(entry)
    if trail.verified.broken is None:
        trail.verified.broken = await _against_end(documents, stream, trail, now)
    return trail


async def _paged(documents: Documents, chain: str, stream: str) -> AsyncIterator[JsonObject]:
    where = (Where("kind", "=", PAGE), Where("chain", "=", chain))
    async for page in _all(documents, Query(where, stream, "first", limit=PAGES_AT_ONCE)):
        entries = page.get("entries")
        for entry in entries if isinstance(entries, list) else ():
            yield cast(JsonObject, entry)
        await asyncio.sleep(0)  # others go on while a long chain is verified


async def _recorded(documents: Documents, stream: str) -> AsyncIterator[JsonObject]:
    where = (Where("kind", "=", ENTRY),)
    async for entry in _all(documents, Query(where, stream, "version", limit=ENTRIES_AT_ONCE)):
        yield entry


async def _all(documents: Documents, query: Query) -> AsyncIterator[JsonObject]:
    async for page in each_page(documents, CONTAINER, query):
        for item in page.items:
            yield item


async def _against_end(documents: Documents, stream: str, trail: Trail, now: datetime) -> Break | None:
    """What is wrong at the end of a chain that is in order so far. Counts what is pending."""
    number, end = trail.verified.number, trail.end
    if end is None:
        return None
    if number >= end.number:
        if end.hash and trail.verified.hash_of(end.number) != end.hash:
            return Break(end.number, "is not the entry that was the last")
        # It may have grown since its end was read, which was before its entries were.
        now_ends = end if number == end.number else await end_of(documents, trail.name, stream)
        if now_ends is not None and number > now_ends.number:
            return Break(now_ends.number + 1, "is not in the stream that it was copied from")
        return None
    missing_since = await written_at(documents, trail.name, stream, number + 1, end)
    if missing_since is None or now - missing_since > BROUGHT_WITHIN:
        return Break(number + 1, "is missing")
    trail.pending = end.number - number
    return None


def _verdict(trail: Trail) -> VerifiedChain:
    broken = trail.verified.broken
    return {
        "chain": trail.name,
        "status": "valid" if broken is None else "broken",
        "from": 1,
        "to": trail.verified.number if broken is None else broken.number - 1,
        "unchained": trail.verified.unchained,
        "broken_at": None if broken is None else broken.number,
        "reason": None if broken is None else broken.reason,
        "pending": trail.pending,
    }


def _time(found: tuple[str, JsonObject]) -> str:
    return str(found[1].get("time"))


def _places(continuation: str | None) -> dict[str, int]:
    """The number of the last entry that the page before showed, by chain."""
    if continuation is None:
        return {}
    if not continuation.isascii() or _CONTINUATION.fullmatch(continuation) is None:
        raise BadDocumentRequest("continuation: is not one of a trail")
    places = [place.partition(":") for place in continuation.split(",")]
    return {name: int(number) for name, _, number in places}


def _continuation(after: Mapping[str, int]) -> str:
    return ",".join(f"{name}:{number}" for name, number in after.items())


def _view(chain: str, entry: JsonObject) -> AuditEntry:
    what = entry.get("type", entry.get("command"))
    data = entry.get("data")
    shown = {
        "chain": chain,
        "number": entry["version"],
        "time": entry.get("time"),
        "actor": entry.get("actor"),
        "outcome": entry.get("outcome", "refused" if what in REFUSALS else "accepted"),
        "what": what,
        "causation_id": entry.get("causation_id", entry.get("command")),
        "correlation_id": entry.get("correlation_id"),
        "changed": {name: value for name, value in data.items() if name not in HIDDEN}
        if isinstance(data, dict)
        else data,
        "hash": entry.get("hash"),
    }
    return cast(AuditEntry, shown)
