"""From an event to its notifications: created once however often the event comes, then queued for sending.

The container `notifications`, partition key `subject` (an order id or a SKU):

    <event id>            on which channels that event is told; written in one batch with
    <event id>:<channel>  each of its notifications (notification.py)
    alert, alert:...      what an operator must look at (alerts.py)
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import cast

from core.bus import Bus, OutgoingMessage
from core.clock import Clock
from core.documents import Create, DocumentConflict, Documents
from core.envelope import to_message, wrap
from core.json import Json, JsonObject
from services.notifications import notification, profile
from services.notifications.channels import CHANNELS, Channel, ChannelName
from services.notifications.kinds import KINDS
from services.notifications.messages import Send
from services.notifications.notification import (
    CONTAINER,
    FAILED,
    RETENTION_S,
    Notification,
    notification_id,
    queued,
    to_item,
)
from services.notifications.profile import Profile, chosen, due, stand_in

QUEUE = "notifications"
NOTICE = "notice"


@dataclass(frozen=True, slots=True)
class Notifier:
    """What telling and sending need.

    channels: those that are configured. operators: who is told of what is for them.
    unsubscribe_url: what the token of an unsubscribe link is added to; unsubscribe_key: of its signature.
    timeout_s: how long a provider may take.
    """

    documents: Documents
    bus: Bus
    clock: Clock
    channels: Mapping[ChannelName, Channel]
    operators: Profile
    unsubscribe_url: str
    unsubscribe_key: bytes
    timeout_s: float

    @property
    def served(self) -> tuple[ChannelName, ...]:
        return tuple(channel for channel in CHANNELS if channel in self.channels)


@dataclass(frozen=True, slots=True)
class Notice:
    """What an event tells. `subject` is the partition: an order id or a SKU. `customer_id` is empty when
    it is for the operators."""

    event_id: str
    kind: str
    subject: str
    customer_id: str
    parameters: Mapping[str, Json]


async def tell(notifier: Notifier, notice: Notice) -> None:
    """Create the notifications of an event and queue them. Repeating is safe and changes nothing.

    One request and nothing else for somebody who has no profile. Raises the transient errors of both ports.
    """
    if not notifier.channels:
        return
    to = await recipient(notifier, notice.kind, notice.customer_id)
    channels = () if to is None else chosen(to, notice.kind, notifier.served)
    if to is None or not channels:
        return
    now = notifier.clock.now()
    due_at = {channel: due(to, notice.kind, channel, now) for channel in channels}
    notifications = [
        queued(
            notice.event_id,
            channel,
            subject=notice.subject,
            kind=notice.kind,
            customer_id=notice.customer_id,
            parameters=dict(notice.parameters),
            now=now,
            due_at=due_at[channel],
        )
        for channel in channels
    ]
    item: JsonObject = {
        "id": notice.event_id,
        "subject": notice.subject,
        "type": NOTICE,
        "channels": list(channels),
        "ttl": RETENTION_S,
    }
    documents = notifier.documents
    try:
        batch = [Create(item), *(Create(to_item(each)) for each in notifications)]
        await documents.batch(CONTAINER, notice.subject, batch)
    except DocumentConflict:
        # It came before, perhaps when other channels were on; what was created then may not be queued yet.
        stored = (await documents.read(CONTAINER, notice.subject, notice.event_id)).item
        channels = cast("tuple[ChannelName, ...]", stored["channels"])
    # One that comes before it is due is queued again, for then.
    sends = [
        send_message(
            notice.subject, notification_id(notice.event_id, channel), 1, due_at.get(channel, now), now
        )
        for channel in channels
    ]
    await notifier.bus.send(QUEUE, sends)


async def recipient(notifier: Notifier, kind: str, customer_id: str) -> Profile | None:
    """Who is told of this kind, as he wants it now."""
    if KINDS[kind].audience == "operators":
        return notifier.operators
    found = await profile.find(notifier.documents, customer_id)
    return None if found is None else found[0]


def send_message(subject: str, id: str, attempt: int, due_at: datetime, now: datetime) -> OutgoingMessage:
    """Has attempt `attempt` of a notification made, not before `due_at`."""
    command = wrap(
        Send(subject, id, attempt),
        id=f"{id}:send:{attempt}",
        source="notifications",
        subject=subject,
        time=now,
        correlation_id=subject,
        causation_id=id,
    )
    message = to_message(command)
    return message if due_at <= now else replace(message, scheduled_for=due_at)


def send_again(it: Notification, now: datetime) -> OutgoingMessage:
    return send_message(it.subject, it.id, it.last.number, it.last.due_at, now)


async def let_stand_in(notifier: Notifier, failed: Notification) -> None:
    """Tell it on another channel, if no other of this event got through or is still being tried.

    `failed` is stored as such. Repeating is safe.
    """
    now = notifier.clock.now()
    told = await notification.of_event(notifier.documents, failed.subject, failed.event_id)
    for each in told:
        if each.stands_in_for == failed.channel and each.status == "queued":
            return await notifier.bus.send(QUEUE, [send_again(each, now)])  # it may not have been queued
    if any(each.status not in FAILED for each in told):
        return None
    to = await recipient(notifier, failed.kind, failed.customer_id)
    used = frozenset(each.channel for each in told)
    channel = None if to is None else stand_in(to, failed.kind, notifier.served, used)
    if to is None or channel is None:
        return None
    other = queued(
        failed.event_id,
        channel,
        subject=failed.subject,
        kind=failed.kind,
        customer_id=failed.customer_id,
        parameters=failed.parameters,
        now=now,
        due_at=due(to, failed.kind, channel, now),
        stands_in_for=failed.channel,
    )
    try:
        await notifier.documents.create(CONTAINER, failed.subject, to_item(other))
    except DocumentConflict:
        return None  # whoever created it queues it
    return await notifier.bus.send(QUEUE, [send_again(other, now)])
