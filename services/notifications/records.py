"""The container `notifications`, partition key order id.

    <event id>  what would be sent for that event, so an event that comes twice is refused as a conflict
    alert       whether an operator must look at the order: open | closed

An alert is one document per order, so that events may come in any order: each write says of which version of
the order it is, and a cancellation that comes first leaves a closed alert behind. No payment data in either.
"""

from datetime import datetime

from core.documents import (
    Create,
    DocumentConflict,
    DocumentNotFound,
    Documents,
    Patch,
    PreconditionFailed,
    SetField,
    Where,
)
from core.json import JsonObject

CONTAINER = "notifications"
ALERT = "alert"
NEVER_OPENED_TTL_S = 30 * 86400


async def order_shipped(
    documents: Documents,
    *,
    event_id: str,
    order_id: str,
    customer_id: str,
    tracking_number: str,
    now: datetime,
) -> None:
    """Tell the customer that the parcel is on its way. One request."""
    item = _email(event_id, order_id, customer_id, "order_shipped", {"tracking_number": tracking_number}, now)
    try:
        await documents.create(CONTAINER, order_id, item)
    except DocumentConflict:
        return


async def order_cancelled(
    documents: Documents,
    *,
    event_id: str,
    order_id: str,
    customer_id: str,
    reason: str,
    version: int,
    now: datetime,
) -> None:
    """Tell the customer why, and close the order's alert. One request, two when there was an alert.

    A cancelled order is finished, so its alert never opens again.
    """
    email = Create(_email(event_id, order_id, customer_id, "order_cancelled", {"reason": reason}, now))
    closed: JsonObject = {
        "id": ALERT,
        "order_id": order_id,
        "kind": "alert",
        "status": "closed",
        "version": version,
        "opened_at": None,
        "closed_at": now.isoformat(),
        "ttl": NEVER_OPENED_TTL_S,
    }
    try:
        await documents.batch(CONTAINER, order_id, [email, Create(closed)])
    except DocumentConflict as conflict:
        if conflict.operation == 0:
            return
    else:
        return
    close = Patch(
        ALERT,
        (
            SetField("status", "closed"),
            SetField("version", version),
            SetField("closed_at", now.isoformat()),
        ),
    )
    try:
        await documents.batch(CONTAINER, order_id, [email, close])
    except DocumentConflict:
        return


async def attention_needed(
    documents: Documents, *, order_id: str, step: str, attempts: int, version: int, now: datetime
) -> None:
    """Alert an operator: the undo of `step` does not succeed. One request; two when there was an alert.

    `version` is that of the order's event; one that is not newer than the alert changes nothing.
    """
    opened: JsonObject = {
        "id": ALERT,
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


def _email(
    event_id: str,
    order_id: str,
    customer_id: str,
    template: str,
    parameters: JsonObject,
    now: datetime,
) -> JsonObject:
    return {
        "id": event_id,
        "order_id": order_id,
        "kind": "notification",
        "channel": "email",
        "recipient": customer_id,
        "template": template,
        "parameters": {"order_id": order_id, **parameters},
        "status": "recorded",
        "time": now.isoformat(),
    }
