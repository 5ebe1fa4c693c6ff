"""Alerts: what an operator must look at. One document each, `open` or `closed`, in its order's partition.

    alert                of the order, whose undo does not succeed; until the order is cancelled
    alert:{return id}    of a return, of which a step does not succeed; until it has ended
    alert:{event id}     of money or a parcel, by an event that no other ends; until somebody closes it

Events may come in any order: each write says of which version of the order it is, and an end that comes first
leaves a closed alert behind.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal, TypedDict, cast

from core.decider import Rejection
from core.documents import (
    DocumentConflict,
    DocumentNotFound,
    Documents,
    PreconditionFailed,
    Query,
    SetField,
    Where,
)
from core.json import Json, JsonObject, Timestamp
from services.notifications.notification import CONTAINER

KIND = "alert"
NEVER_OPENED_TTL_S = 30 * 86400
CLOSED_TTL_S = 400 * 86400
"""Of one that a person closed, as of notifications."""

type About = Literal["order", "return", "parcel", "money"]

UNTIL_CLOSED: tuple[About, ...] = ("parcel", "money")


class AlertView(TypedDict):
    """`details`: what the event says of it. `note`: of who closed it."""

    id: str
    order_id: str
    about: About
    status: Literal["open", "closed"]
    details: JsonObject
    opened_at: Timestamp
    closed_at: Timestamp | None
    note: str


class AlertList(TypedDict):
    items: list[AlertView]
    continuation: str | None


class AlertNotFound(Rejection):
    def __init__(self) -> None:
        super().__init__("alert_not_found", "there is no such alert")


class AlertClosesItself(Rejection):
    def __init__(self, about: str) -> None:
        super().__init__("alert_closes_itself", f"this alert is closed when its {about} goes on and ends")


async def open_for(
    documents: Documents,
    *,
    order_id: str,
    about: About,
    key: str = "",
    details: Mapping[str, Json],
    version: int,
    now: datetime,
) -> None:
    """Alert an operator. One request; two when there was an alert.

    `key`: what follows `alert:` in the id. `version` is that of the order's event; one that is not newer than
    the alert changes nothing. It is 0 of an event that is none of an order's, and opens once.
    """
    id, opened_at = _id(key), now.isoformat()
    opened = _item(order_id, id, about, "open", details, version) | {"opened_at": opened_at}
    changes = [
        SetField("status", "open"),
        SetField("details", dict(details)),
        SetField("version", version),
        SetField("opened_at", opened_at),
    ]
    while True:
        try:
            await documents.create(CONTAINER, order_id, opened)
        except DocumentConflict:
            try:
                await documents.patch(CONTAINER, order_id, id, changes, (Where("version", "<", version),))
            except PreconditionFailed:
                return
            except DocumentNotFound:
                continue
        return


async def close(
    documents: Documents, *, order_id: str, about: About, key: str = "", version: int, now: datetime
) -> None:
    """What it is about has ended, so that it never opens again. One request, two when there was an alert."""
    id, closed_at = _id(key), now.isoformat()
    closed = _item(order_id, id, about, "closed", {}, version) | {"closed_at": closed_at}
    try:
        await documents.create(CONTAINER, order_id, closed | {"ttl": NEVER_OPENED_TTL_S})
    except DocumentConflict:
        changes = [
            SetField("status", "closed"),
            SetField("version", version),
            SetField("closed_at", closed_at),
        ]
        try:
            await documents.patch(CONTAINER, order_id, id, changes, (Where("version", "<", version),))
        except PreconditionFailed:
            return


async def close_by_hand(documents: Documents, order_id: str, id: str, note: str, now: datetime) -> AlertView:
    """By who has seen to it. Again changes nothing. Raises AlertNotFound, AlertClosesItself."""
    while True:
        try:
            stored = await documents.read(CONTAINER, order_id, id)
        except DocumentNotFound as error:
            raise AlertNotFound from error
        if stored.item.get("kind") != KIND:
            raise AlertNotFound
        found = _shown(stored.item)
        if found["about"] not in UNTIL_CLOSED:
            raise AlertClosesItself(found["about"])
        if found["status"] == "closed":
            return found
        ended: JsonObject = {
            "status": "closed",
            "closed_at": now.isoformat(),
            "note": note,
            "ttl": CLOSED_TTL_S,
        }
        after = {name: value for name, value in stored.item.items() if name[0] != "_"} | ended
        try:
            await documents.replace(CONTAINER, order_id, after, stored.etag)
        except PreconditionFailed:
            continue
        return _shown(after)


async def read_alerts(
    documents: Documents, status: Literal["open", "closed"], limit: int, continuation: str | None
) -> AlertList:
    """A page, the oldest first. One that was never open is none. Raises BadDocumentRequest for a continuation
    of something else."""
    where = (Where("kind", "=", KIND), Where("status", "=", status), Where("opened_at", ">", ""))
    page = await documents.query(
        CONTAINER, Query(where, order_by="opened_at", limit=limit, continuation=continuation)
    )
    return {"items": [_shown(item) for item in page.items], "continuation": page.continuation}


def _id(key: str) -> str:
    return f"alert:{key}" if key else "alert"


def _item(
    order_id: str, id: str, about: About, status: str, details: Mapping[str, Json], version: int
) -> JsonObject:
    return {
        "id": id,
        "subject": order_id,
        "order_id": order_id,
        "kind": KIND,
        "about": about,
        "status": status,
        "details": dict(details),
        "version": version,
        "opened_at": None,
        "closed_at": None,
    }


def _shown(item: JsonObject) -> AlertView:
    return {
        "id": str(item["id"]),
        "order_id": str(item["order_id"]),
        "about": cast("About", item.get("about", "order")),
        "status": cast('Literal["open", "closed"]', item["status"]),
        "details": cast("JsonObject", item.get("details", {})),
        "opened_at": str(item["opened_at"]),
        "closed_at": cast("str | None", item["closed_at"]),
        "note": str(item.get("note", "")),
    }
