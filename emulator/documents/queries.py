"""A query as SQL, and the token that continues it.

The token holds the sort key of the last row, so a page is right even when items before it came or went.
"""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from emulator.documents.checks import check_field, serialise
from emulator.documents.model import Query, RequestFailed
from emulator.documents.patching import check_condition, kind_of

MAX_LIMIT = 1000

_TYPES = {
    "null": "('null')",
    "number": "('integer', 'real')",
    "text": "('text')",
    "boolean": "('true', 'false')",
}
# The order among types is Cosmos DB's: missing, null, booleans, numbers, strings, arrays, objects.
_RANK = (
    "CASE {type} WHEN 'null' THEN 1 WHEN 'false' THEN 2 WHEN 'true' THEN 3 WHEN 'integer' THEN 4 "
    "WHEN 'real' THEN 4 WHEN 'text' THEN 5 WHEN 'array' THEN 6 WHEN 'object' THEN 7 ELSE 0 END"
)


@dataclass(frozen=True, slots=True)
class Statement:
    """Its rows are sequence, ts, body and the sort key, which ends in partition and id.

    One row more than `limit` tells of a next page.
    """

    sql: str
    parameters: Sequence[str | int | float | None]
    limit: int
    digest: str

    def continuation(self, rows: Sequence[Sequence[Any]]) -> str | None:
        """The token of the next page, None when `rows` are the last."""
        if len(rows) <= self.limit:
            return None
        return _encode([self.digest, *rows[self.limit - 1][3:]])


def build(container: str, now: float, query: Query) -> Statement:
    """Raises RequestFailed 400."""
    limit, descending = query.limit, query.descending
    if not 1 <= limit <= MAX_LIMIT:
        raise RequestFailed(400, f"the limit of a query is 1 to {MAX_LIMIT}, not {limit}")
    if query.offset < 0:
        raise RequestFailed(400, f"the offset of a query is not negative, but {query.offset}")
    filters = ["container = ?", "(expires IS NULL OR expires > ?)"]
    parameters: list[str | int | float | None] = [container, int(now)]
    if query.partition is not None:
        filters.append("partition = ?")
        parameters.append(query.partition)
    if query.feed_range is not None:
        filters.append("feed_range = ?")
        parameters.append(query.feed_range)
    for condition in query.where:
        check_condition(condition)
        type_of, value_of = _expressions(condition.field)
        if condition.comparison == "defined":
            filters.append(f"{type_of} IS {'NOT ' if condition.value else ''}NULL")
            continue
        kind = kind_of(condition.value)
        filters.append(f"{type_of} IN {_TYPES[kind]}")
        if kind != "null":
            filters.append(f"{value_of} {condition.comparison} ?")
            parameters.append(condition.value)  # type: ignore[arg-type]  # no list, no object: checked
        elif condition.comparison == "!=":
            filters.append("FALSE")
    key = ["partition", "id"]
    if query.order_by is not None:
        type_of, value_of = _expressions(check_field(query.order_by))
        key = [_RANK.format(type=type_of), f"coalesce({value_of}, 0)", *key]
    digest = hashlib.sha256(
        serialise(
            [
                container,
                [[*condition] for condition in query.where],
                query.partition,
                query.feed_range,
                query.order_by,
                descending,
            ]
        )
    ).hexdigest()[:16]
    if query.continuation is not None:
        filters.append(f"({', '.join(key)}) {'<' if descending else '>'} ({', '.join('?' * len(key))})")
        parameters += _decode(query.continuation, digest, len(key))
    direction = " DESC" if descending else ""
    sql = (
        f"SELECT sequence, ts, body, {', '.join(key)} FROM documents WHERE {' AND '.join(filters)} "
        f"ORDER BY {', '.join(part + direction for part in key)} LIMIT {limit + 1}"
    )
    if query.offset and query.continuation is None:
        sql += f" OFFSET {query.offset}"
    return Statement(sql, parameters, limit, digest)


def _expressions(field: str) -> tuple[str, str]:
    """SQL for the JSON type and for the value. `field` is checked, so it may stand in the text."""
    if field == "_ts":
        return "'integer'", "ts"
    path = "$" + "".join(f'."{name}"' for name in field.split("."))
    return f"json_type(body, '{path}')", f"json_extract(body, '{path}')"


def _encode(key: list[str | int | float | None]) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(key)).decode()


def _decode(token: str, digest: str, length: int) -> list[str | int | float | None]:
    try:
        key: Any = orjson.loads(base64.urlsafe_b64decode(token.encode("ascii", "replace")))
    except (binascii.Error, orjson.JSONDecodeError):
        key = None
    if not isinstance(key, list) or len(key) != length + 1 or key[0] != digest:
        raise RequestFailed(400, "the continuation token does not belong to this query")
    if any(isinstance(value, list | dict) for value in key):
        raise RequestFailed(400, "the continuation token does not belong to this query")
    return key[1:]
