"""What is put on record beside the event streams: refused commands, and what was done without a stream.

An accepted command of a decider is on its stream, which the audit trail copies. What is not is an entry in
the container `audit`, in the partition of what it was about (an order, a SKU, `customer:ada`), chained by
hash (core/chain.py); the document `head` remembers number and hash of the last.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from core.chain import HASH, entry_hash
from core.decider import DECISIONS, Rejection, StreamContention
from core.documents import (
    Create,
    DocumentConflict,
    DocumentNotFound,
    Documents,
    PreconditionFailed,
    Replace,
    WriteOperation,
)
from core.json import JsonObject
from core.resilience import retry_transient

CONTAINER = "audit"
HEAD = "head"
ENTRY = "entry"
RETRY_BUDGET_S = 5.0
"""Somebody waits for the answer."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A command as it is put on record: which, of what (an order's id, a SKU, `customer:` and his id), and by
    whom."""

    stream: str
    command: str
    actor: str
    correlation_id: str
    traceparent: str = ""


@asynccontextmanager
async def recording_refusals(documents: Documents, asked: Asked, now: datetime) -> AsyncIterator[None]:
    """Puts a Rejection that comes out of the block on record, and lets it pass."""
    try:
        yield
    except Rejection as refused:
        changed: JsonObject = {"code": refused.code, "detail": str(refused)}
        await retry_transient(
            lambda: put_on_record(documents, asked, "refused", changed, now), budget_s=RETRY_BUDGET_S
        )
        raise


@asynccontextmanager
async def recording(
    documents: Documents, asked: Asked, now: datetime, id: str | None = None
) -> AsyncIterator[JsonObject]:
    """Puts on record what comes of the block: `refused`, when a Rejection comes out of it; else `accepted`,
    with what the block put into the object that it is given.

    So the record follows the change. A crash in between leaves a change that nobody was told of and that is
    not on record; whoever asks for it again puts it there. With an `id` that is once, else as often as asked.
    """
    what: JsonObject = {}
    async with recording_refusals(documents, asked, now):
        yield what
    await retry_transient(
        lambda: put_on_record(documents, asked, "accepted", what, now, id), budget_s=RETRY_BUDGET_S
    )


async def put_on_record(
    documents: Documents, asked: Asked, outcome: str, what: JsonObject, now: datetime, id: str | None = None
) -> None:
    """Two requests. What has an `id` of its own is put on record once, however often it comes.

    Raises StreamContention.
    """
    stream = asked.stream
    for _ in range(DECISIONS):
        try:
            head = (await documents.read(CONTAINER, stream, HEAD)).item
        except DocumentNotFound:
            head = None
        number, previous = (0, "") if head is None else (head["number"], head[HASH])
        assert isinstance(number, int)  # noqa: S101  (written below)
        assert isinstance(previous, str)  # noqa: S101
        entry: JsonObject = {
            "id": id or f"{ENTRY}:{number + 1}",
            "stream": stream,
            "kind": ENTRY,
            "version": number + 1,
            "time": now.isoformat(),
            "actor": asked.actor,
            "outcome": outcome,
            "command": asked.command,
            "correlation_id": asked.correlation_id,
            "traceparent": asked.traceparent,
            "data": what,
        }
        entry[HASH] = entry_hash(previous, entry)
        after: JsonObject = {
            "id": HEAD,
            "stream": stream,
            "kind": HEAD,
            "number": number + 1,
            HASH: entry[HASH],
        }
        last: WriteOperation = Create(after) if head is None else Replace(after, str(head["_etag"]))
        try:
            await documents.batch(CONTAINER, stream, [last, Create(entry)])
        except (DocumentConflict, PreconditionFailed) as conflict:
            if id is not None and conflict.operation == 1:
                return  # on record already
            continue
        return
    raise StreamContention(f"audit of {stream}: others were recorded {DECISIONS} times in a row")
