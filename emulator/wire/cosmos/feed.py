"""The change feed of a partition key range: the latest version of each item, in the order of writes."""

from emulator.documents.engine import DocumentsEngine
from emulator.documents.model import Found
from emulator.documents.partitions import effective_key, feed_range_of
from emulator.wire.cosmos import charges
from emulator.wire.cosmos.exchange import Answer, Refusal, Request
from emulator.wire.cosmos.places import Place
from emulator.wire.cosmos.scopes import Scope, limit_of, scope_of

_ROWS = 1000


async def changes(engine: DocumentsEngine, place: Place, request: Request) -> Answer:
    """200 with items, or 304 when there are none; the ETag says where to go on.

    If-None-Match is that ETag, or `*` for what is written from now on; without it the feed begins at its
    beginning. A page may end within a transaction, which the service never does.
    """
    mode = request.headers["a-im"]
    if mode.lower() != "incremental feed":
        raise Refusal(
            400, f"The change feed mode {mode!r} is not served by the emulator, only `Incremental Feed`."
        )
    if "if-modified-since" in request.headers and "if-none-match" not in request.headers:
        raise Refusal(
            400, "A change feed from a point in time (If-Modified-Since) is not served by the emulator."
        )
    scope = scope_of(request)
    feed_range = feed_range_of(scope.partition) if scope.partition is not None else scope.feed_range
    if feed_range is None:
        raise Refusal(400, "A change feed needs the header x-ms-documentdb-partitionkeyrangeid.")
    after = _position(engine, request)
    limit = limit_of(request)
    found, after = _read(engine, place, scope, feed_range, after, limit)
    headers = place.headers(feed_range, after)
    headers["etag"] = f'"{after}"'
    if not found:
        return Answer(304, b"", headers, charges.read(0))
    documents = ",".join(
        f'{place.item_text(row, partition, id)[:-1]},"_lsn":{row.sequence}}}' for row, partition, id in found
    )
    body = f'{{"_rid":"{place.rid}","Documents":[{documents}],"_count":{len(found)}}}'.encode()
    headers["x-ms-item-count"] = str(len(found))
    return Answer(200, body, headers, charges.query(len(found), len(body)))


def _read(
    engine: DocumentsEngine, place: Place, scope: Scope, feed_range: int, after: int, limit: int
) -> tuple[list[Found], int]:
    """Changes, and the position behind them and what was passed over."""
    narrow = scope.partition is not None or scope.keys is not None
    found: list[Found] = []
    while True:
        rows = engine.changed_rows(place.name, feed_range, after, _ROWS if narrow else limit)
        for each in rows:
            after = each.row.sequence
            if not narrow or _is_in(scope, each.partition):
                found.append(each)
                if len(found) == limit:
                    return found, after
        if not narrow or len(rows) < _ROWS:
            return found, after


def _is_in(scope: Scope, partition: str) -> bool:
    if scope.partition is not None:
        return partition == scope.partition
    return scope.keys is None or scope.keys[0] <= effective_key(partition) < scope.keys[1]


def _position(engine: DocumentsEngine, request: Request) -> int:
    etag = request.headers.get("if-none-match")
    if etag is None:
        return 0
    if etag == "*":
        return engine.position()
    number = etag.strip('"')
    if not number.isdecimal() or len(number) > 18:
        raise Refusal(400, f"The header If-None-Match {etag!r} is not a position in the change feed.")
    return int(number)
