"""Sends nothing: keeps messages in the container `outbox` for a day, to be read over HTTP, in development."""

import hashlib
from typing import cast

from core.clock import Clock
from core.documents import Documents, Query
from core.json import JsonObject
from services.notifications.channels import Channel, ChannelName, Message, Sent
from services.notifications.views import OutboxMessage

CONTAINER = "outbox"
TTL_S = 86400
PROVIDER = "outbox"


class Outbox(Channel):
    """A message that is sent again under the same key replaces the first."""

    def __init__(self, documents: Documents, clock: Clock, name: ChannelName) -> None:
        self._documents = documents
        self._clock = clock
        self._name = name

    async def send(self, message: Message) -> Sent:
        id = hashlib.sha256(message.key.encode()).hexdigest()[:32]
        kept: OutboxMessage = {
            "id": id,
            "notification_id": message.key,
            "channel": self._name,
            "to": list(message.to),
            "title": message.title,
            "text": message.text,
            "html": message.html,
            "locale": message.locale,
            "unsubscribe_url": message.unsubscribe_url,
            "sent_at": self._clock.now().isoformat(),
        }
        item = {**cast(JsonObject, kept), "ttl": TTL_S}
        await self._documents.upsert(CONTAINER, id, item)
        return Sent(PROVIDER, id)


async def read_outbox(documents: Documents, limit: int) -> list[OutboxMessage]:
    """The newest first."""
    page = await documents.query(CONTAINER, Query(order_by="sent_at", descending=True, limit=limit))
    return [
        cast(OutboxMessage, {name: item[name] for name in OutboxMessage.__annotations__})
        for item in page.items
    ]
