"""Which part of a container a request for many items is about."""

from dataclasses import dataclass

from emulator.documents.partitions import FEED_RANGES, bounds
from emulator.documents.queries import MAX_LIMIT
from emulator.wire.cosmos.exchange import RANGE_GONE, Refusal, Request
from emulator.wire.cosmos.items import partition_of

_DEFAULT_LIMIT = 100


@dataclass(frozen=True, slots=True)
class Scope:
    """One partition, or a range of them, or all.

    `keys` are the bounds, from and below, when less than the whole range is meant: see `effective_key`.
    """

    partition: str | None = None
    feed_range: int | None = None
    keys: tuple[str, str] | None = None


def scope_of(request: Request) -> Scope:
    """Raises Refusal 400; 410 for a range that is none, upon which SDKs ask for the ranges again."""
    if "x-ms-documentdb-partitionkey" in request.headers:
        return Scope(partition=partition_of(request))
    named = request.headers.get("x-ms-documentdb-partitionkeyrangeid")
    if named is None:
        return Scope()
    if not named.isdecimal() or int(named) >= FEED_RANGES:
        raise Refusal(410, f"There is no partition key range {named!r}.", RANGE_GONE)
    number = int(named)
    whole = bounds(number)
    keys = (request.headers.get("x-ms-start-epk", whole[0]), request.headers.get("x-ms-end-epk", whole[1]))
    return Scope(None, number, None if keys == whole else keys)


def limit_of(request: Request) -> int:
    """Items on a page; -1 leaves it to the service. Raises Refusal 400."""
    text = request.headers.get("x-ms-max-item-count", "-1")
    try:
        limit = int(text)
    except ValueError:
        limit = 0
    if limit == -1:
        return _DEFAULT_LIMIT
    if limit < 1:
        raise Refusal(400, f"The header x-ms-max-item-count must be -1 or a number above 0, not {text!r}.")
    return min(limit, MAX_LIMIT)
