"""The rules of an order. A command that was carried out decides nothing, so each may be repeated."""

from collections.abc import Sequence
from datetime import datetime
from functools import reduce

from core.decider import Decider, Rejection
from services.orders import commands as c
from services.orders import events as e
from services.orders import returns
from services.orders.policy import CUSTOMER_REQUEST
from services.orders.state import CANCELLABLE, REPLACED, TERMINAL, UNDOING, OrderState, evolve

STEPS = ("inventory", "payment", "shipping")

LATE_REPLIES_KEPT = 20
"""Late replies recorded of one order; more say nothing new and must not let a stream grow for ever."""


class OrderNotFound(Rejection):
    def __init__(self) -> None:
        super().__init__("order_not_found", "there is no such order")


class IdempotencyKeyReused(Rejection):
    def __init__(self) -> None:
        super().__init__(
            "idempotency_key_reused", "the Idempotency-Key was used before, with another request body"
        )


class CannotCancel(Rejection):
    def __init__(self, status: str) -> None:
        super().__init__("cannot_cancel", f"an order that is {status} can no longer be cancelled")


class IsReplaced(Rejection):
    def __init__(self, replaced_by: str) -> None:
        super().__init__("is_replaced", f"the order is being replaced by {replaced_by}: ask that of it")


class CannotChange(Rejection):
    def __init__(self, state: OrderState) -> None:
        status = state.status if state.status not in CANCELLABLE else "being cancelled"
        super().__init__("cannot_change", f"an order that is {status} can no longer be changed")


class WrongTransition(Rejection):
    """The saga asked for something that its order's status does not allow: a defect."""

    def __init__(self, command: object, status: str) -> None:
        super().__init__(
            "wrong_transition", f"{type(command).__name__} does not apply to an order that is {status}"
        )


def decide(  # noqa: PLR0911  (one a kind of command)
    state: OrderState, command: c.OrderCommand, now: datetime
) -> Sequence[e.OrderEvent]:
    if isinstance(command, c.Place):
        return _place(state, command, now)
    if state.status == "none":
        raise OrderNotFound
    match command:
        case c.RequestCancel():
            return _request_cancel(state, command)
        case c.ChangeAddress():
            return _change_address(state, command)
        case c.RequestReplacement():
            return _request_replacement(state, command)
        case c.RecordPendingPayment():
            return _record_pending_payment(state, command)
        case c.RecordReservation() | c.RecordPayment() | c.RecordShipment():
            return _advance(state, command)
        case c.RecordCancellation():
            return _record_cancellation(state, command)
        case c.NoteLateReply():
            return _note_late_reply(state, command)
        case c.RecordDelivery():
            return _record_delivery(state, command)
        case c.RecordReturnToSender():
            return _record_return_to_sender(state, command)
        case _:
            return returns.decide(_sold(state), command, now)


def _place(state: OrderState, command: c.Place, now: datetime) -> Sequence[e.OrderEvent]:
    if state.status != "none":
        if state.request_digest != command.request_digest:
            raise IdempotencyKeyReused
        return ()
    return (
        e.OrderCreated(
            order_id=command.order_id,
            customer_id=command.customer_id,
            currency=command.currency,
            total=sum(line.quantity * line.unit_price for line in command.lines),
            lines=command.lines,
            shipping_address=command.shipping_address,
            payment_method=command.payment_method,
            delivery=command.delivery,
            request_digest=command.request_digest,
            placed_at=now,
            replaces=command.replaces,
        ),
    )


def _request_cancel(state: OrderState, command: c.RequestCancel) -> Sequence[e.OrderEvent]:
    if state.replaced_by:
        raise IsReplaced(state.replaced_by)
    if state.status in UNDOING or state.status == "cancelled" or state.cancel_requested:
        return ()
    if state.status not in CANCELLABLE:
        raise CannotCancel(state.status)
    return (e.CancelRequested(state.order_id, command.reason),)


def _change_address(state: OrderState, command: c.ChangeAddress) -> Sequence[e.OrderEvent]:
    if state.replaced_by:
        raise IsReplaced(state.replaced_by)
    if state.shipping_address == command.shipping_address:
        return ()
    if state.status not in CANCELLABLE or state.cancel_requested:
        raise CannotChange(state)
    return (e.AddressChanged(state.order_id, command.shipping_address),)


def _request_replacement(state: OrderState, command: c.RequestReplacement) -> Sequence[e.OrderEvent]:
    """Once it is on the stream shipping is not requested any more, as after a cancellation."""
    if state.replaced_by == command.replacement_id:
        if state.replacement_digest != command.request_digest:
            raise IdempotencyKeyReused
        return ()
    if state.replaced_by:
        raise IsReplaced(state.replaced_by)
    if state.status not in CANCELLABLE or state.cancel_requested:
        raise CannotChange(state)
    return (
        e.ReplacementRequested(
            state.order_id,
            command.replacement_id,
            command.lines,
            command.request_digest,
            command.payment_method,
        ),
    )


def _record_pending_payment(state: OrderState, command: c.RecordPendingPayment) -> Sequence[e.OrderEvent]:
    """Only while the order still waits for its payment, and when it does not say so already."""
    told = (command.reason, command.until)
    if state.status != "inventory_reserved" or told == (state.payment_pending, state.payment_due):
        return ()
    return (e.PaymentPending(state.order_id, *told),)


def _advance(  # noqa: PLR0911  (one return a transition)
    state: OrderState, command: c.RecordReservation | c.RecordPayment | c.RecordShipment
) -> Sequence[e.OrderEvent]:
    order_id = state.order_id
    match command, state.status:
        case _, "cancelling" | "needs_attention" | "cancelled" | "completed":
            return ()
        case c.RecordReservation(), "created":
            return (e.InventoryReserved(order_id),)
        case c.RecordReservation(), _:
            return ()
        case c.RecordPayment(), "inventory_reserved":
            processed = e.PaymentProcessed(order_id, command.payment_id, command.amount, command.currency)
            return (processed,) if state.cancel_requested else (processed, e.ShippingRequested(order_id))
        case c.RecordPayment(), "payment_processed" if not state.cancel_requested:
            return (e.ShippingRequested(order_id),)
        case c.RecordPayment(), "payment_processed" | "shipping_requested":
            return ()
        case c.RecordShipment(), "shipping_requested":
            return (
                e.ShippingCreated(order_id, state.customer_id, command.shipment_id, command.tracking_number),
                e.OrderCompleted(order_id),
            )
    raise WrongTransition(command, state.status)


def _record_cancellation(state: OrderState, command: c.RecordCancellation) -> Sequence[e.OrderEvent]:
    if state.status in TERMINAL:
        return ()
    events: list[e.OrderEvent] = []
    if state.status not in UNDOING:
        replaced = state.replaced_by and command.reason == CUSTOMER_REQUEST
        reason = REPLACED if replaced else command.reason
        events.append(e.CancellationStarted(state.order_id, reason, command.undo))
    if command.undone is not None and command.undone.step not in state.undone:
        events.append(_undone(state.order_id, command.undone))
    after = reduce(evolve, events, state)
    if command.attention is not None:
        step = command.attention.step
        if step not in after.undone and step != after.attention_step:
            events.append(e.NeedsAttention(state.order_id, step, command.attention.attempts))
    in_place = command.replacement_placed or not state.replaced_by
    if command.finish and in_place and not after.undo_left:
        events.append(e.OrderCancelled(state.order_id, state.customer_id, after.reason))
    return events


def _undone(order_id: str, undone: c.Undone) -> e.OrderEvent:
    match undone.step:
        case "inventory":
            return e.InventoryReleased(order_id)
        case "payment":
            return e.PaymentRefunded(order_id, undone.amount, undone.currency)
        case "shipping":
            return e.ShippingCancelled(order_id)
    raise ValueError(f"step: must be one of {', '.join(STEPS)}, not {undone.step!r}")


def _note_late_reply(state: OrderState, command: c.NoteLateReply) -> Sequence[e.OrderEvent]:
    if command.reply_id in state.late_replies or len(state.late_replies) >= LATE_REPLIES_KEPT:
        return ()
    return (e.LateReply(state.order_id, command.reply_type, command.reply_id),)


def _record_delivery(state: OrderState, command: c.RecordDelivery) -> Sequence[e.OrderEvent]:
    """Of another parcel than the one that the order knows: nothing. It may have been cancelled."""
    if state.delivered_at is not None or state.status != "completed":
        return ()
    if command.shipment_id != state.shipment_id:
        return ()
    return (e.OrderDelivered(state.order_id, state.customer_id, state.tracking_number, command.delivered_at),)


def _record_return_to_sender(state: OrderState, command: c.RecordReturnToSender) -> Sequence[e.OrderEvent]:
    """Also after a delivery, which the carrier then takes back. Of another parcel: nothing."""
    if state.returned_to_sender or state.status != "completed" or command.shipment_id != state.shipment_id:
        return ()
    return (
        e.OrderReturnedToSender(
            state.order_id, state.customer_id, state.tracking_number, command.returned_at, command.detail
        ),
    )


def _sold(state: OrderState) -> returns.Sold:
    return returns.Sold(
        order_id=state.order_id,
        customer_id=state.customer_id,
        currency=state.currency,
        lines=state.lines,
        completed=state.status == "completed",
        delivered_at=state.delivered_at,
        returns=state.returns,
    )


ORDERS: Decider[OrderState, c.OrderCommand, e.OrderEvent] = Decider(
    container="orders", state=OrderState, initial=OrderState(), decide=decide, evolve=evolve, schema=6
)
