"""Notifications as operators and customers' programs read them: no addresses, no texts."""

from typing import TypedDict

from core.decider import Rejection
from core.documents import Documents
from core.json import Timestamp
from services.notifications import notification
from services.notifications.channels import ChannelName
from services.notifications.notification import Attempt, Notification, NotificationStatus


class AttemptView(TypedDict):
    """`due_at`: not before. `template` names its version; `reason` is in the provider's words."""

    number: int
    status: NotificationStatus
    due_at: Timestamp
    started_at: Timestamp | None
    ended_at: Timestamp | None
    template: str | None
    provider: str | None
    provider_id: str | None
    reason: str | None


class NotificationView(TypedDict):
    """`subject` is an order id or a SKU. `stands_in_for` is the channel that failed, if another was tried."""

    id: str
    subject: str
    event_id: str
    kind: str
    channel: ChannelName
    customer_id: str | None
    stands_in_for: ChannelName | None
    status: NotificationStatus
    created_at: Timestamp
    attempts: list[AttemptView]


class NotificationList(TypedDict):
    items: list[NotificationView]
    continuation: str | None


class OutboxMessage(TypedDict):
    """What would have been sent."""

    id: str
    notification_id: str
    channel: ChannelName
    to: list[str]
    title: str
    text: str
    html: str
    locale: str
    unsubscribe_url: str
    sent_at: Timestamp


class NotificationNotFound(Rejection):
    def __init__(self) -> None:
        super().__init__("notification_not_found", "there is no such notification")


async def read_notifications(
    documents: Documents, subject: str, limit: int, continuation: str | None
) -> NotificationList:
    """A page of those of an order or a SKU, the oldest first. Raises BadDocumentRequest for a continuation of
    something else."""
    found, following = await notification.of_subject(documents, subject, limit, continuation)
    return {"items": [shown(each) for each in found], "continuation": following}


async def read_notification(documents: Documents, id: str) -> NotificationView:
    """Raises NotificationNotFound."""
    found = await notification.find(documents, "id", id)
    if found is None:
        raise NotificationNotFound
    return shown(found)


def shown(it: Notification) -> NotificationView:
    return {
        "id": it.id,
        "subject": it.subject,
        "event_id": it.event_id,
        "kind": it.kind,
        "channel": it.channel,
        "customer_id": it.customer_id or None,
        "stands_in_for": it.stands_in_for,
        "status": it.status,
        "created_at": it.created_at.isoformat(),
        "attempts": [_attempt(each) for each in it.attempts],
    }


def _attempt(it: Attempt) -> AttemptView:
    return {
        "number": it.number,
        "status": it.status,
        "due_at": it.due_at.isoformat(),
        "started_at": it.started_at.isoformat() if it.started_at else None,
        "ended_at": it.ended_at.isoformat() if it.ended_at else None,
        "template": it.template or None,
        "provider": it.provider or None,
        "provider_id": it.provider_id or None,
        "reason": it.reason or None,
    }
