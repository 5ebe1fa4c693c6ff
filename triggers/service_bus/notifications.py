"""The events of which somebody is told, and the queue on which the telling is done."""

from collections.abc import Mapping
from functools import partial

import azure.functions as func

from core.contracts import InvalidContract, contract_name, encode
from core.envelope import Envelope
from services.inventory.events import StockLow, StockRecovered
from services.notifications import alerts
from services.notifications.handlers import COMMANDS, handle_command
from services.notifications.kinds import KINDS
from services.notifications.telling import QUEUE, Notice, Notifier, tell
from services.orders.decider import OrderNotFound
from services.orders.events import (
    NeedsAttention,
    OrderCancelled,
    OrderCreated,
    OrderDelivered,
    OrderReturnedToSender,
    PaymentPending,
    PaymentRefunded,
    ShippingCreated,
)
from services.orders.return_events import (
    ReturnApproved,
    ReturnCancelled,
    ReturnCompleted,
    ReturnLabelCreated,
    ReturnNeedsAttention,
    ReturnParcelUnexpected,
    ReturnRefunded,
    ReturnRejected,
    ReturnSettled,
)
from services.orders.state import REPLACED
from services.orders.views import read_order
from services.payments.reconciliation import DifferenceFound
from services.shipping.events import DeliveryException, OutForDelivery, ParcelNeedsAttention
from triggers.service_bus.receiving import receive

SUBSCRIPTION = "order-events/Subscriptions/notifications"
SERVICE_SUBSCRIPTION = "service-events/Subscriptions/notifications"
KIND_OF: Mapping[type, str] = {
    OrderCreated: "order_confirmed",
    PaymentPending: "order_payment_pending",
    ShippingCreated: "order_shipped",
    OrderDelivered: "order_delivered",
    OrderReturnedToSender: "order_returned_to_sender",
    OrderCancelled: "order_cancelled",
    PaymentRefunded: "order_refunded",
    NeedsAttention: "order_needs_attention",
    ReturnApproved: "return_approved",
    ReturnRejected: "return_rejected",
    ReturnLabelCreated: "return_label_created",
    ReturnRefunded: "return_refunded",
    ReturnCancelled: "return_cancelled",
    ReturnNeedsAttention: "return_needs_attention",
    ReturnParcelUnexpected: "return_parcel_unexpected",
}
"""What is told of an event of `order-events`. A kind's parameters are the event's fields of those names.

The subscription takes all of these but the first, whose confirmation a shop may want: docs/notifications.md.
"""

KIND_OF_SERVICES: Mapping[type, str] = {
    StockLow: "stock_low",
    StockRecovered: "stock_recovered",
    OutForDelivery: "order_out_for_delivery",
    DeliveryException: "order_delivery_exception",
    ParcelNeedsAttention: "parcel_needs_attention",
    DifferenceFound: "payment_difference",
}
"""And of one of `service-events`."""

ENDS_OF_ALERTS = (ReturnCompleted, ReturnSettled)
"""Of which nobody is told."""

TOLD = frozenset(map(contract_name, (*KIND_OF, *ENDS_OF_ALERTS)))
TOLD_OF_SERVICES = frozenset(map(contract_name, KIND_OF_SERVICES))


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
    cls = type(event.data)
    kind = KIND_OF.get(cls) or KIND_OF_SERVICES.get(cls)
    if kind is None and cls not in ENDS_OF_ALERTS:
        raise InvalidContract(f"type: nobody is told of {event.type!r}")
    await _alert(notifier, event)
    if kind is None or not notifier.channels or not _concerns_anybody(event.data):
        return
    fields = encode(event.data)
    if isinstance(event.data, OrderCancelled):
        fields["replaced_by"] = await _replaced_by(notifier, event.data)
    parameters = {name: fields[name] for name in KINDS[kind].sample}
    customer_id = ""
    if KINDS[kind].audience == "customer":
        named = fields.get("customer_id")
        customer_id = named if isinstance(named, str) else await _customer_of(notifier, event.subject)
    await tell(notifier, Notice(event.id, kind, event.subject, customer_id, parameters))


async def _alert(notifier: Notifier, event: Envelope) -> None:
    """Open or close what an operator must look at."""
    match event.data:
        case OrderCancelled():
            await _close(notifier, event, "order")
        case NeedsAttention():
            await _open(notifier, event, "order", version=_version(event))
        case ReturnCompleted(return_id=id) | ReturnCancelled(return_id=id) | ReturnSettled(return_id=id):
            await _close(notifier, event, "return", id)
        case ReturnNeedsAttention(return_id=id):
            await _open(notifier, event, "return", id, version=_version(event))
        case ParcelNeedsAttention() | ReturnParcelUnexpected():
            await _open(notifier, event, "parcel", event.id)
        case DifferenceFound():
            await _open(notifier, event, "money", event.id)


async def _open(
    notifier: Notifier, event: Envelope, about: alerts.About, key: str = "", version: int = 0
) -> None:
    await alerts.open_for(
        notifier.documents,
        order_id=event.subject,
        about=about,
        key=key,
        details={name: value for name, value in encode(event.data).items() if name != "order_id"},
        version=version,
        now=notifier.clock.now(),
    )


async def _close(notifier: Notifier, event: Envelope, about: alerts.About, key: str = "") -> None:
    await alerts.close(
        notifier.documents,
        order_id=event.subject,
        about=about,
        key=key,
        version=_version(event),
        now=notifier.clock.now(),
    )


def _concerns_anybody(data: object) -> bool:
    """A refund of nothing does not, nor what keeps the parcel of a return from the shop, nor a payment for
    which the customer can do nothing."""
    match data:
        case PaymentPending(reason=reason):
            return reason == "needs_action"
        case PaymentRefunded(amount=amount):
            return amount > 0
        case DeliveryException(return_id=return_id):
            return not return_id
    return True


async def _customer_of(notifier: Notifier, order_id: str) -> str:
    """Of an event that does not name him: the order is asked. One request."""
    try:
        return (await read_order(notifier.documents, order_id))["customer_id"]
    except OrderNotFound as error:
        raise InvalidContract("subject: there is no such order") from error


async def _replaced_by(notifier: Notifier, cancelled: OrderCancelled) -> str:
    """The order in its place, which only the order knows. A request where there is one, else none."""
    if cancelled.reason != REPLACED:
        return ""
    return (await read_order(notifier.documents, cancelled.order_id))["replaced_by"]


def _version(event: Envelope) -> int:
    """An event's id ends in the version of its stream."""
    version = event.id.rpartition(":")[2]
    if not (version.isascii() and version.isdecimal()):
        raise InvalidContract(f"id: must end in the stream's version, not {event.id!r}")
    return int(version)
