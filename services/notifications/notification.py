"""One notification: what one event tells on one channel, and each attempt to send it.

    queued -> sending -> sent -> delivered | bounced | failed
    queued -> withheld                      when its turn came: switched off, no address, no template
    sending -> failed | failed, and the next attempt queued

Delivered, bounced and failed are ends, but a mailbox that has taken an e-mail may still send it back:
delivered -> bounced.

The moves are pure: each answers the notification after it, or None where the state forbids it. They are
stored under the ETag of what was read. An attempt that is `sending` belongs to who made it so, until its
deadline; after that nobody knows whether the provider took the message, and the next attempt is queued: the
customer is told twice rather than never.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from pydantic import TypeAdapter

from core.documents import Documents, Query, Where, each_page
from core.json import Json, JsonObject
from services.notifications.channels import ChannelName

CONTAINER = "notifications"
NOTIFICATION = "notification"
RETENTION_S = 400 * 86400
"""How long one can be read after its last change: somewhat more than a year."""

type NotificationStatus = Literal["queued", "sending", "sent", "delivered", "bounced", "failed", "withheld"]
type Outcome = Literal["delivered", "bounced", "failed"]

FAILED = frozenset({"bounced", "failed", "withheld"})
NO_OUTCOME = "no_outcome"
SWITCHED_OFF = "switched_off"


@dataclass(frozen=True, slots=True)
class Attempt:
    """`due_at`: not before. `deadline`: until then a `sending` is its maker's. `template` names its version.
    `provider_id` as the provider calls the message. `reason`, in the provider's words, has no address."""

    number: int
    status: NotificationStatus
    due_at: datetime
    started_at: datetime | None = None
    deadline: datetime | None = None
    ended_at: datetime | None = None
    template: str = ""
    provider: str = ""
    provider_id: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Notification:
    """`subject` is an order id or a SKU. `customer_id` is empty when operators are told. `stands_in_for` is
    the channel that failed, if another was tried first."""

    id: str
    subject: str
    event_id: str
    kind: str
    channel: ChannelName
    customer_id: str
    parameters: dict[str, Json]
    created_at: datetime
    attempts: tuple[Attempt, ...]
    stands_in_for: ChannelName | None = None

    @property
    def last(self) -> Attempt:
        return self.attempts[-1]

    @property
    def status(self) -> NotificationStatus:
        return self.last.status


_items = TypeAdapter(Notification)


def notification_id(event_id: str, channel: ChannelName) -> str:
    return f"{event_id}:{channel}"


def queued(
    event_id: str,
    channel: ChannelName,
    *,
    subject: str,
    kind: str,
    customer_id: str,
    parameters: JsonObject,
    now: datetime,
    due_at: datetime,
    stands_in_for: ChannelName | None = None,
) -> Notification:
    return Notification(
        id=notification_id(event_id, channel),
        subject=subject,
        event_id=event_id,
        kind=kind,
        channel=channel,
        customer_id=customer_id,
        parameters=parameters,
        created_at=now,
        attempts=(Attempt(1, "queued", due_at),),
        stands_in_for=stands_in_for,
    )


def begun(it: Notification, now: datetime, deadline: datetime, template: str = "") -> Notification | None:
    if it.status != "queued" or it.last.due_at > now:
        return None
    return _with_last(
        it, replace(it.last, status="sending", started_at=now, deadline=deadline, template=template)
    )


def postponed(it: Notification, due_at: datetime) -> Notification | None:
    if it.status != "queued":
        return None
    return _with_last(it, replace(it.last, due_at=due_at))


def withheld(it: Notification, reason: str, now: datetime) -> Notification | None:
    if it.status != "queued":
        return None
    return _with_last(it, replace(it.last, status="withheld", ended_at=now, reason=reason))


def taken(
    it: Notification, number: int, provider: str, provider_id: str, now: datetime
) -> Notification | None:
    """The provider has taken the message of attempt `number`."""
    if it.status != "sending" or it.last.number != number:
        return None
    return _with_last(
        it, replace(it.last, status="sent", ended_at=now, provider=provider, provider_id=provider_id)
    )


def refused(it: Notification, number: int, reason: str, now: datetime) -> Notification | None:
    """Attempt `number` failed, and so would every other."""
    if it.status != "sending" or it.last.number != number:
        return None
    return _with_last(it, replace(it.last, status="failed", ended_at=now, reason=reason))


def retried(
    it: Notification, number: int, reason: str, now: datetime, due_at: datetime
) -> Notification | None:
    """Attempt `number` failed; the next is queued."""
    failed = refused(it, number, reason, now)
    if failed is None:
        return None
    return replace(failed, attempts=(*failed.attempts, Attempt(number + 1, "queued", due_at)))


def reported(it: Notification, outcome: Outcome, reason: str, now: datetime) -> Notification | None:
    """What the provider said later. It may say so before the send is recorded, twice, or out of order."""
    if it.status in {"sending", "sent"} or (it.status == "delivered" and outcome == "bounced"):
        return _with_last(it, replace(it.last, status=outcome, ended_at=now, reason=reason))
    return None


def _with_last(it: Notification, attempt: Attempt) -> Notification:
    return replace(it, attempts=(*it.attempts[:-1], attempt))


def to_item(it: Notification) -> JsonObject:
    """`status` and `provider_id` stand on top too, for queries."""
    item: JsonObject = _items.dump_python(it, mode="json")
    return item | {
        "type": NOTIFICATION,
        "status": it.status,
        "provider_id": it.last.provider_id,
        "ttl": RETENTION_S,
    }


def from_item(item: JsonObject) -> Notification:
    return _items.validate_python({name: item[name] for name in Notification.__slots__})


async def read(documents: Documents, subject: str, id: str) -> tuple[Notification, str]:
    """With its ETag. Raises DocumentNotFound."""
    stored = await documents.read(CONTAINER, subject, id)
    return from_item(stored.item), stored.etag


async def move(documents: Documents, after: Notification, etag: str) -> str:
    """Store what a move gave. Answers the new ETag. Raises PreconditionFailed: somebody moved it first."""
    return (await documents.replace(CONTAINER, after.subject, to_item(after), etag)).etag


async def find(documents: Documents, field: Literal["id", "provider_id"], value: str) -> Notification | None:
    """By its id, or as the provider calls its message. Goes across partitions: not for the hot path."""
    where = (Where(field, "=", value), Where("type", "=", NOTIFICATION))
    found = await _all(documents, Query(where))
    return found[0] if found else None


async def of_event(documents: Documents, subject: str, event_id: str) -> Sequence[Notification]:
    """Of one event there is one for each channel at most."""
    where = (Where("event_id", "=", event_id), Where("type", "=", NOTIFICATION))
    return await _all(documents, Query(where, partition=subject))


async def of_subject(
    documents: Documents, subject: str, limit: int, continuation: str | None
) -> tuple[Sequence[Notification], str | None]:
    """A page of them, the oldest first, and the continuation of the next. Raises BadDocumentRequest for a
    continuation of something else."""
    where = (Where("type", "=", NOTIFICATION),)
    query = Query(where, subject, "created_at", limit=limit, continuation=continuation)
    page = await documents.query(CONTAINER, query)
    return [from_item(item) for item in page.items], page.continuation


async def _all(documents: Documents, query: Query) -> Sequence[Notification]:
    """Of what there are few."""
    return [from_item(item) async for page in each_page(documents, CONTAINER, query) for item in page.items]
