"""Books the rows of an import, chunk by chunk: each is a message, which sends the one of the next.

Each row is booked under a key of its own, so a chunk that a crash cut short is simply booked again; a row
that the rules refuse is recorded under that key too, so that every delivery of the chunk finds the same. Of
the deliveries of a chunk the first to end records what came of it, on the condition that the chunk is still
the next; the others add nothing.
"""

import logging
from dataclasses import asdict
from datetime import datetime
from typing import cast

from core.blobs import BlobNotFound, Blobs
from core.bus import Bus
from core.concurrency import gather_bounded
from core.contracts import InvalidContract
from core.decider import Rejection
from core.documents import (
    Create,
    DocumentConflict,
    Documents,
    Increment,
    Patch,
    PreconditionFailed,
    Query,
    SetField,
    Where,
)
from core.envelope import Envelope, check_command
from core.json import JsonObject
from core.resilience import retry_transient
from core.telemetry import log
from services.inventory.csv_rows import Row, RowError
from services.inventory.figures import CONTAINER as STOCK_CONTAINER
from services.inventory.imports import (
    CONTAINER,
    IMPORT,
    OVERDUE_AFTER,
    RETENTION_S,
    Import,
    UnknownImport,
    error_item,
    find,
    from_item,
    move_due,
    read_lines,
    send_chunk,
)
from services.inventory.messages import ImportChunk
from services.inventory.movements import REFUSED, Booking, Count, Receipt, book, movement_id
from services.inventory.reservation import timestamp

AT_ONCE = 8
ROW_RETRY_S = 10.0
"""So that a chunk ends within the time of a function, and is delivered again, whatever is down."""

logger = logging.getLogger("orderflow.inventory")


async def import_chunk(
    documents: Documents, bus: Bus, blobs: Blobs, command: Envelope, now: datetime
) -> None:
    """Book a chunk, or find that it is booked, and see to what comes after it. Raises InvalidContract."""
    wanted = command.data
    if not isinstance(wanted, ImportChunk):
        raise InvalidContract(f"type: {command.type!r} is no chunk of an import")
    check_command(command, wanted.import_id, str(wanted.number))
    try:
        found = await find(documents, wanted.import_id)
    except UnknownImport:
        raise InvalidContract(f"import_id: there is no import {wanted.import_id!r}") from None
    if wanted.number > len(found.ends):
        raise InvalidContract(f"number: there is no chunk {wanted.number} of {wanted.import_id!r}")
    if found.next > wanted.number + 1:
        return
    if found.next <= wanted.number and not await _book_chunk(documents, blobs, found, wanted.number, now):
        return
    if wanted.number == len(found.ends):
        await _end(documents, blobs, found)
    else:
        await send_chunk(bus, found.id, wanted.number + 1, now)


async def resume_overdue(documents: Documents, bus: Bus, now: datetime) -> int:
    """Sends again what was lost on the way, as by a crash of a delivery that another had overtaken.

    Answers how many imports were overdue; those over a page are the next run's.
    """

    async def resume(item: JsonObject) -> None:
        found = from_item(item)
        try:
            await move_due(documents, found, now + OVERDUE_AFTER)
        except PreconditionFailed:
            return
        log(logger, logging.WARNING, "import resumed", import_id=found.id, chunk=found.next)
        await send_chunk(bus, found.id, min(found.next, len(found.ends)), now)

    page = await documents.query(
        CONTAINER, Query((Where("due_at", "<=", timestamp(now)),), order_by="due_at")
    )
    await gather_bounded(resume, page.items, AT_ONCE)
    return len(page.items)


async def _book_chunk(documents: Documents, blobs: Blobs, found: Import, number: int, now: datetime) -> bool:
    """Whether this delivery is the one to go on."""
    start = found.ends[number - 2] if number > 1 else 0
    try:
        lines = await blobs.get_part(found.blob, start, found.ends[number - 1])
    except BlobNotFound:
        await _stop(documents, found)
        return False
    rows = read_lines(lines)
    errors = [row for row in rows if isinstance(row, RowError)]

    async def apply(row: Row) -> None:
        error = await retry_transient(lambda: _book_row(documents, found, row, now), budget_s=ROW_RETRY_S)
        if error is not None:
            errors.append(error)

    await gather_bounded(apply, [row for row in rows if isinstance(row, Row)], AT_ONCE)
    booked = Patch(
        IMPORT,
        (
            SetField("next", number + 1),
            SetField("due_at", timestamp(now + OVERDUE_AFTER)),
            Increment("booked", len(rows) - len(errors)),
            Increment("failed", len(errors)),
        ),
        (Where("next", "=", number),),
    )
    created = [Create(error_item(found.id, error)) for error in errors]
    try:
        await documents.batch(CONTAINER, found.id, [booked, *created])
    except PreconditionFailed:
        return False  # another delivery was faster, and found the same
    return True


async def _stop(documents: Documents, found: Import) -> None:
    """A crash came before the file was stored, or somebody removed it. Sent again, it goes on."""
    try:
        await move_due(documents, found, None)
    except PreconditionFailed:
        return  # it was booked to its end meanwhile
    log(logger, logging.ERROR, "import stopped: its file is lost", import_id=found.id, chunk=found.next)


async def _end(documents: Documents, blobs: Blobs, found: Import) -> None:
    await blobs.delete(found.blob)
    await documents.patch(CONTAINER, found.id, IMPORT, [SetField("due_at", None)])


async def _book_row(documents: Documents, found: Import, row: Row, now: datetime) -> RowError | None:
    """Book a row, or find that it was booked or refused before. A refusal is kept under the row's key."""
    key = f"{found.id}:{row.number}"
    reference = row.reference or f"import {found.id}"
    booking: Booking = (
        Receipt(row.pieces, reference) if found.column == "quantity" else Count(row.pieces, reference)
    )
    try:
        outcome = await book(documents, row.sku, key, booking, now)
    except Rejection as rejection:
        field, _, rule = str(rejection).partition(": ")
        refused: JsonObject = {
            "id": movement_id(key),
            "sku": row.sku,
            "kind": REFUSED,
            "import_id": found.id,
            "refused_at": now.isoformat(),
            "asked": {"type": type(booking).__name__.lower(), **asdict(booking)},
            "field": field,
            "rule": rule,
            "ttl": RETENTION_S,
        }
        try:
            outcome = (await documents.create(STOCK_CONTAINER, row.sku, refused)).item
        except DocumentConflict:
            outcome = (await documents.read(STOCK_CONTAINER, row.sku, movement_id(key))).item
    if outcome["kind"] != REFUSED:
        return None
    return RowError(row.number, cast(str, outcome["field"]), cast(str, outcome["rule"]))
