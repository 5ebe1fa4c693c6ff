"""Notifications as operators and customers' programs read them: no addresses, no texts."""

from core.decider import Rejection
from core.documents import Documents
from core.json import Json, JsonObject
from services.notifications import notification
from services.notifications.notification import Attempt, Notification


class NotificationNotFound(Rejection):
    def __init__(self) -> None:
        super().__init__("notification_not_found", "there is no such notification")


async def read_notifications(
    documents: Documents, subject: str, limit: int, continuation: str | None
) -> JsonObject:
    """A page of those of an order or a SKU, the oldest first. Raises BadDocumentRequest for a continuation of
    something else."""
    found, following = await notification.of_subject(documents, subject, limit, continuation)
    return {"items": [shown(each) for each in found], "continuation": following}


async def read_notification(documents: Documents, id: str) -> JsonObject:
    """Raises NotificationNotFound."""
    found = await notification.find(documents, "id", id)
    if found is None:
        raise NotificationNotFound
    return shown(found)


def shown(it: Notification) -> JsonObject:
    attempts: list[Json] = [_attempt(each) for each in it.attempts]
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
        "attempts": attempts,
    }


def _attempt(it: Attempt) -> JsonObject:
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
