"""The order events of which somebody is told."""

import azure.functions as func

from core.bus import Bus
from core.clock import Clock
from core.contracts import InvalidContract, contract_name
from core.documents import Documents
from core.envelope import Envelope
from services.notifications import records
from services.orders.events import NeedsAttention, OrderCancelled, ShippingCreated
from triggers.service_bus.receiving import receive

SUBSCRIPTION = "order-events/Subscriptions/notifications"
TOLD = frozenset(contract_name(event) for event in (ShippingCreated, OrderCancelled, NeedsAttention))


def blueprint(documents: Documents, bus: Bus, clock: Clock) -> func.Blueprint:
    bp = func.Blueprint()

    async def tell(event: Envelope) -> None:
        await notify(documents, clock, event)

    @bp.service_bus_topic_trigger(
        arg_name="message",
        connection="ServiceBusConnection",
        topic_name="order-events",
        subscription_name="notifications",
    )
    async def send_notifications(message: func.ServiceBusMessage) -> None:
        await receive(message, queue=SUBSCRIPTION, bus=bus, handle=tell, accepts=TOLD)

    return bp


async def notify(documents: Documents, clock: Clock, event: Envelope) -> None:
    """Raises InvalidContract for an event that is not an order's."""
    match event.data:
        case ShippingCreated() as shipped:
            await records.order_shipped(
                documents,
                event_id=event.id,
                order_id=shipped.order_id,
                customer_id=shipped.customer_id,
                tracking_number=shipped.tracking_number,
                now=clock.now(),
            )
        case OrderCancelled() as cancelled:
            await records.order_cancelled(
                documents,
                event_id=event.id,
                order_id=cancelled.order_id,
                customer_id=cancelled.customer_id,
                reason=cancelled.reason,
                version=_version(event),
                now=clock.now(),
            )
        case NeedsAttention() as attention:
            await records.attention_needed(
                documents,
                order_id=attention.order_id,
                step=attention.step,
                attempts=attention.attempts,
                version=_version(event),
                now=clock.now(),
            )
        case _:
            raise InvalidContract(f"type: nobody is told of {event.type!r}")


def _version(event: Envelope) -> int:
    """An event's id ends in the version of its stream."""
    version = event.id.rpartition(":")[2]
    if not (version.isascii() and version.isdecimal()):
        raise InvalidContract(f"id: must end in the stream's version, not {event.id!r}")
    return int(version)
