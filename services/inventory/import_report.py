"""What the API shows of an import: how far it is, and which rows were refused."""

from typing import TypedDict

from core.documents import Documents, Query, Where
from core.json import Link, Timestamp
from services.inventory.csv_rows import RowError
from services.inventory.imports import CONTAINER, ImportStatus, error_of, find

SHOWN_ERRORS = 100


class RefusedRow(TypedDict):
    """`row` counts as a spreadsheet does: the header is 1. `field` is a column, or `row` for all of it."""

    row: int
    field: str
    rule: str


class ImportLinks(TypedDict):
    self: Link
    errors: Link


class ImportReport(TypedDict):
    """`rows` = `booked` + `failed` + `waiting`. `errors` are the first of those so far; the link has all.

    `stopped`: the file was lost before all was booked, and must be sent again.
    """

    id: str
    status: ImportStatus
    rows: int
    booked: int
    failed: int
    waiting: int
    errors: list[RefusedRow]
    created_at: Timestamp
    links: ImportLinks


class RefusedRows(TypedDict):
    """In the order of the rows."""

    items: list[RefusedRow]
    continuation: str | None


async def report(documents: Documents, import_id: str) -> ImportReport:
    """Raises UnknownImport."""
    found = await find(documents, import_id)
    shown: list[RefusedRow] = []
    if found.failed:
        shown = (await read_errors(documents, import_id, SHOWN_ERRORS, None))["items"]
    return {
        "id": import_id,
        "status": found.status,
        "rows": found.rows,
        "booked": found.booked,
        "failed": found.failed,
        "waiting": found.rows - found.booked - found.failed,
        "errors": shown,
        "created_at": found.created_at,
        "links": {"self": location(import_id), "errors": f"{location(import_id)}/errors"},
    }


async def read_errors(
    documents: Documents, import_id: str, limit: int, continuation: str | None
) -> RefusedRows:
    """Raises UnknownImport, BadDocumentRequest for a continuation of another query."""
    query = Query((Where("row", ">", 0),), import_id, "row", limit=limit, continuation=continuation)
    page = await documents.query(CONTAINER, query)
    if not page.items:
        await find(documents, import_id)
    return {"items": [_refused(error_of(item)) for item in page.items], "continuation": page.continuation}


def location(import_id: str) -> str:
    return f"/api/inventory/imports/{import_id}"


def _refused(error: RowError) -> RefusedRow:
    return {"row": error.row, "field": error.field, "rule": error.rule}
