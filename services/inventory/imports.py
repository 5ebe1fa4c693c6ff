"""Bulk import of stock: accepted in one batch, booked in the background chunk by chunk.

The container `stock-imports`, partition key `import_id`:

    import     what was sent, and the rows that break a rule
    chunk:<n>  up to CHUNK rows: waiting -> done, then with the number of those booked and the errors

A chunk is a message on the queue of inventory. Each of its rows is booked under a key of its own, so a chunk
that a crash cut short is simply booked again; a row that the rules refuse is recorded under that key too, so
that every delivery of the chunk finds the same.
"""

import base64
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import cast

from core.bus import Bus
from core.concurrency import gather_bounded
from core.contracts import InvalidContract, contract_name
from core.decider import Rejection
from core.documents import (
    Create,
    DocumentConflict,
    DocumentNotFound,
    Documents,
    PreconditionFailed,
    Query,
)
from core.envelope import Envelope, check_command, command_id, to_message, wrap
from core.json import Json, JsonObject
from core.resilience import retry_transient
from services.inventory.csv_rows import Column, Row, RowError, Rows
from services.inventory.figures import CONTAINER as STOCK_CONTAINER
from services.inventory.messages import ImportChunk
from services.inventory.movements import Booking, Count, Receipt, book, movement_id
from services.inventory.stock import KeyReused

IMPORT_CHUNK = contract_name(ImportChunk)
CONTAINER = "stock-imports"
IMPORT = "import"
QUEUE = "inventory"
CHUNK = 100
AT_ONCE = 8
RETENTION_S = 30 * 86400
SHOWN_ERRORS = 1000


class UnknownImport(Rejection):
    def __init__(self) -> None:
        super().__init__("unknown_import", "import_id: there is no such import")


async def accept(
    documents: Documents, bus: Bus, key: str | None, content: bytes, rows: Rows, now: datetime
) -> str:
    """The import's id, made of the key or else of the file. The same again starts nothing anew, but what was
    not done yet is sent again. Raises KeyReused.
    """
    digest = hashlib.sha256(content).hexdigest()
    import_id = _import_id(f"key:{key}" if key else f"file:{digest}")
    chunks = [rows.good[start : start + CHUNK] for start in range(0, len(rows.good), CHUNK)]
    accepted: JsonObject = {
        "id": IMPORT,
        "import_id": import_id,
        "kind": IMPORT,
        "digest": digest,
        "column": rows.column,
        "rows": len(rows.good) + len(rows.errors),
        "errors": [_error_item(error) for error in rows.errors],
        "created_at": now.isoformat(),
        "ttl": RETENTION_S,
    }
    items = [_chunk_item(import_id, number, rows.column, each) for number, each in enumerate(chunks, start=1)]
    try:
        await documents.batch(CONTAINER, import_id, [Create(accepted), *(Create(item) for item in items)])
    except DocumentConflict:
        before, stored = await _stored(documents, import_id)
        if before["digest"] != digest:
            raise KeyReused(
                "idempotency_key_reused", "Idempotency-Key: belongs to the import of another file"
            ) from None
        items = [item for item in stored if item["status"] == "waiting"]
    if items:
        numbers = [cast(int, item["number"]) for item in items]
        await bus.send(QUEUE, [to_message(_command(import_id, number, now)) for number in numbers])
    return import_id


async def import_chunk(documents: Documents, command: Envelope, now: datetime) -> None:
    """Book the rows of one chunk that are not booked yet. Raises InvalidContract."""
    wanted = command.data
    if not isinstance(wanted, ImportChunk):
        raise InvalidContract(f"type: {command.type!r} is no chunk of an import")
    check_command(command, wanted.import_id, str(wanted.number))
    try:
        stored = await documents.read(CONTAINER, wanted.import_id, _chunk_id(wanted.number))
    except DocumentNotFound as error:
        raise InvalidContract(f"number: there is no chunk {wanted.number} of {wanted.import_id!r}") from error
    if stored.item["status"] == "done":
        return
    rows = [Row(*row) for row in cast(list[tuple[int, str, int, str | None]], stored.item["rows"])]
    column = cast(Column, stored.item["column"])
    errors: list[RowError] = []

    async def apply(row: Row) -> None:
        error = await retry_transient(lambda: _book(documents, wanted.import_id, column, row, now))
        if error is not None:
            errors.append(error)

    await gather_bounded(apply, rows, AT_ONCE)
    done: JsonObject = {
        **{field: value for field, value in stored.item.items() if not field.startswith("_")},
        "status": "done",
        "booked": len(rows) - len(errors),
        "errors": [_error_item(error) for error in sorted(errors, key=lambda error: error.row)],
    }
    try:
        await documents.replace(CONTAINER, wanted.import_id, done, stored.etag)
    except PreconditionFailed:
        return  # another delivery of the chunk was faster, and found the same


async def report(documents: Documents, import_id: str) -> JsonObject:
    """{"id", "status": "running" | "completed", "rows", "booked", "failed", "waiting", "errors",
    "created_at", "links"}

    `errors` are the first SHOWN_ERRORS: {"row", "field", "rule"}. Raises UnknownImport.
    """
    accepted, chunks = await _stored(documents, import_id)
    errors = _errors(accepted, *chunks)
    rows = cast(int, accepted["rows"])
    booked = sum(cast(int, chunk["booked"]) for chunk in chunks)
    waiting = rows - booked - len(errors)
    return {
        "id": import_id,
        "status": "running" if waiting else "completed",
        "rows": rows,
        "booked": booked,
        "failed": len(errors),
        "waiting": waiting,
        "errors": [cast(Json, error) for error in errors[:SHOWN_ERRORS]],
        "created_at": accepted["created_at"],
        "links": links(import_id),
    }


def links(import_id: str) -> JsonObject:
    return {"self": f"/api/inventory/imports/{import_id}"}


async def _stored(documents: Documents, import_id: str) -> tuple[JsonObject, list[JsonObject]]:
    """The import and its chunks. Raises UnknownImport."""
    items: list[JsonObject] = []
    query = Query(partition=import_id)
    while True:
        page = await documents.query(CONTAINER, query)
        items.extend(page.items)
        if page.continuation is None:
            break
        query = Query(partition=import_id, continuation=page.continuation)
    accepted = next((item for item in items if item["id"] == IMPORT), None)
    if accepted is None:
        raise UnknownImport
    return accepted, [item for item in items if item["id"] != IMPORT]


async def _book(
    documents: Documents, import_id: str, column: Column, row: Row, now: datetime
) -> RowError | None:
    """Book a row, or find that it was booked or refused before. A refusal is kept under the row's key."""
    key = f"{import_id}:{row.number}"
    reference = row.reference or f"import {import_id}"
    booking: Booking = (
        Receipt(row.pieces, reference) if column == "quantity" else Count(row.pieces, reference)
    )
    try:
        outcome = await book(documents, row.sku, key, booking, now)
    except Rejection as rejection:
        field, _, rule = str(rejection).partition(": ")
        refused: JsonObject = {
            "id": movement_id(key),
            "sku": row.sku,
            "kind": "refused",
            "asked": {"type": type(booking).__name__.lower(), **asdict(booking)},
            "field": field,
            "rule": rule,
            "ttl": RETENTION_S,
        }
        try:
            outcome = (await documents.create(STOCK_CONTAINER, row.sku, refused)).item
        except DocumentConflict:
            outcome = (await documents.read(STOCK_CONTAINER, row.sku, movement_id(key))).item
    if outcome["kind"] != "refused":
        return None
    return RowError(row.number, cast(str, outcome["field"]), cast(str, outcome["rule"]))


def _command(import_id: str, number: int, now: datetime) -> Envelope:
    id = command_id(import_id, IMPORT_CHUNK, str(number))
    return wrap(
        ImportChunk(import_id, number),
        id=id,
        source="inventory",
        subject=import_id,
        time=now,
        correlation_id=import_id,
        causation_id=import_id,
    )


def _import_id(key: str) -> str:
    return f"imp-{base64.b32encode(hashlib.sha256(key.encode()).digest()).decode().lower()[:20]}"


def _chunk_id(number: int) -> str:
    return f"chunk:{number}"


def _chunk_item(import_id: str, number: int, column: Column, rows: Sequence[Row]) -> JsonObject:
    return {
        "id": _chunk_id(number),
        "import_id": import_id,
        "kind": "chunk",
        "number": number,
        "column": column,
        "rows": [[row.number, row.sku, row.pieces, row.reference] for row in rows],
        "status": "waiting",
        "booked": 0,
        "errors": [],
        "ttl": RETENTION_S,
    }


def _error_item(error: RowError) -> JsonObject:
    return {"row": error.row, "field": error.field, "rule": error.rule}


def _errors(*items: JsonObject) -> list[JsonObject]:
    found = [error for item in items for error in cast(Iterable[JsonObject], item["errors"])]
    return sorted(found, key=lambda error: cast(int, error["row"]))
