"""What follows from an order's events: its row in the list, and what others are told of it."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import partial

import azure.functions as func

from core.bus import MAX_MESSAGE_BYTES, Bus, OutgoingMessage
from core.concurrency import gather_bounded
from core.decider import BrokenStream, RecordedEvent, read_event
from core.documents import Documents
from core.json import JsonObject
from core.read_model_places import Places, written_to
from core.resilience import retry_transient
from services.orders.events import PUBLISHED
from services.orders.list_projection import ORDER_LIST, Customers, project
from services.orders.publishing import integration_message
from triggers.change_feed.feed import on_changes
from triggers.change_feed.parking import POISON, Poison, park

CONTAINER = "orders"
TOPIC = "order-events"
AT_ONCE = 16
PROJECT_MS = 1000
"""Of an order's events of one second the list shows the last: one write, not up to four."""
PUBLISH_MS = 300

SEND_BYTES = MAX_MESSAGE_BYTES - 16 * 1024
SEND_MESSAGES = 100
MESSAGE_OVERHEAD_BYTES = 512
"""Headers and properties of one message, generously."""


def blueprint(documents: Documents, bus: Bus) -> func.Blueprint:
    bp = func.Blueprint()
    customers = Customers(documents)
    places = Places(documents)

    @on_changes(bp, CONTAINER, PROJECT_MS)
    async def project_orders(changes: func.DocumentList) -> None:
        await project_changes(documents, customers, bus, [change.data for change in changes], places)

    @on_changes(bp, CONTAINER, PUBLISH_MS)
    async def publish_order_events(changes: func.DocumentList) -> None:
        await publish_changes(bus, [change.data for change in changes])

    return bp


async def project_changes(
    documents: Documents,
    customers: Customers,
    bus: Bus,
    changes: Sequence[JsonObject],
    places: Places | None = None,
) -> None:
    """One write per order, however many of its events the batch brought; two while the list moves."""
    poison: list[Poison] = []
    orders: dict[str, dict[int, tuple[RecordedEvent, JsonObject]]] = defaultdict(dict)
    for change in changes:
        if change.get("kind") == "event":
            try:
                event = read_event(change)
            except BrokenStream as error:
                poison.append(Poison(change, str(error)))
            else:
                orders[event.stream][event.version] = (event, change)

    async def project_order(versions: dict[int, tuple[RecordedEvent, JsonObject]]) -> None:
        events = [versions[version][0] for version in sorted(versions)]
        try:
            for container in await written_to(places, ORDER_LIST):
                await retry_transient(partial(project, documents, customers, events, container))
        except POISON as error:
            poison.extend(Poison(change, str(error)) for _, change in versions.values())

    await gather_bounded(project_order, list(orders.values()), AT_ONCE)
    await park(bus, "project_orders", CONTAINER, poison)


async def publish_changes(bus: Bus, changes: Sequence[JsonObject]) -> None:
    """All published events of the batch in one send, or as many as the limits ask for."""
    poison: list[Poison] = []
    messages: list[OutgoingMessage] = []
    for change in changes:
        if change.get("kind") != "event" or change.get("type") not in PUBLISHED:
            continue
        try:
            message = integration_message(read_event(change))
        except BrokenStream as error:
            poison.append(Poison(change, str(error)))
            continue
        if _size(message) > SEND_BYTES:
            poison.append(Poison(change, f"body: {len(message.body)} bytes are too many for a message"))
        else:
            messages.append(message)
    for sending in _sendings(messages):
        await retry_transient(partial(bus.send, TOPIC, sending))
    await park(bus, "publish_order_events", CONTAINER, poison)


def _sendings(messages: Iterable[OutgoingMessage]) -> Iterable[list[OutgoingMessage]]:
    sending: list[OutgoingMessage] = []
    size = 0
    for message in messages:
        if sending and (size + _size(message) > SEND_BYTES or len(sending) == SEND_MESSAGES):
            yield sending
            sending, size = [], 0
        sending.append(message)
        size += _size(message)
    if sending:
        yield sending


def _size(message: OutgoingMessage) -> int:
    return len(message.body) + MESSAGE_OVERHEAD_BYTES
