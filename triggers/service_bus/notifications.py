"""The events of which somebody is told, and the queue on which the telling is done."""

from functools import partial

import azure.functions as func

from core.contracts import InvalidContract, contract_name, encode
from core.documents import Documents
from core.envelope import Envelope
from core.json import ReadOnlyJson
from services.inventory.events import StockLow, StockRecovered
from services.notifications import alerts
from services.notifications.handlers import COMMANDS, handle_command
from services.notifications.kinds import KINDS
from services.notifications.telling import QUEUE, Notice, Notifier, tell
from services.orders.decider import OrderNotFound
from services.orders.events import (
    NeedsAttention,
    OrderCancelled,
    OrderDelivered,
    PaymentRefunded,
    ShippingCreated,
)
from services.orders.return_events import (
    ReturnApproved,
    ReturnCancelled,
    ReturnLabelCreated,
    ReturnNeedsAttention,
    ReturnRefunded,
    ReturnRejected,
)
from services.orders.views import read_order
from triggers.service_bus.receiving import receive

SUBSCRIPTION = "order-events/Subscriptions/notifications"
SERVICE_SUBSCRIPTION = "service-events/Subscriptions/notifications"
TOLD = frozenset(
    contract_name(event)
    for event in (
        ShippingCreated,
        OrderDelivered,
        OrderCancelled,
        PaymentRefunded,
        NeedsAttention,
        ReturnApproved,
        ReturnRejected,
        ReturnLabelCreated,
        ReturnRefunded,
        ReturnCancelled,
        ReturnNeedsAttention,
    )
)
TOLD_OF_SERVICES = frozenset(contract_name(event) for event in (StockLow, StockRecovered))


def blueprint(notifier: Notifier) -> func.Blueprint:
    bp = func.Blueprint()

    @bp.service_bus_topic_trigger(
        arg_name="message",
        connection="ServiceBusConnection",
        topic_name="order-events",
        subscription_name="notifications",
    )
    async def send_notifications(message: func.ServiceBusMessage) -> None:
        handle = partial(notify, notifier)
        await receive(message, queue=SUBSCRIPTION, bus=notifier.bus, handle=handle, accepts=TOLD)

    @bp.service_bus_topic_trigger(
        arg_name="message",
        connection="ServiceBusConnection",
        topic_name="service-events",
        subscription_name="notifications",
    )
    async def send_notifications_of_services(message: func.ServiceBusMessage) -> None:
        handle = partial(notify, notifier)
        await receive(
            message,
            queue=SERVICE_SUBSCRIPTION,
            bus=notifier.bus,
            handle=handle,
            accepts=TOLD_OF_SERVICES,
        )

    @bp.service_bus_queue_trigger(
        arg_name="message", connection="ServiceBusConnection", queue_name="notifications"
    )
    async def handle_notification_commands(message: func.ServiceBusMessage) -> None:
        handle = partial(handle_command, notifier)
        await receive(message, queue=QUEUE, bus=notifier.bus, handle=handle, accepts=COMMANDS)

    return bp


async def notify(notifier: Notifier, event: Envelope) -> None:
    """Raises InvalidContract for an event of which nobody is told."""
    documents, now = notifier.documents, notifier.clock.now()
    match event.data:
        case ShippingCreated() as shipped:
            parameters = {"tracking_number": shipped.tracking_number}
            await _tell(notifier, event, "order_shipped", shipped.customer_id, parameters)
        case OrderCancelled() as cancelled:
            version = _version(event)
            await alerts.close(documents, order_id=cancelled.order_id, version=version, now=now)
            parameters = {"reason": cancelled.reason}
            await _tell(notifier, event, "order_cancelled", cancelled.customer_id, parameters)
        case NeedsAttention(order_id, step, attempts):
            await alerts.open_for(
                documents,
                order_id=order_id,
                step=step,
                attempts=attempts,
                version=_version(event),
                now=now,
            )
            await _tell(notifier, event, "order_needs_attention", "", {"step": step, "attempts": attempts})
        case PaymentRefunded(order_id, amount, currency):
            if amount and notifier.channels:
                customer_id = await _customer_of(documents, order_id)
                refund: ReadOnlyJson = {"amount": amount, "currency": currency}
                await _tell(notifier, event, "order_refunded", customer_id, refund)
        case OrderDelivered() as delivered:
            parameters = {"tracking_number": delivered.tracking_number}
            await _tell(notifier, event, "order_delivered", delivered.customer_id, parameters)
        case ReturnNeedsAttention() as attention:
            await _tell_of_return(notifier, event, "", attention)
        case (
            ReturnApproved() | ReturnRejected() | ReturnLabelCreated() | ReturnRefunded() | ReturnCancelled()
        ):
            await _tell_of_return(notifier, event, event.data.customer_id, event.data)
        case StockLow(sku, available, threshold) | StockRecovered(sku, available, threshold):
            kind = event.type.partition(".")[2]
            stock: ReadOnlyJson = {"sku": sku, "available": available, "threshold": threshold}
            await tell(notifier, Notice(event.id, kind, event.subject, "", stock))
        case _:
            raise InvalidContract(f"type: nobody is told of {event.type!r}")


async def _customer_of(documents: Documents, order_id: str) -> str:
    """For an event that does not name him. One request."""
    try:
        return str((await read_order(documents, order_id))["customer_id"])
    except OrderNotFound as error:
        raise InvalidContract("order_id: there is no such order") from error


async def _tell(
    notifier: Notifier, event: Envelope, kind: str, customer_id: str, parameters: ReadOnlyJson
) -> None:
    order_id = event.subject
    await tell(notifier, Notice(event.id, kind, order_id, customer_id, {"order_id": order_id, **parameters}))


async def _tell_of_return(notifier: Notifier, event: Envelope, customer_id: str, data: object) -> None:
    """The kind has the event's name, and its parameters are the event's fields of those names."""
    kind = event.type.partition(".")[2]
    fields = encode(data)
    await _tell(notifier, event, kind, customer_id, {name: fields[name] for name in KINDS[kind].sample})


def _version(event: Envelope) -> int:
    """An event's id ends in the version of its stream."""
    version = event.id.rpartition(":")[2]
    if not (version.isascii() and version.isdecimal()):
        raise InvalidContract(f"id: must end in the stream's version, not {event.id!r}")
    return int(version)
