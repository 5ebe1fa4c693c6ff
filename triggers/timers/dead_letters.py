"""Another chance, each minute, for what infrastructure faults dead-lettered. core/redrive.py says how."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial

import azure.functions as func

from core.bus import Bus
from core.clock import Clock
from core.concurrency import gather_bounded
from core.documents import Documents
from core.envelope import Envelope
from core.redrive import redrive_queue, redrive_subscription
from services.notifications.telling import Notifier
from services.orders.handlers import Orders
from triggers.service_bus import inventory, notifications, service_events

QUEUES = ("inventory", "payments", "shipping", "notifications", "order-replies")
"""Not `parked`: what was parked waits for an operator, in that queue and then in its dead-letter queue."""

SUBSCRIPTIONS = (
    inventory.SUBSCRIPTION,
    notifications.SUBSCRIPTION,
    notifications.SERVICE_SUBSCRIPTION,
    service_events.SUBSCRIPTION,
)


def blueprint(documents: Documents, bus: Bus, clock: Clock, notifier: Notifier) -> func.Blueprint:
    bp = func.Blueprint()

    @bp.timer_trigger(arg_name="timer", schedule="40 * * * * *")
    async def redrive_dead_letters(timer: func.TimerRequest) -> None:
        await redrive_all(documents, bus, clock, notifier)

    return bp


async def redrive_all(documents: Documents, bus: Bus, clock: Clock, notifier: Notifier) -> None:
    """One entity that fails does not keep the others; its error is raised after them."""
    handlers: Mapping[str, Callable[[Envelope], Awaitable[None]]] = {
        inventory.SUBSCRIPTION: partial(inventory.handle_shipment, documents, clock),
        notifications.SUBSCRIPTION: partial(notifications.notify, notifier),
        notifications.SERVICE_SUBSCRIPTION: partial(notifications.notify, notifier),
        # A return's saga is not woken by this: it looks at the stream from time to time.
        service_events.SUBSCRIPTION: partial(service_events.record, Orders(documents, clock)),
    }

    async def redrive(entity: str) -> None:
        if entity in handlers:
            await redrive_subscription(bus, entity, handlers[entity])
        else:
            await redrive_queue(bus, entity, clock.now())

    await gather_bounded(redrive, (*QUEUES, *SUBSCRIPTIONS), 1)
