"""The alert of an order: whether an operator must look at it. One document per order, `open` or `closed`.

Events may come in any order: each write says of which version of the order it is, and a cancellation that
comes first leaves a closed alert behind.
"""

from datetime import datetime

from core.documents import (
    DocumentConflict,
    DocumentNotFound,
    Documents,
    PreconditionFailed,
    SetField,
    Where,
)
from core.json import JsonObject
from services.notifications.notification import CONTAINER

ALERT = "alert"
NEVER_OPENED_TTL_S = 30 * 86400


async def close(documents: Documents, *, order_id: str, version: int, now: datetime) -> None:
    """The order is cancelled: finished, so that its alert never opens again. One request, two when there was
    an alert."""
    closed: JsonObject = {
        "id": ALERT,
        "subject": order_id,
        "order_id": order_id,
        "kind": "alert",
        "status": "closed",
        "version": version,
        "opened_at": None,
        "closed_at": now.isoformat(),
        "ttl": NEVER_OPENED_TTL_S,
    }
    try:
        await documents.create(CONTAINER, order_id, closed)
    except DocumentConflict:
        changes = [
            SetField("status", "closed"),
            SetField("version", version),
            SetField("closed_at", now.isoformat()),
        ]
        try:
            await documents.patch(CONTAINER, order_id, ALERT, changes, (Where("version", "<", version),))
        except PreconditionFailed:
            return


async def open_for(
    documents: Documents, *, order_id: str, step: str, attempts: int, version: int, now: datetime
) -> None:
    """Alert an operator: the undo of `step` does not succeed. One request; two when there was an alert.

    `version` is that of the order's event; one that is not newer than the alert changes nothing.
    """
    opened: JsonObject = {
        "id": ALERT,
        "subject": order_id,
        "order_id": order_id,
        "kind": "alert",
        "status": "open",
        "step": step,
        "attempts": attempts,
        "version": version,
        "opened_at": now.isoformat(),
        "closed_at": None,
    }
    while True:
        try:
            await documents.create(CONTAINER, order_id, opened)
        except DocumentConflict:
            try:
                await documents.patch(
                    CONTAINER,
                    order_id,
                    ALERT,
                    [
                        SetField("status", "open"),
                        SetField("step", step),
                        SetField("attempts", attempts),
                        SetField("version", version),
                        SetField("opened_at", now.isoformat()),
                    ],
                    (Where("version", "<", version),),
                )
            except PreconditionFailed:
                return
            except DocumentNotFound:
                continue
        return
