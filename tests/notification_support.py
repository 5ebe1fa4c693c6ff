"""A notifier on fakes, a customer who can be told on every channel, and providers that do as told."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import orjson

from core.clock import Clock
from core.documents import Documents
from core.envelope import Envelope, from_json, wrap
from services.notifications import profile
from services.notifications.channels import CHANNELS, Channel, ChannelName, Message, Sent
from services.notifications.handlers import handle_command
from services.notifications.profile import Profile, PushSubscription
from services.notifications.telling import Notice, Notifier
from services.orders.events import ShippingCreated
from tests.fakes import START, FakeBus, FakeClock, FakeDocuments, Hook

ORDER = "ord-1"
EVENT = "ord-1:orders:5"
SHIPPED = ShippingCreated(ORDER, "ada", "shp-1", "TRACK-1")
NOTICE = Notice(EVENT, "order_shipped", ORDER, "ada", {"order_id": ORDER, "tracking_number": "TRACK-1"})
ADA = Profile(
    "ada",
    locale="en-GB",
    time_zone="Europe/London",
    email=("ada@example.com",),
    phone="+447700900123",
    push=(PushSubscription("https://push.example/1", "p256dh-1", "auth-1"),),
)
EMAIL_ONLY = replace(ADA, phone="", push=())


class FakeChannel(Channel):
    """Takes every message, unless `outcome` raises. `sent` are those that it was given."""

    def __init__(self, gate: Hook | None = None) -> None:
        self._gate = gate
        self.sent: list[Message] = []
        self.outcome: Callable[[Message], None] = lambda message: None
        self.gone: tuple[str, ...] = ()

    async def send(self, message: Message) -> Sent:
        if self._gate is not None:
            await self._gate("send message")
        self.sent.append(message)
        self.outcome(message)
        if self._gate is not None:
            await self._gate("send message")
        return Sent("fake", f"msg-{len(self.sent)}", self.gone)


def notifier(
    documents: Documents | None = None,
    bus: FakeBus | None = None,
    clock: Clock | None = None,
    channels: Mapping[ChannelName, Channel] | None = None,
    operators: tuple[str, ...] = (),
) -> Notifier:
    return Notifier(
        documents or FakeDocuments(),
        bus or FakeBus(),
        clock or FakeClock(),
        {name: FakeChannel() for name in CHANNELS} if channels is None else channels,
        Profile("", email=operators),
        "https://shop.example/api/unsubscribe",
        b"k" * 32,
        timeout_s=10.0,
    )


async def with_profile(documents: Documents, who: Profile = ADA) -> None:
    await profile.save(documents, who, None)


def event(data: object, version: int, id: str | None = None) -> Envelope:
    return wrap(
        data,
        id=id or f"ord-1:orders:{version}",
        source="orders",
        subject=ORDER,
        time=START,
        correlation_id=ORDER,
        causation_id="ord-1:shipping.create:reply",
    )


def queued(bus: FakeBus) -> list[Envelope]:
    """The commands on the queue, in order, without those that are equal to one before."""
    found: dict[bytes, Envelope] = {}
    for message in bus.sent["notifications"]:
        body = orjson.loads(message.body)
        found.setdefault(orjson.dumps([body["id"], body["data"]]), from_json(message.body))
    return list(found.values())


def statuses(documents: FakeDocuments) -> dict[str, list[str]]:
    """Of each notification, those of its attempts."""
    return {
        item["id"].rpartition(":")[2]: [attempt["status"] for attempt in item["attempts"]]
        for item in documents.items("notifications")
        if item.get("type") == "notification"
    }


async def drain(to: Notifier, bus: FakeBus, clock: FakeClock, limit: int = 50) -> list[Envelope]:
    """Deliver what is queued, moving the clock to when it is due. Answers what was delivered, in order."""
    delivered: list[Envelope] = []
    while bus.sent["notifications"]:
        assert len(delivered) < limit, "the notifications never come to rest"
        message = min(bus.sent["notifications"], key=lambda each: each.scheduled_for or START)
        bus.sent["notifications"].remove(message)
        if message.scheduled_for is not None:
            clock.current = max(clock.current, message.scheduled_for)
        command = from_json(message.body)
        await handle_command(to, command)
        delivered.append(command)
    return delivered
