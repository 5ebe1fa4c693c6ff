"""The account, databases, containers and partition key ranges."""

import re
from typing import Final

import orjson

from emulator.documents.catalog import Catalog
from emulator.documents.model import Json, JsonObject
from emulator.documents.partitions import FEED_RANGES, bounds
from emulator.wire.cosmos import rids
from emulator.wire.cosmos.exchange import Answer, Refusal, Request, json_answer
from emulator.wire.cosmos.items import item_of
from emulator.wire.cosmos.places import Place, Places
from emulator.wire.cosmos.sql import MAX_QUERY_CHARACTERS

_ETAG: Final = '"00000000-0000-0000-0000-000000000000"'
_RANGES_ETAG: Final = '"1"'
_PATH = re.compile(r"/([A-Za-z_][A-Za-z0-9_]*)")
_CONTAINER_FIELDS: Final = frozenset({"id", "partitionKey", "defaultTtl", "indexingPolicy"})
_SYSTEM_FIELDS: Final = frozenset(
    {"_rid", "_self", "_etag", "_ts", "_docs", "_sprocs", "_triggers", "_udfs", "_conflicts"}
)
_INDEXING: Final[JsonObject] = {
    "indexingMode": "consistent",
    "automatic": True,
    "includedPaths": [{"path": "/*"}],
    "excludedPaths": [{"path": '/"_etag"/?'}],
}
_QUERY_ENGINE: Final = orjson.dumps(
    {
        "maxSqlQueryInputLength": MAX_QUERY_CHARACTERS,
        "maxJoinsPerSqlQuery": 0,
        "maxLogicalAndPerSqlQuery": 500,
        "maxLogicalOrPerSqlQuery": 0,
        "maxUdfRefPerSqlQuery": 0,
        "maxInExpressionItemsCount": 0,
        "sqlAllowAggregateFunctions": False,
        "sqlAllowGroupByClause": False,
        "sqlAllowSubQuery": False,
        "sqlAllowTop": True,
        "allowNewKeywords": True,
    }
).decode()


def account(request: Request) -> Answer:
    """One region, which is this host and port as the client knows them."""
    here: Json = [{"name": "Local", "databaseAccountEndpoint": f"http://{request.host}/"}]
    return json_answer(
        200,
        {
            "_self": "",
            "id": "emulator",
            "_rid": "emulator",
            "media": "//media/",
            "addresses": "//addresses/",
            "_dbs": "//dbs/",
            "writableLocations": here,
            "readableLocations": here,
            "enableMultipleWriteLocations": False,
            "enablePerPartitionFailoverBehavior": False,
            "userReplicationPolicy": {
                "asyncReplication": False,
                "minReplicaSetSize": 1,
                "maxReplicasetSize": 1,
            },
            "userConsistencyPolicy": {"defaultConsistencyLevel": "Session"},
            "systemReplicationPolicy": {"minReplicaSetSize": 1, "maxReplicasetSize": 1},
            "readPolicy": {"primaryReadCoefficient": 1, "secondaryReadCoefficient": 1},
            "queryEngineConfiguration": _QUERY_ENGINE,
        },
    )


def databases(catalog: Catalog) -> Answer:
    found: list[Json] = [_database(each) for each in catalog.databases()]
    return json_answer(
        200, {"_rid": "", "Databases": found, "_count": len(found)}, x_ms_item_count=str(len(found))
    )


async def create_database(catalog: Catalog, request: Request) -> Answer:
    body = item_of(request.json())
    if unknown := body.keys() - {"id"}:
        raise Refusal(400, f"A database is created of its `id` alone, not of {', '.join(sorted(unknown))}.")
    id = body.get("id")
    await catalog.create_database(id)  # type: ignore[arg-type]  # checked there
    return json_answer(201, _database(str(id)), etag=_ETAG)


def database(id: str) -> Answer:
    return json_answer(200, _database(id), etag=_ETAG)


def containers(places: Places, database: str) -> Answer:
    found: list[Json] = [_container(each) for each in places.containers(database)]
    rid = rids.text(rids.database_bytes(database))
    return json_answer(
        200,
        {"_rid": rid, "DocumentCollections": found, "_count": len(found)},
        x_ms_item_count=str(len(found)),
    )


async def create_container(catalog: Catalog, places: Places, database: str, request: Request) -> Answer:
    """The indexing policy is taken and has no effect: every query is served without an index."""
    body = item_of(request.json())
    fields = {name for name, value in body.items() if value is not None} - _SYSTEM_FIELDS
    if unknown := fields - _CONTAINER_FIELDS:
        raise Refusal(400, f"Not served by the emulator for a container: {', '.join(sorted(unknown))}.")
    ttl = body.get("defaultTtl")
    if ttl is not None and (not isinstance(ttl, int) or isinstance(ttl, bool) or (ttl < 1 and ttl != -1)):
        raise Refusal(400, "`defaultTtl` must be a number of seconds above 0, or -1.")
    id, key = body.get("id"), _partition_key(body.get("partitionKey"))
    await catalog.create_container(database, id, key, ttl)  # type: ignore[arg-type]  # checked there
    return json_answer(201, _container(places.container(database, str(id))), etag=_ETAG)


def container(place: Place) -> Answer:
    answer = json_answer(200, _container(place), etag=_ETAG)
    answer.headers["x-ms-alt-content-path"] = place.path.partition("/colls/")[0]
    return answer


def ranges(place: Place, request: Request) -> Answer:
    """As a feed of changes it has come to an end at once: ranges never split."""
    headers = {"etag": _RANGES_ETAG}
    if request.headers.get("if-none-match") == _RANGES_ETAG:
        return Answer(304, b"", headers)
    found: list[Json] = []
    for number in range(FEED_RANGES):
        low, high = bounds(number)
        rid = rids.text(place.rid_bytes + number.to_bytes(4) + b"\0\0\0\x50")
        found.append(
            {
                "_rid": rid,
                "id": str(number),
                "_etag": _ETAG,
                "minInclusive": low,
                "maxExclusive": high,
                "ridPrefix": number,
                "_self": f"{place.self_link}pkranges/{rid}/",
                "throughputFraction": 1 / FEED_RANGES,
                "status": "online",
                "parents": [],
                "_ts": 0,
            }
        )
    answer = json_answer(200, {"_rid": place.rid, "PartitionKeyRanges": found, "_count": FEED_RANGES})
    answer.headers |= headers | {"x-ms-item-count": str(FEED_RANGES)}
    return answer


def _database(id: str) -> JsonObject:
    rid = rids.text(rids.database_bytes(id))
    return {
        "id": id,
        "_rid": rid,
        "_self": f"dbs/{rid}/",
        "_etag": _ETAG,
        "_colls": "colls/",
        "_users": "users/",
        "_ts": 0,
    }


def _container(place: Place) -> JsonObject:
    shown: JsonObject = {
        "id": place.id,
        "indexingPolicy": _INDEXING,
        "partitionKey": {"paths": [f"/{place.container.partition_key}"], "kind": "Hash", "version": 2},
        "_rid": place.rid,
        "_ts": 0,
        "_self": place.self_link,
        "_etag": _ETAG,
        "_docs": "docs/",
        "_sprocs": "sprocs/",
        "_triggers": "triggers/",
        "_udfs": "udfs/",
        "_conflicts": "conflicts/",
    }
    if place.container.default_ttl is not None:
        shown["defaultTtl"] = place.container.default_ttl
    return shown


def _partition_key(value: Json) -> str:
    rule = '`partitionKey` must be {"paths": ["/field"], "kind": "Hash"}, with one top-level field: '
    if not isinstance(value, dict):
        raise Refusal(400, f"{rule}it is missing.")
    if value.get("kind", "Hash") != "Hash" or value.get("version", 2) != 2:
        raise Refusal(
            400, f"{rule}kind {value.get('kind')!r} of version {value.get('version')!r} is not served."
        )
    paths = value.get("paths")
    matched = _PATH.fullmatch(str(paths[0])) if isinstance(paths, list) and len(paths) == 1 else None
    if matched is None:
        raise Refusal(400, f"{rule}{paths} is not served.")
    return matched[1]
