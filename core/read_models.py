"""Read models: rows that can always be made again from the truth, while the truth goes on changing.

A row is repaired by reading it first and the truth after it, and by writing under the ETag of that reading.
The truth is then never older than the row, so a row that differs is stale or damaged, and a row that was
written in the meantime is left alone and looked at again.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from core.concurrency import gather_bounded
from core.decider import BrokenStream
from core.documents import (
    BadDocumentRequest,
    DocumentConflict,
    DocumentNotFound,
    Documents,
    PreconditionFailed,
    Query,
    Where,
)
from core.json import JsonObject
from core.telemetry import log

AT_ONCE = 8

logger = logging.getLogger("orderflow.read_models")


@dataclass(frozen=True, slots=True)
class Key:
    """Of a row: its partition key and its id."""

    partition: str
    id: str


@dataclass(frozen=True, slots=True)
class ReadModel:
    """`container` and `second` are the containers that it can be in (core/read_model_places.py).

    `source` and `where` find one item for each row that there must be; `source_key` and `row_key` name
    the row.

    `truth` is the row as it must be, None when there must be none. It and the keys raise BrokenStream for
    what cannot be read.
    """

    name: str
    container: str
    second: str
    source: str
    where: tuple[Where, ...]
    source_key: Callable[[JsonObject], Key]
    row_key: Callable[[JsonObject], Key]
    truth: Callable[[Documents, Key], Awaitable[JsonObject | None]]


type Repaired = Literal["right", "written", "removed"]


@dataclass(frozen=True, slots=True)
class Progress:
    """What one page did. `broken`: sources that cannot be read. `continuation` None: the rebuild is
    complete."""

    checked: int
    written: int
    removed: int
    broken: int
    continuation: str | None


async def repair(documents: Documents, model: ReadModel, key: Key) -> Repaired:
    """Make one row what the truth says. One request when it is right, else two, and those of the truth."""
    while True:
        try:
            row = (await documents.read(model.container, key.partition, key.id)).item
        except DocumentNotFound:
            row = None
        wanted = await model.truth(documents, key)
        try:
            if row is None and wanted is None:
                return "right"
            if row is None and wanted is not None:
                await documents.create(model.container, key.partition, wanted)
                return "written"
            assert row is not None  # noqa: S101  (the two cases above)
            etag = row["_etag"]
            assert isinstance(etag, str)  # noqa: S101  (the store's own field)
            if wanted is None:
                await documents.delete(model.container, key.partition, key.id, etag)
                return "removed"
            if all(wanted.get(field) == value for field, value in row.items() if field[0] != "_") and (
                wanted.keys() <= row.keys()
            ):
                return "right"
            await documents.replace(model.container, key.partition, wanted, etag)
        except (DocumentConflict, DocumentNotFound, PreconditionFailed):
            continue
        return "written"


async def rebuild(
    documents: Documents, model: ReadModel, continuation: str | None, page_size: int = 100
) -> Progress:
    """Repair one page of rows: first those that there must be, then those that there are.

    Call it again with the continuation of its answer until that is None. Raises BadDocumentRequest for a
    continuation of something else.
    """
    phase, _, token = (continuation or "sources:").partition(":")
    if phase not in {"sources", "rows"}:
        raise BadDocumentRequest("continuation: is not one of a rebuild")
    container, where, key_of = (
        (model.source, model.where, model.source_key)
        if phase == "sources"
        else (model.container, (), model.row_key)
    )
    page = await documents.query(container, Query(where, limit=page_size, continuation=token or None))
    counts = {"right": 0, "written": 0, "removed": 0, "broken": 0}

    async def repair_one(item: JsonObject) -> None:
        try:
            counts[await repair(documents, model, key_of(item))] += 1
        except BrokenStream as error:
            log(logger, logging.ERROR, "source cannot be read", read_model=model.name, reason=str(error))
            counts["broken"] += 1

    await gather_bounded(repair_one, page.items, AT_ONCE)
    if page.continuation is not None:
        following: str | None = f"{phase}:{page.continuation}"
    else:
        following = "rows:" if phase == "sources" else None
    return Progress(len(page.items), counts["written"], counts["removed"], counts["broken"], following)
