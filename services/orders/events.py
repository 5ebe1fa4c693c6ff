"""What can happen to an order. The types in PUBLISHED also go to the topic `order-events`.

created -> inventory_reserved -> payment_processed + shipping_requested -> shipping_created + completed
before shipping_requested: address_changed, or replacement_requested, which is a cancellation with a successor
any failure or a cancellation: cancellation_started -> the undos, in reverse -> cancelled
an undo that does not succeed: needs_attention, and on with the undos
a completed order may be delivered or come back undelivered, and have returns (`return_events.py`)
"""

from dataclasses import dataclass
from datetime import datetime

from core.contracts import contract, contract_name
from core.decider import upcaster
from core.json import JsonObject
from services.orders import return_events as r


@dataclass(frozen=True, slots=True)
class OrderLine:
    """`unit_price` in minor units. An order may have several lines of one SKU, at different prices."""

    sku: str
    quantity: int
    unit_price: int


@dataclass(frozen=True, slots=True)
class ShippingAddress:
    """`country` is an ISO 3166-1 alpha-2 code."""

    name: str
    street: str
    city: str
    postal_code: str
    country: str


@contract("orders.created", version=2)
@dataclass(frozen=True, slots=True)
class OrderCreated:
    """`total` in minor units of `currency`; `request_digest` tells a repeat of the request from another.
    `replaces`: the order in whose place it was put, else empty; version 1 did not say.
    """

    order_id: str
    customer_id: str
    currency: str
    total: int
    lines: tuple[OrderLine, ...]
    shipping_address: ShippingAddress
    payment_method: str
    delivery: str
    request_digest: str
    placed_at: datetime
    replaces: str


@upcaster("orders.created", 1)
def _replaces_nothing(data: JsonObject) -> JsonObject:
    return {**data, "replaces": ""}


@contract("orders.inventory_reserved")
@dataclass(frozen=True, slots=True)
class InventoryReserved:
    order_id: str


@contract("orders.payment_pending")
@dataclass(frozen=True, slots=True)
class PaymentPending:
    """The charge has not ended. `reason` is `needs_action` (of the customer) or `processing`; the order waits
    for it until `until`."""

    order_id: str
    reason: str
    until: datetime


@contract("orders.payment_processed")
@dataclass(frozen=True, slots=True)
class PaymentProcessed:
    order_id: str
    payment_id: str
    amount: int
    currency: str


@contract("orders.shipping_requested")
@dataclass(frozen=True, slots=True)
class ShippingRequested:
    """From here on the customer can no longer cancel."""

    order_id: str


@contract("orders.shipping_created")
@dataclass(frozen=True, slots=True)
class ShippingCreated:
    """`customer_id` is there for those who tell the customer."""

    order_id: str
    customer_id: str
    shipment_id: str
    tracking_number: str


@contract("orders.completed")
@dataclass(frozen=True, slots=True)
class OrderCompleted:
    order_id: str


@contract("orders.delivered")
@dataclass(frozen=True, slots=True)
class OrderDelivered:
    """The carrier says so. `customer_id` is there for those who tell the customer."""

    order_id: str
    customer_id: str
    tracking_number: str
    delivered_at: datetime


@contract("orders.returned_to_sender")
@dataclass(frozen=True, slots=True)
class OrderReturnedToSender:
    """The carrier could not deliver, in its words, and brings the parcel back. What follows is for people."""

    order_id: str
    customer_id: str
    tracking_number: str
    returned_at: datetime
    detail: str


@contract("orders.address_changed")
@dataclass(frozen=True, slots=True)
class AddressChanged:
    """By the customer, before shipping was requested."""

    order_id: str
    shipping_address: ShippingAddress


@contract("orders.replacement_requested", 2)
@dataclass(frozen=True, slots=True)
class ReplacementRequested:
    """By the customer, before shipping was requested: he wants these lines instead. The saga cancels this
    order and puts `replacement_id` in its place. `payment_method` is empty when it is to be paid as this one;
    version 1 always was.
    """

    order_id: str
    replacement_id: str
    lines: tuple[OrderLine, ...]
    request_digest: str
    payment_method: str


@upcaster("orders.replacement_requested", 1)
def _paid_as_before(data: JsonObject) -> JsonObject:
    return {**data, "payment_method": ""}


@contract("orders.cancel_requested")
@dataclass(frozen=True, slots=True)
class CancelRequested:
    """By the customer, before shipping was requested."""

    order_id: str
    reason: str


@contract("orders.cancellation_started")
@dataclass(frozen=True, slots=True)
class CancellationStarted:
    """`reason` is `customer_request`, `replaced`, `<step>_failed:<code>` or `<step>_timed_out`; `undo` names
    the steps to undo, in the order in which they are undone."""

    order_id: str
    reason: str
    undo: tuple[str, ...]


@contract("orders.shipping_cancelled")
@dataclass(frozen=True, slots=True)
class ShippingCancelled:
    order_id: str


@contract("orders.payment_refunded")
@dataclass(frozen=True, slots=True)
class PaymentRefunded:
    """`amount` is 0 when nothing had been charged."""

    order_id: str
    amount: int
    currency: str


@contract("orders.inventory_released")
@dataclass(frozen=True, slots=True)
class InventoryReleased:
    order_id: str


@contract("orders.cancelled")
@dataclass(frozen=True, slots=True)
class OrderCancelled:
    """`customer_id` is there for those who tell the customer."""

    order_id: str
    customer_id: str
    reason: str


@contract("orders.needs_attention")
@dataclass(frozen=True, slots=True)
class NeedsAttention:
    """The undo of `step` had no answer after `attempts` attempts; the saga goes on trying."""

    order_id: str
    step: str
    attempts: int


@contract("orders.late_reply")
@dataclass(frozen=True, slots=True)
class LateReply:
    """A reply that nobody waits for any more. Changes nothing but the record."""

    order_id: str
    reply_type: str
    reply_id: str


type OrderEvent = (
    OrderCreated
    | InventoryReserved
    | PaymentPending
    | PaymentProcessed
    | ShippingRequested
    | ShippingCreated
    | OrderCompleted
    | OrderDelivered
    | OrderReturnedToSender
    | AddressChanged
    | ReplacementRequested
    | CancelRequested
    | CancellationStarted
    | ShippingCancelled
    | PaymentRefunded
    | InventoryReleased
    | OrderCancelled
    | NeedsAttention
    | LateReply
    | r.ReturnEvent
)

PUBLISHED = frozenset(
    contract_name(cls)
    for cls in (
        OrderCreated,
        InventoryReserved,
        PaymentPending,
        PaymentProcessed,
        ShippingCreated,
        OrderCompleted,
        OrderDelivered,
        OrderReturnedToSender,
        PaymentRefunded,
        InventoryReleased,
        OrderCancelled,
        NeedsAttention,
        r.ReturnApproved,
        r.ReturnRejected,
        r.ReturnLabelCreated,
        r.ReturnParcelUnexpected,
        r.ReturnRefunded,
        r.ReturnCompleted,
        r.ReturnCancelled,
        r.ReturnNeedsAttention,
        r.ReturnSettled,
    )
)
