"""Transactional batches: a list of operations in one partition, all done or none."""

from typing import Literal

import orjson

from emulator.documents.engine import DocumentsEngine
from emulator.documents.model import Json, JsonObject, Operation, Remove, RequestFailed, Row, Write
from emulator.documents.partitions import feed_range_of
from emulator.documents.writes import etag_of
from emulator.wire.cosmos import charges
from emulator.wire.cosmos.exchange import Answer, Refusal, Request
from emulator.wire.cosmos.items import item_of, partition_of
from emulator.wire.cosmos.patches import read_patch
from emulator.wire.cosmos.places import Place

_NOT_RUN = 424
_SERVED = "Create, Upsert, Replace, Delete and Patch"


async def batch(engine: DocumentsEngine, place: Place, request: Request) -> Answer:
    """200 with each operation's result; 207 when one is refused, the others are then 424.

    A request that is no batch at all, or fails as a whole (429, 503), is answered as any other.
    """
    if not request.flag("x-ms-cosmos-batch-atomic"):
        raise Refusal(400, "Only atomic batches are served by the emulator (x-ms-cosmos-batch-atomic: true).")
    body, partition = request.json(), partition_of(request)
    if not isinstance(body, list):
        raise Refusal(400, "A batch is a list of operations.")
    operations: list[Operation] = []
    for index, each in enumerate(body):
        try:
            operations.append(_operation(each))
        except Refusal as refusal:
            refusal.message = f"Operation {index} of the batch: {refusal.message}"
            raise
    try:
        rows = await engine.batch(place.name, partition, operations)
    except RequestFailed as failure:
        if failure.operation is None:
            raise
        headers = place.headers(feed_range_of(partition), engine.position())
        return _failed(headers, len(operations), failure.operation, failure)
    return _done(place, request, partition, operations, rows)


def _operation(value: Json) -> Operation:
    fields = item_of(value)
    if fields.get("ifNoneMatch") is not None:
        raise Refusal(400, "`ifNoneMatch` is not served by the emulator.")
    kind = fields.get("operationType")
    etag = fields.get("ifMatch")
    if etag is not None and not isinstance(etag, str):
        raise Refusal(400, "`ifMatch` must be a string.")
    if etag == "*":
        etag = None
    if kind == "Delete":
        return Remove(_id(fields), etag)
    if kind == "Patch":
        return read_patch(_id(fields), fields.get("resourceBody"), etag)
    if kind == "Replace":
        item = item_of(fields.get("resourceBody"))
        if item.get("id") != _id(fields):
            raise Refusal(400, f"the item's id must be {fields.get('id')!r}, it cannot be changed.")
        return Write("replace", item, etag)
    if kind not in ("Create", "Upsert"):
        raise Refusal(400, f"the operation {kind!r} is not served by the emulator, only {_SERVED}.")
    if etag is not None:
        raise Refusal(400, f"`ifMatch` is not served by the emulator for {kind}.")
    name: Literal["create", "upsert"] = "create" if kind == "Create" else "upsert"
    return Write(name, item_of(fields.get("resourceBody")))


def _id(fields: JsonObject) -> str:
    id = fields.get("id")
    if not isinstance(id, str):
        raise Refusal(400, "`id` must be a string.")
    return id


def _done(
    place: Place, request: Request, partition: str, operations: list[Operation], rows: list[Row | None]
) -> Answer:
    minimal = request.headers.get("prefer") == "return=minimal"
    results = []
    total = 0.0
    last = 0
    for operation, row in zip(operations, rows, strict=True):
        charge = charges.write(0 if row is None else len(row.body))
        total += charge
        if row is None:
            results.append(f'{{"statusCode":204,"requestCharge":{charge}}}')
            continue
        last = row.sequence
        id = operation.item["id"] if isinstance(operation, Write) else operation.id
        text = "" if minimal else f',"resourceBody":{place.item_text(row, partition, str(id))}'
        etag = orjson.dumps(etag_of(row.sequence)).decode()
        status = 201 if row.created else 200
        results.append(f'{{"statusCode":{status},"requestCharge":{charge},"eTag":{etag}{text}}}')
    headers = place.headers(feed_range_of(partition), last)
    return Answer(200, f"[{','.join(results)}]".encode(), headers, total)


def _failed(headers: dict[str, str], number: int, index: int, failure: RequestFailed) -> Answer:
    results: list[Json] = [
        {"statusCode": _NOT_RUN, "requestCharge": 0, "message": "not run"} for _ in range(number)
    ]
    results[index] = {"statusCode": failure.status, "requestCharge": 0, "message": failure.message}
    return Answer(207, orjson.dumps(results), headers, charges.write(0))
