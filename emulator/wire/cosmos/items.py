"""Point operations: create, upsert, read, replace, delete, patch."""

from typing import Literal

import orjson

from emulator.documents.engine import DocumentsEngine
from emulator.documents.model import Json, JsonObject, Remove, Row, Write
from emulator.documents.partitions import feed_range_of
from emulator.documents.writes import etag_of
from emulator.wire.cosmos import charges
from emulator.wire.cosmos.exchange import PARTITION_KEY_MISMATCH, Answer, Refusal, Request
from emulator.wire.cosmos.patches import read_patch
from emulator.wire.cosmos.places import Place


def partition_of(request: Request) -> str:
    """The partition key of the request. Raises Refusal 400."""
    text = request.headers.get("x-ms-documentdb-partitionkey")
    if text is None:
        raise Refusal(400, "The header x-ms-documentdb-partitionkey is missing.")
    try:
        key = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise Refusal(400, f"The header x-ms-documentdb-partitionkey is not JSON: {text}") from None
    if not isinstance(key, list) or len(key) != 1:
        raise Refusal(400, f"The partition key {text} must be a list of one value: there is one path.")
    if not isinstance(key[0], str):
        raise Refusal(400, f"The partition key {text} is not served: the emulator takes strings only.")
    return key[0]


async def create(engine: DocumentsEngine, place: Place, request: Request) -> Answer:
    kind: Literal["create", "upsert"] = "create"
    if request.flag("x-ms-documentdb-is-upsert"):
        kind = "upsert"
    _refuse_conditions(request, "if-match", "if-none-match")
    item, partition = item_of(request.json()), partition_of(request)
    check_partition_key(place, partition, item)
    row = await engine.write(place.name, partition, Write(kind, item))
    return _written(place, request, partition, str(item["id"]), row, 201 if row and row.created else 200)


async def read(engine: DocumentsEngine, place: Place, id: str, request: Request) -> Answer:
    partition = partition_of(request)
    row = engine.find(place.name, partition, id)
    headers = place.item_headers(row, partition)
    if request.headers.get("if-none-match") == etag_of(row.sequence):
        return Answer(304, b"", headers, charges.read(0))
    body = place.item_text(row, partition, id).encode()
    return Answer(200, body, headers, charges.read(len(body)))


async def replace(engine: DocumentsEngine, place: Place, id: str, request: Request) -> Answer:
    item, partition = item_of(request.json()), partition_of(request)
    if item.get("id") != id:
        raise Refusal(
            400, f"The item's id {item.get('id')!r} is not that of the path, {id!r}: it cannot be changed."
        )
    check_partition_key(place, partition, item)
    row = await engine.write(place.name, partition, Write("replace", item, _if_match(request)))
    return _written(place, request, partition, id, row, 200)


async def patch(engine: DocumentsEngine, place: Place, id: str, request: Request) -> Answer:
    partition = partition_of(request)
    operation = read_patch(id, request.json(), _if_match(request))
    row = await engine.write(place.name, partition, operation)
    return _written(place, request, partition, id, row, 200)


async def delete(engine: DocumentsEngine, place: Place, id: str, request: Request) -> Answer:
    partition = partition_of(request)
    await engine.write(place.name, partition, Remove(id, _if_match(request)))
    return Answer(204, b"", place.headers(feed_range_of(partition), engine.position()), charges.write(0))


def item_of(value: Json) -> JsonObject:
    if not isinstance(value, dict):
        raise Refusal(400, "The request body must be an item, a JSON object.")
    return value


def check_partition_key(place: Place, partition: str, item: JsonObject) -> None:
    if item.get(place.container.partition_key) != partition:
        raise Refusal(
            400,
            "PartitionKey extracted from document doesn't match the one specified in the header: "
            f"`{place.container.partition_key}` must be {partition!r}.",
            PARTITION_KEY_MISMATCH,
        )


def _if_match(request: Request) -> str | None:
    """The ETag that is wanted; None for any."""
    _refuse_conditions(request, "if-none-match")
    etag = request.headers.get("if-match")
    return None if etag == "*" else etag


def _refuse_conditions(request: Request, *headers: str) -> None:
    for header in headers:
        if header in request.headers:
            raise Refusal(400, f"The header {header} is not served by the emulator for this operation.")


def _written(place: Place, request: Request, partition: str, id: str, row: Row | None, status: int) -> Answer:
    assert row is not None  # noqa: S101  (only a delete leaves nothing)
    minimal = request.headers.get("prefer") == "return=minimal"
    body = b"" if minimal else place.item_text(row, partition, id).encode()
    return Answer(status, body, place.item_headers(row, partition), charges.write(len(row.body)))
