"""Queries: in one partition, in one range of them, or across all where the order does not matter."""

from collections.abc import Mapping, Sequence

import orjson

from emulator.documents.engine import DocumentsEngine
from emulator.documents.model import Found, Json, Query
from emulator.documents.writes import as_item
from emulator.wire.cosmos import charges, rids
from emulator.wire.cosmos.exchange import (
    CROSS_PARTITION_QUERY_NOT_SERVABLE,
    Answer,
    Refusal,
    Request,
    json_answer,
)
from emulator.wire.cosmos.places import Place
from emulator.wire.cosmos.plan import is_needed, plan
from emulator.wire.cosmos.scopes import limit_of, scope_of
from emulator.wire.cosmos.sql import Sql, parse


async def query(engine: DocumentsEngine, place: Place, request: Request) -> Answer:
    sql, parameters = _statement(request)
    if request.flag("x-ms-cosmos-is-query-plan-request"):
        return json_answer(200, plan(sql))
    return await _page(engine, place, request, sql, parameters)


async def everything(engine: DocumentsEngine, place: Place, request: Request) -> Answer:
    """The feed of all items."""
    return await _page(engine, place, request, Sql(), {})


async def _page(
    engine: DocumentsEngine, place: Place, request: Request, sql: Sql, parameters: Mapping[str, Json]
) -> Answer:
    scope = scope_of(request)
    if scope.keys is not None:
        raise Refusal(400, "A query on a part of a partition key range is not served by the emulator.")
    if scope.partition is None and scope.feed_range is None:
        _check_cross_partition(request, sql)
    left, token = _continued(request, sql)
    limit = limit_of(request) if left is None else min(limit_of(request), left)
    found: Sequence[Found] = []
    following = None
    if limit:
        found, following = await engine.query_rows(
            place.name,
            Query(
                sql.bind(parameters),
                scope.partition,
                scope.feed_range,
                sql.order_by,
                sql.descending,
                limit,
                sql.offset or 0,
                token,
            ),
        )
    if left is not None and following is not None:
        left -= len(found)
        following = f"{left}.{following}" if left else None
    show = _ordered_text if sql.with_order_items else _text
    documents = ",".join(show(place, each, sql) for each in found)
    body = f'{{"_rid":"{place.rid}","Documents":[{documents}],"_count":{len(found)}}}'.encode()
    headers = place.headers(scope.feed_range or 0, engine.position())
    headers["x-ms-item-count"] = str(len(found))
    if following is not None:
        headers["x-ms-continuation"] = following
    return Answer(200, body, headers, charges.query(len(found), len(body)))


def _statement(request: Request) -> tuple[Sql, dict[str, Json]]:
    body = request.json()
    if not isinstance(body, dict) or not isinstance(text := body.get("query"), str):
        raise Refusal(400, "A query is an object with a string `query`.")
    given = body.get("parameters")
    if given is None:
        given = []
    if not isinstance(given, list):
        raise Refusal(400, "The `parameters` of a query must be a list.")
    parameters: dict[str, Json] = {}
    for each in given:
        if not isinstance(each, dict) or not isinstance(name := each.get("name"), str):
            raise Refusal(400, "A parameter of a query is an object with a string `name` and a `value`.")
        parameters[name] = each.get("value")
    return parse(text), parameters


def _check_cross_partition(request: Request, sql: Sql) -> None:
    if request.method == "GET":
        return
    if not request.flag("x-ms-documentdb-query-enablecrosspartition"):
        raise Refusal(
            400,
            "Cross partition query is required but disabled. Please set "
            "x-ms-documentdb-query-enablecrosspartition to true, specify x-ms-documentdb-partitionkey, or "
            "revise your query to avoid this exception.",
        )
    if is_needed(sql):
        raise Refusal(
            400,
            "The provided cross partition query can not be directly served by the gateway.",
            CROSS_PARTITION_QUERY_NOT_SERVABLE,
            plan(sql),
        )


def _continued(request: Request, sql: Sql) -> tuple[int | None, str | None]:
    """How many items are left of a limited query, and the engine's token."""
    if sql.top is not None and sql.limit is not None:
        raise Refusal(400, "The query is not served by the emulator: TOP and OFFSET exclude each other.")
    left = sql.limit if sql.top is None else sql.top
    token = request.headers.get("x-ms-continuation")
    if token is None or left is None:
        return left, token
    rest, _, token = token.partition(".")
    if not rest.isdecimal() or int(rest) > left:
        raise Refusal(400, "The continuation token does not belong to this query.")
    return int(rest), token


def _text(place: Place, found: Found, _: Sql) -> str:
    return place.item_text(found.row, found.partition, found.id)


def _ordered_text(place: Place, found: Found, sql: Sql) -> str:
    """A row of a rewritten query; an item without the field has an empty object there."""
    value: Json | dict[str, Json] = as_item(found.row)
    order: dict[str, Json] = {}
    for name in (sql.order_by or "").split("."):
        if not isinstance(value, dict) or name not in value:
            break
        value = value[name]
    else:
        order = {"item": value}
    rid = rids.item_rid(place.rid_bytes, found.partition, found.id)
    items = orjson.dumps([order]).decode()
    return f'{{"_rid":"{rid}","orderByItems":{items},"payload":{_text(place, found, sql)}}}'
