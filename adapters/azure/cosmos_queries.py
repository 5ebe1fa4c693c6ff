"""Conditions and queries of the documents port as Cosmos DB SQL, and the token that continues a query.

Nothing of a caller's text reaches the SQL unchecked: field names keep a rule and stand in brackets (some,
as `order` and `value`, are reserved words), values are parameters, or JSON literals in a patch's predicate,
which takes no parameters.
"""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from core.documents import BadDocumentRequest, Query, Where
from core.json import Json, JsonObject

MAX_LIMIT = 1000

_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(?:\.[A-Za-z_][A-Za-z0-9_-]*)*")
_COMPARISONS = frozenset({"=", "!=", "<", "<=", ">", ">="})


@dataclass(frozen=True, slots=True)
class Boundary:
    """Where a page of a query ended that is ordered across partitions.

    `value`: of the ordered field, in the last item. `seen`: partition and id of the items with that value
    which the pages so far held.
    """

    value: str | int | float
    seen: tuple[tuple[str, str], ...]


def check_field(field: str) -> str:
    """Raises BadDocumentRequest."""
    if _FIELD.fullmatch(field) is None:
        raise BadDocumentRequest(f"{field!r} is not a dotted field path")
    return field


def predicate(conditions: Sequence[Where]) -> str | None:
    """A patch's filter predicate. Raises BadDocumentRequest."""
    if not conditions:
        return None
    parts = (f"{_property(one.field)} {one.comparison} {_literal(_checked(one))}" for one in conditions)
    return f"FROM c WHERE {' AND '.join(parts)}"


def statement(query: Query, after: Boundary | None) -> tuple[str, list[dict[str, object]]]:
    """SQL and its parameters. Raises BadDocumentRequest."""
    filters = []
    parameters: list[dict[str, object]] = []
    for condition in query.where:
        filters.append(f"{_property(condition.field)} {condition.comparison} @p{len(parameters)}")
        parameters.append({"name": f"@p{len(parameters)}", "value": _checked(condition).value})
    order = ""
    if query.order_by is not None:
        ordered = _property(query.order_by)
        order = f" ORDER BY {ordered}{' DESC' if query.descending else ''}"
        if after is not None:
            filters.append(f"{ordered} {'<=' if query.descending else '>='} @p{len(parameters)}")
            parameters.append({"name": f"@p{len(parameters)}", "value": after.value})
    where = f" WHERE {' AND '.join(filters)}" if filters else ""
    return f"SELECT * FROM c{where}{order}", parameters  # noqa: S608  (nothing in it is a caller's text)


def check_limit(limit: int) -> None:
    """Raises BadDocumentRequest."""
    if not 1 <= limit <= MAX_LIMIT:
        raise BadDocumentRequest(f"the limit of a query is 1 to {MAX_LIMIT}, not {limit}")


def server_token(container: str, query: Query) -> str | None:
    """The service's own token in `query.continuation`. Raises BadDocumentRequest."""
    if query.continuation is None:
        return None
    place = _decode(container, query)
    if not isinstance(place, str):
        raise _stranger()
    return place


def boundary(container: str, query: Query) -> Boundary | None:
    """The place in `query.continuation`. Raises BadDocumentRequest."""
    if query.continuation is None:
        return None
    match _decode(container, query):
        case [str() | int() | float() as value, list(keys)]:
            seen = [(str(key[0]), str(key[1])) for key in keys if isinstance(key, list) and len(key) == 2]
            return Boundary(value, tuple(seen))
        case _:
            raise _stranger()


def boundary_after(
    items: Sequence[JsonObject], query: Query, key_field: str, before: Boundary | None
) -> Boundary:
    """The place behind `items`, of which there is at least one. Raises BadDocumentRequest."""
    order_by = query.order_by or ""
    value = _value(items[-1], order_by)
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise BadDocumentRequest(
            f"order_by: a query across partitions goes on after strings and numbers only; "
            f"the item {items[-1]['id']!r} has none at `{order_by}`"
        )
    seen = list(before.seen) if before is not None and before.value == value else []
    seen += [(str(item[key_field]), str(item["id"])) for item in items if _value(item, order_by) == value]
    return Boundary(value, tuple(seen))


def encode(container: str, query: Query, place: str | Boundary) -> str:
    """The token of the next page, good for this query only."""
    content: Json = place if isinstance(place, str) else [place.value, [[*key] for key in place.seen]]
    text = json.dumps([_digest(container, query), content], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode()


def _decode(container: str, query: Query) -> Json:
    try:
        token: Json = json.loads(
            base64.urlsafe_b64decode((query.continuation or "").encode("ascii", "replace"))
        )
    except (binascii.Error, ValueError):
        token = None
    if not isinstance(token, list) or len(token) != 2 or token[0] != _digest(container, query):
        raise _stranger()
    return token[1]


def _stranger() -> BadDocumentRequest:
    return BadDocumentRequest("the continuation token does not belong to this query")


def _digest(container: str, query: Query) -> str:
    conditions = [[one.field, one.comparison, one.value] for one in query.where]
    identity = [container, conditions, query.partition, query.order_by, query.descending]
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]


def _property(field: str) -> str:
    return "c" + "".join(f'["{name}"]' for name in check_field(field).split("."))


def _checked(condition: Where) -> Where:
    if condition.comparison not in _COMPARISONS:
        raise BadDocumentRequest(f"{condition.comparison!r} is not a comparison")
    if isinstance(condition.value, list | dict):
        raise BadDocumentRequest(
            f"`{condition.field}`: only null, booleans, numbers and strings are compared"
        )
    if (condition.value is None or isinstance(condition.value, bool)) and condition.comparison not in {
        "=",
        "!=",
    }:
        raise BadDocumentRequest(f"`{condition.field}`: null and booleans are compared by = and != alone")
    return condition


def _literal(condition: Where) -> str:
    """Cosmos DB SQL takes JSON's literals: https://learn.microsoft.com/cosmos-db/query/constants"""
    try:
        return json.dumps(condition.value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise BadDocumentRequest(f"`{condition.field}`: not a JSON value: {error}") from error


def _value(item: JsonObject, field: str) -> Json:
    found: Json = item
    for name in field.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found
