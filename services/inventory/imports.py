"""Bulk import of stock: what is kept of a file, and how far its import is.

A blob holds the rows as they were read, one JSON array a line, good ones and those that break a rule. The
container `stock-imports`, partition key `import_id`:

    import     what was sent, where the chunks of the blob end, and the next of them
    error:...  a row that was refused, by its rule or when its turn came

`importing` books the chunks. An import is accepted in this order: document, blob, message. Whatever a crash
leaves of it is found by the same request, or else by the timer, through `due_at`: when it must be looked at.
What has ended has none.
"""

import asyncio
import base64
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, cast

import orjson

from core.audit import Asked, recording
from core.blobs import Blobs
from core.bus import Bus
from core.contracts import contract_name
from core.decider import Rejection
from core.documents import (
    MAX_BATCH_OPERATIONS,
    DocumentConflict,
    DocumentNotFound,
    Documents,
    PreconditionFailed,
    SetField,
    Where,
)
from core.envelope import command_id, to_message, wrap
from core.json import JsonObject
from services.inventory.csv_rows import Column, File, Row, RowError
from services.inventory.messages import ImportChunk
from services.inventory.reservation import timestamp
from services.inventory.stock import KeyReused

IMPORT_CHUNK = contract_name(ImportChunk)
CONTAINER = "stock-imports"
IMPORT = "import"
ERROR = "error"
QUEUE = "inventory"
CHUNK = MAX_BATCH_OPERATIONS - 1
"""Rows. All may be errors, which are recorded in one batch with the progress."""

OVERDUE_AFTER = timedelta(minutes=5)
"""Longer than the deliveries of a chunk take when nothing is down."""

RETENTION_S = 30 * 86400

type ImportStatus = Literal["running", "completed", "stopped"]


class UnknownImport(Rejection):
    def __init__(self) -> None:
        super().__init__("unknown_import", "import_id: there is no such import")


@dataclass(frozen=True, slots=True)
class Import:
    """`ends` are the bytes of the blob at which its chunks end; `next` is the first chunk, from 1, that is
    not booked yet. `due_at` is None once it has ended, or was stopped."""

    id: str
    digest: str
    column: Column
    rows: int
    ends: Sequence[int]
    next: int
    booked: int
    failed: int
    created_at: str
    due_at: str | None

    @property
    def blob(self) -> str:
        return f"imports/{self.id}.jsonl"

    @property
    def is_booked(self) -> bool:
        return self.next > len(self.ends)

    @property
    def status(self) -> ImportStatus:
        """`stopped`: its file is lost, and must be sent again."""
        if self.is_booked:
            return "completed"
        return "stopped" if self.due_at is None else "running"


async def accept(
    documents: Documents, bus: Bus, blobs: Blobs, key: str | None, content: bytes, file: File, now: datetime
) -> tuple[str, bool]:
    """The import's id, made of the key or else of the content, and whether anything of it is to be booked.

    The same again starts nothing anew, and what a crash had cut short here goes on.

    Raises KeyReused, InvalidFile.
    """
    digest = hashlib.sha256(content).hexdigest()
    import_id = _import_id(f"key:{key}" if key else f"file:{digest}")
    lines, ends, rows = await _lines(file.rows)
    new = Import(
        import_id, digest, file.column, rows, ends, 1, 0, 0, now.isoformat(), timestamp(now + OVERDUE_AFTER)
    )
    asked = Asked(import_id, "inventory.import", "operator", import_id)
    async with recording(documents, asked, now, id="accepted") as record:
        record.update(digest=digest, rows=rows)
        goes_on = await _begin(documents, bus, blobs, new, lines, now)
    return import_id, goes_on


async def _begin(
    documents: Documents, bus: Bus, blobs: Blobs, new: Import, lines: bytes, now: datetime
) -> bool:
    """False when all of it was booked before."""
    try:
        await documents.create(CONTAINER, new.id, _item(new))
    except DocumentConflict:
        found = await find(documents, new.id)
        if found.digest != new.digest:
            raise KeyReused(
                "idempotency_key_reused", "Idempotency-Key: belongs to the import of another file"
            ) from None
        if found.is_booked:
            return False
        if found.next > 1 and found.due_at is not None:
            return True
        if found.due_at is None:
            try:
                await move_due(documents, found, now + OVERDUE_AFTER)
            except PreconditionFailed:
                return True  # it goes on already
        new = found
    await blobs.put(new.blob, lines, "application/jsonl")
    await send_chunk(bus, new.id, new.next, now)
    return True


async def find(documents: Documents, import_id: str) -> Import:
    """Raises UnknownImport."""
    try:
        item = (await documents.read(CONTAINER, import_id, IMPORT)).item
    except DocumentNotFound:
        raise UnknownImport from None
    return from_item(item)


async def move_due(documents: Documents, found: Import, due_at: datetime | None) -> None:
    """Raises PreconditionFailed when a chunk was booked meanwhile."""
    later = None if due_at is None else timestamp(due_at)
    await documents.patch(
        CONTAINER, found.id, IMPORT, [SetField("due_at", later)], [Where("next", "=", found.next)]
    )


async def send_chunk(bus: Bus, import_id: str, number: int, now: datetime) -> None:
    command = wrap(
        ImportChunk(import_id, number),
        id=command_id(import_id, IMPORT_CHUNK, str(number)),
        source="inventory",
        subject=import_id,
        time=now,
        correlation_id=import_id,
        causation_id=import_id,
    )
    await bus.send(QUEUE, [to_message(command)])


def from_item(item: JsonObject) -> Import:
    return Import(
        id=cast(str, item["import_id"]),
        digest=cast(str, item["digest"]),
        column=cast(Column, item["column"]),
        rows=cast(int, item["rows"]),
        ends=cast(list[int], item["ends"]),
        next=cast(int, item["next"]),
        booked=cast(int, item["booked"]),
        failed=cast(int, item["failed"]),
        created_at=cast(str, item["created_at"]),
        due_at=cast(str | None, item["due_at"]),
    )


def error_item(import_id: str, error: RowError) -> JsonObject:
    return {
        "id": f"{ERROR}:{error.row}",
        "import_id": import_id,
        "kind": ERROR,
        "row": error.row,
        "field": error.field,
        "rule": error.rule,
        "ttl": RETENTION_S,
    }


def error_of(item: JsonObject) -> RowError:
    return RowError(cast(int, item["row"]), cast(str, item["field"]), cast(str, item["rule"]))


def read_lines(lines: bytes) -> list[Row | RowError]:
    """As `_lines` wrote them."""
    found = map(orjson.loads, lines.splitlines())
    return [Row(*each) if len(each) == len(Row.__slots__) else RowError(*each) for each in found]


async def _lines(rows: Iterable[Row | RowError]) -> tuple[bytes, list[int], int]:
    """The lines of the blob, where its chunks end, and the number of rows. Lets others run in between.

    Raises InvalidFile.
    """
    lines = bytearray()
    ends: list[int] = []
    count = 0
    for row in rows:
        match row:
            case Row():
                lines += orjson.dumps((row.number, row.sku, row.pieces, row.reference))
            case RowError():
                lines += orjson.dumps((row.row, row.field, row.rule))
        lines += b"\n"
        count += 1
        if count % CHUNK == 0:
            ends.append(len(lines))
            await asyncio.sleep(0)
    if count % CHUNK:
        ends.append(len(lines))
    return bytes(lines), ends, count


def _item(new: Import) -> JsonObject:
    return {
        "id": IMPORT,
        "import_id": new.id,
        "kind": IMPORT,
        "digest": new.digest,
        "column": new.column,
        "rows": new.rows,
        "ends": list(new.ends),
        "next": new.next,
        "booked": new.booked,
        "failed": new.failed,
        "created_at": new.created_at,
        "due_at": new.due_at,
        "ttl": RETENTION_S,
    }


def _import_id(key: str) -> str:
    return f"imp-{base64.b32encode(hashlib.sha256(key.encode()).digest()).decode().lower()[:20]}"
