"""Pages of the audit trail: what a change feed brought of a stream in one batch, copied as it was written.

A page is created and never written again:

    {"id": "payments:3-7", "stream", "kind": "page", "chain": "payments", "first": 3, "last": 7, "entries"}

Its entries are numbered without a gap and chained by hash (core/chain.py); the hash is the one that they were
written with. So a page costs one request and needs none to find out what is there already. A batch that is
delivered again makes the same pages, which are there; cut otherwise it makes pages that overlap, of which
the reader (trail.py) takes each entry once.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import cast

import orjson

from core.audit import CONTAINER
from core.decider import BrokenStream
from core.documents import DocumentConflict, Documents
from core.json import Json, JsonObject

PAGE = "page"
MAX_ENTRIES = 200
MAX_BYTES = 256 * 1024
"""Of the entries, unless one alone has more: far from the limit of an item, and many go into one response."""

HISTORY = "history"
"""The field of a document that carries the entries of its stream itself."""


def numbered(entry: Mapping[str, Json]) -> tuple[str, int]:
    """The stream and the number of an entry. Raises BrokenStream."""
    stream, number = entry.get("stream"), entry.get("version")
    if not isinstance(stream, str) or not stream:
        raise BrokenStream(f"stream: {stream!r} names none")
    if not isinstance(number, int) or number < 1:
        raise BrokenStream(f"version: {number!r} is no number of an entry")
    return stream, number


def history_of(item: JsonObject) -> Sequence[JsonObject]:
    """The entries that a document carries, from the first on. Raises BrokenStream."""
    history = item.get(HISTORY, [])
    if not isinstance(history, list) or not all(isinstance(entry, dict) for entry in history):
        raise BrokenStream(f"{HISTORY}: must be a list of entries")
    return cast(list[JsonObject], history)


def pages(chain: str, stream: str, entries: Iterable[JsonObject]) -> list[JsonObject]:
    """Of entries of one stream, in any order, maybe twice."""
    by_number = {numbered(entry)[1]: entry for entry in entries}
    found: list[JsonObject] = []
    page: list[JsonObject] = []
    size, last = 0, 0
    for number in sorted(by_number):
        entry = {name: value for name, value in by_number[number].items() if name[:1] != "_"}
        entry_size = len(orjson.dumps(entry))
        if page and (number != last + 1 or len(page) == MAX_ENTRIES or size + entry_size > MAX_BYTES):
            found.append(_page(chain, stream, page))
            page, size = [], 0
        page.append(entry)
        size, last = size + entry_size, number
    return [*found, _page(chain, stream, page)] if page else found


def _page(chain: str, stream: str, entries: list[JsonObject]) -> JsonObject:
    first, last = cast(int, entries[0]["version"]), cast(int, entries[-1]["version"])
    return {
        "id": f"{chain}:{first}-{last}",
        "stream": stream,
        "kind": PAGE,
        "chain": chain,
        "first": first,
        "last": last,
        "entries": cast(Json, entries),
    }


async def add(documents: Documents, page: JsonObject) -> None:
    """One request. A page that is there stays as it is: if it was tampered with, the reader says so.

    Raises DocumentTooLarge.
    """
    try:
        await documents.create(CONTAINER, cast(str, page["stream"]), page)
    except DocumentConflict:
        return
