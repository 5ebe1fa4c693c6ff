"""What an SDK must do itself for a query that no single range can answer: ask each one, merge, cut off.

A range is then asked a rewritten query, whose rows tell what they are ordered by.
"""

import orjson

from emulator.documents.model import Comparison, Json, JsonObject
from emulator.wire.cosmos.exchange import Refusal
from emulator.wire.cosmos.sql import Parameter, Sql

_FILTER = "{documentdb-formattableorderbyquery-filter}"
"""An SDK puts there where a range is to go on, or `true`."""


def is_needed(sql: Sql) -> bool:
    return sql.order_by is not None or sql.top is not None or sql.limit is not None


def plan(sql: Sql) -> JsonObject:
    """The plan of a query across partitions. Raises Refusal 400."""
    if sql.with_order_items:
        raise Refusal(400, "The query is not served by the emulator: it is a rewritten one, for one range.")
    order: list[Json] = []
    expressions: list[Json] = []
    if sql.order_by is not None:
        order = ["Descending" if sql.descending else "Ascending"]
        expressions = [_path(sql.order_by)]
    info: JsonObject = {
        "distinctType": "None",
        "top": sql.top,
        "offset": sql.offset,
        "limit": sql.limit,
        "orderBy": order,
        "orderByExpressions": expressions,
        "groupByExpressions": [],
        "groupByAliases": [],
        "aggregates": [],
        "groupByAliasToAggregateType": {},
        "rewrittenQuery": _rewritten(sql),
        "hasSelectValue": False,
        "hasNonStreamingOrderBy": False,
    }
    everything: JsonObject = {"min": "", "max": "FF", "isMinInclusive": True, "isMaxInclusive": False}
    return {"partitionedQueryExecutionInfoVersion": 2, "queryInfo": info, "queryRanges": [everything]}


def _rewritten(sql: Sql) -> str:
    conditions = [_condition(*each) for each in sql.where]
    top = "" if sql.top is None else f"TOP {sql.top} "
    selected, order = "*", ""
    if sql.order_by is not None:
        path = _path(sql.order_by)
        selected = f'c._rid, [{{"item": {path}}}] AS orderByItems, c AS payload'
        order = f" ORDER BY {path} {'DESC' if sql.descending else 'ASC'}"
        conditions.append(f"({_FILTER})")
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    # Each range may have to give all of what is left out and what is kept.
    cut = "" if sql.limit is None else f" OFFSET 0 LIMIT {(sql.offset or 0) + sql.limit}"
    return f"SELECT {top}{selected} FROM c{where}{order}{cut}"


def _condition(field: str, comparison: Comparison, value: Json | Parameter) -> str:
    if comparison == "defined":
        return f"{'' if value else 'NOT '}IS_DEFINED({_path(field)})"
    text = value.name if isinstance(value, Parameter) else orjson.dumps(value).decode()
    return f"{_path(field)} {comparison} {text}"


def _path(field: str) -> str:
    return "c" + "".join(f'["{name}"]' for name in field.split("."))
