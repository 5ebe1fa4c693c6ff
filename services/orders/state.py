"""What the events of an order add up to."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

from services.orders import events as e
from services.orders import returns
from services.orders.returns import ENDED, Return

type OrderStatus = Literal[
    "none",
    "created",
    "inventory_reserved",
    "payment_processed",
    "shipping_requested",
    "shipping_created",
    "completed",
    "cancelling",
    "needs_attention",
    "cancelled",
]

TERMINAL: frozenset[OrderStatus] = frozenset({"completed", "cancelled"})
UNDOING: frozenset[OrderStatus] = frozenset({"cancelling", "needs_attention"})
CANCELLABLE: frozenset[OrderStatus] = frozenset({"created", "inventory_reserved", "payment_processed"})
"""Where the customer may still cancel. From `shipping_requested` on the parcel may be on its way."""

REPLACED = "replaced"
"""The reason of a cancellation that makes room for another order."""

UNDONE_BY: dict[type, str] = {
    e.ShippingCancelled: "shipping",
    e.PaymentRefunded: "payment",
    e.InventoryReleased: "inventory",
}
"""The step of the saga that an event says was undone."""


@dataclass(frozen=True, slots=True)
class OrderState:
    """`status` is `none` before the first event. `total` and `refunded` in minor units of `currency`.

    payment_pending, payment_due: why a payment that is waited for has not ended, and until when it may.
    cancel_requested: the customer asked, perhaps with a cancel_reason, and the saga has yet to see it.
    undo: the steps that the cancellation undoes, in that order; undone: those of which it is recorded.
    attention_step: the undo that did not succeed, while the status is `needs_attention`.
    late_replies: ids of the recorded late replies.
    delivered_at: when the carrier handed the parcel over, once it says so.
    returned_to_sender: whether the parcel came back undelivered.
    replaces, replaced_by: the order before, and the order to come, in whose place this one is.
    replacement_lines, replacement_digest, replacement_payment_method: of the request to replace it; the last
    is empty when that order is to be paid as this one.
    open_returns: how many of the returns have not ended.
    """

    status: OrderStatus = "none"
    order_id: str = ""
    customer_id: str = ""
    currency: str = ""
    total: int = 0
    lines: tuple[e.OrderLine, ...] = ()
    shipping_address: e.ShippingAddress | None = None
    payment_method: str = ""
    delivery: str = ""
    request_digest: str = ""
    placed_at: datetime = datetime(1, 1, 1, tzinfo=UTC)
    payment_id: str = ""
    payment_pending: str = ""
    payment_due: datetime | None = None
    shipment_id: str = ""
    tracking_number: str = ""
    cancel_requested: bool = False
    cancel_reason: str = ""
    reason: str = ""
    undo: tuple[str, ...] = ()
    undone: tuple[str, ...] = ()
    refunded: int = 0
    attention_step: str = ""
    late_replies: tuple[str, ...] = ()
    delivered_at: datetime | None = None
    returned_to_sender: bool = False
    returns: tuple[Return, ...] = ()
    open_returns: int = 0
    replaces: str = ""
    replaced_by: str = ""
    replacement_lines: tuple[e.OrderLine, ...] = ()
    replacement_digest: str = ""
    replacement_payment_method: str = ""

    @property
    def undo_left(self) -> tuple[str, ...]:
        return tuple(step for step in self.undo if step not in self.undone)


def evolve(state: OrderState, event: e.OrderEvent) -> OrderState:  # noqa: PLR0911, PLR0912  (one an event)
    match event:
        case e.OrderCreated():
            return OrderState(
                status="created",
                order_id=event.order_id,
                customer_id=event.customer_id,
                currency=event.currency,
                total=event.total,
                lines=event.lines,
                shipping_address=event.shipping_address,
                payment_method=event.payment_method,
                delivery=event.delivery,
                request_digest=event.request_digest,
                placed_at=event.placed_at,
                replaces=event.replaces,
            )
        case e.AddressChanged():
            return replace(state, shipping_address=event.shipping_address)
        case e.ReplacementRequested():
            return replace(
                state,
                cancel_requested=True,
                cancel_reason=REPLACED,
                replaced_by=event.replacement_id,
                replacement_lines=event.lines,
                replacement_digest=event.request_digest,
                replacement_payment_method=event.payment_method,
            )
        case e.InventoryReserved():
            return replace(state, status="inventory_reserved")
        case e.PaymentPending():
            return replace(state, payment_pending=event.reason, payment_due=event.until)
        case e.PaymentProcessed():
            return replace(_not_pending(state), status="payment_processed", payment_id=event.payment_id)
        case e.ShippingRequested():
            return replace(state, status="shipping_requested")
        case e.ShippingCreated():
            return replace(
                state,
                status="shipping_created",
                shipment_id=event.shipment_id,
                tracking_number=event.tracking_number,
            )
        case e.OrderCompleted():
            return replace(state, status="completed")
        case e.CancelRequested():
            return replace(state, cancel_requested=True, cancel_reason=event.reason)
        case e.CancellationStarted():
            return replace(_not_pending(state), status="cancelling", reason=event.reason, undo=event.undo)
        case e.PaymentRefunded():
            return replace(_undone(state, event), refunded=event.amount)
        case e.ShippingCancelled() | e.InventoryReleased():
            return _undone(state, event)
        case e.NeedsAttention():
            return replace(state, status="needs_attention", attention_step=event.step)
        case e.OrderCancelled():
            return replace(state, status="cancelled", reason=event.reason, attention_step="")
        case e.LateReply():
            return replace(state, late_replies=(*state.late_replies, event.reply_id))
        case e.OrderDelivered():
            return replace(state, delivered_at=event.delivered_at)
        case e.OrderReturnedToSender():
            return replace(state, returned_to_sender=True)
        case _:
            after = returns.evolve(state.returns, event)
            return replace(state, returns=after, open_returns=sum(each.status not in ENDED for each in after))


def _not_pending(state: OrderState) -> OrderState:
    return replace(state, payment_pending="", payment_due=None)


def _undone(
    state: OrderState, event: e.PaymentRefunded | e.ShippingCancelled | e.InventoryReleased
) -> OrderState:
    return replace(
        state, status="cancelling", attention_step="", undone=(*state.undone, UNDONE_BY[type(event)])
    )
