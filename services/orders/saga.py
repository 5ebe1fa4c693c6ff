"""What the saga has done for it on the order's stream and on the bus, one function an activity.

Each appends what happened before (one batch) and sends the next command, unless the stream shows that there
is nothing to wait for: then it returns the `Answer` that the saga would have waited for. All may be repeated.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from core.bus import Bus
from core.clock import Clock
from core.contracts import contract_name, decode, encode
from core.decider import Cause, Loaded, execute, load
from core.documents import Documents
from core.envelope import command_id, to_message, wrap
from core.json import JsonObject
from core.telemetry import child_traceparent
from services.inventory.messages import Released, Reserved
from services.orders import commands as c
from services.orders import requests
from services.orders.decider import ORDERS
from services.orders.state import TERMINAL, UNDOING, OrderState
from services.payments.messages import Charged, PaymentPending, Refunded
from services.shipping.messages import ShipmentCancelled, ShipmentCreated

ENDED = "saga.ended"
"""The order is completed or cancelled: there is nothing to do for a saga. Data: {"status"}."""

CANCELLING = "saga.cancelling"
"""An earlier run of the saga began to cancel. Data: {"reason", "undo"}, what is left to undo."""

CANCEL_REQUESTED = "saga.cancel_requested"
"""The customer asked for it before this step was sent. Data: {"reason"}."""

QUEUES = {"inventory": "inventory", "payments": "payments", "shipping": "shipping"}
"""The queue of a command, by the service that its type begins with."""


@dataclass(frozen=True, slots=True)
class Ports:
    """hold_s: seconds for which stock is held from the moment the reservation is sent."""

    documents: Documents
    bus: Bus
    clock: Clock
    hold_s: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What the saga waits for. `type` is that of a reply, or one of the three above."""

    type: str
    data: JsonObject


@dataclass(frozen=True, slots=True)
class Work:
    """What the saga hands to an activity.

    attempt: 1 for the first, more for a resend of the same command.
    cause: the id of the message or event that led here.
    reply: what the step before was answered, to be recorded now.
    until: for how long what was not answered yet is waited for.
    reason, undo: of the cancellation, when there is one.
    """

    order_id: str
    attempt: int
    cause: str
    traceparent: str = ""
    reply: Answer | None = None
    until: datetime | None = None
    reason: str = ""
    undo: tuple[str, ...] = ()


async def request_inventory(ports: Ports, work: Work) -> Answer | None:
    loaded = await load(ports.documents, ORDERS, work.order_id)
    return await _answer_or_send(ports, work, loaded.state, "inventory", requests.reserve)


async def request_payment(ports: Ports, work: Work) -> Answer | None:
    state = await _record(ports, work, c.RecordReservation())
    return await _answer_or_send(ports, work, state, "payment", requests.charge)


async def await_payment(ports: Ports, work: Work) -> Answer | None:
    """The charge has not ended: the order says so, and holds its stock for as much longer."""
    told = _reply(work, PaymentPending)
    if work.until is None:
        raise ValueError("until: must be a time")
    state = await _record(ports, work, c.RecordPendingPayment(told.reason, work.until))
    answer = _recorded(state, "payment")
    if answer is None:
        hold_until = work.until + timedelta(seconds=ports.hold_s)
        await _send(ports, work, requests.extend_hold(state, hold_until))
    return answer


async def request_shipment(ports: Ports, work: Work) -> Answer | None:
    charged = _reply(work, Charged)
    state = await _record(ports, work, c.RecordPayment(charged.payment_id, charged.amount, charged.currency))
    return await _answer_or_send(ports, work, state, "shipping", requests.create_shipment)


async def complete_order(ports: Ports, work: Work) -> str:
    """The order's status afterwards."""
    created = _reply(work, ShipmentCreated)
    state = await _record(ports, work, c.RecordShipment(created.shipment_id, created.tracking_number))
    return state.status


async def cancel_shipment(ports: Ports, work: Work) -> Answer | None:
    return await _undo(ports, work, "shipping", requests.cancel_shipment)


async def refund_payment(ports: Ports, work: Work) -> Answer | None:
    return await _undo(ports, work, "payment", requests.refund)


async def release_inventory(ports: Ports, work: Work) -> Answer | None:
    return await _undo(ports, work, "inventory", requests.release)


@dataclass(frozen=True, slots=True)
class Cancelled:
    """left: the steps that the stream says are still to be undone; none when the order is now cancelled.
    replaced_by: the order that was placed instead, whose saga may have to be started.
    """

    left: tuple[str, ...]
    replaced_by: str = ""


async def cancel_order(ports: Ports, work: Work) -> Cancelled:
    """An order that is to be replaced is cancelled only when the other is placed, so that whatever is done
    again after a crash ends with both.
    """
    command = c.RecordCancellation(work.reason, work.undo, _undone(work), finish=True)
    state = await _record(ports, work, command)
    if state.status not in TERMINAL and not state.undo_left:
        await _place_replacement(ports, work, state)
        state = await _record(ports, work, replace(command, replacement_placed=True))
    if state.status in TERMINAL:
        return Cancelled((), state.replaced_by)
    return Cancelled(state.undo_left)


async def _place_replacement(ports: Ports, work: Work, state: OrderState) -> None:
    """All as it was ordered, and the address as it is now, but for the lines, and for how it is paid if the
    customer said so."""
    if state.shipping_address is None:
        raise ValueError(f"order {state.order_id!r} has no shipping address")
    order_id = state.replaced_by
    command = c.Place(
        order_id=order_id,
        customer_id=state.customer_id,
        currency=state.currency,
        lines=state.replacement_lines,
        shipping_address=state.shipping_address,
        payment_method=state.replacement_payment_method or state.payment_method,
        delivery=state.delivery,
        request_digest=state.replacement_digest,
        replaces=state.order_id,
    )
    cause = Cause(
        command_id=f"{order_id}:orders.place",
        correlation_id=order_id,
        causation_id=f"{state.order_id}:orders.replace",
        traceparent=child_traceparent(work.traceparent, order_id),
        actor=f"customer:{state.customer_id}",
    )
    new = Loaded(ORDERS.initial)
    await execute(ports.documents, ORDERS, order_id, command, cause, ports.clock.now(), loaded=new)


async def report_attention(ports: Ports, work: Work, step: str) -> None:
    attention = c.Attention(step, work.attempt)
    await _record(ports, work, c.RecordCancellation(work.reason, work.undo, _undone(work), attention))


async def _record(ports: Ports, work: Work, command: c.OrderCommand) -> OrderState:
    cause = Cause(
        command_id=f"{work.order_id}:orders.{type(command).__name__}",
        correlation_id=work.order_id,
        causation_id=work.cause,
        traceparent=work.traceparent,
        actor="saga",
    )
    outcome = await execute(ports.documents, ORDERS, work.order_id, command, cause, ports.clock.now())
    return outcome.state


async def _undo(
    ports: Ports, work: Work, step: str, make: Callable[[OrderState, datetime], object]
) -> Answer | None:
    state = await _record(ports, work, c.RecordCancellation(work.reason, work.undo, _undone(work)))
    if state.status in TERMINAL:
        return Answer(ENDED, {"status": state.status})
    if step in state.undone:
        return _recorded_undo(state, step)
    await _send(ports, work, make(state, ports.clock.now()))
    return None


async def _answer_or_send(
    ports: Ports, work: Work, state: OrderState, step: str, make: Callable[[OrderState, datetime], object]
) -> Answer | None:
    answer = _recorded(state, step)
    if answer is None:
        await _send(ports, work, make(state, ports.clock.now() + timedelta(seconds=ports.hold_s)))
    return answer


def _recorded(state: OrderState, step: str) -> Answer | None:
    """What the stream answers instead of the service. A recorded reply comes before a cancellation."""
    if state.status in TERMINAL or state.status == "none":
        return Answer(ENDED, {"status": state.status})
    if state.status in UNDOING:
        return Answer(CANCELLING, {"reason": state.reason, "undo": list(state.undo_left)})
    if step == "inventory" and state.status != "created":
        return as_answer(Reserved(state.order_id))
    if step == "payment" and state.status in ("payment_processed", "shipping_requested"):
        return as_answer(Charged(state.order_id, state.payment_id, state.total, state.currency))
    if state.cancel_requested:
        return Answer(CANCEL_REQUESTED, {"reason": state.cancel_reason})
    return None


def _recorded_undo(state: OrderState, step: str) -> Answer:
    match step:
        case "inventory":
            return as_answer(Released(state.order_id))
        case "payment":
            return as_answer(Refunded(state.order_id, state.refunded, state.currency))
    return as_answer(ShipmentCancelled(state.order_id))


def as_answer(reply: object) -> Answer:
    """A reply as the saga would have got it."""
    return Answer(contract_name(type(reply)), encode(reply))


async def _send(ports: Ports, work: Work, command: object) -> None:
    await send_command(
        ports, command, work.order_id, cause=work.cause, traceparent=work.traceparent, attempt=work.attempt
    )


async def send_command(
    ports: Ports,
    command: object,
    order_id: str,
    part: str = "",
    *,
    cause: str,
    traceparent: str,
    attempt: int,
) -> None:
    """To the queue of the service that takes it; `part` as in `command_id`."""
    type_ = contract_name(type(command))
    id = command_id(order_id, type_, part)
    envelope = wrap(
        command,
        id=id,
        source="orders",
        subject=order_id,
        time=ports.clock.now(),
        correlation_id=order_id,
        causation_id=cause,
        traceparent=child_traceparent(traceparent, id),
    )
    await ports.bus.send(QUEUES[type_.partition(".")[0]], [to_message(envelope, attempt)])


def _reply[R](work: Work, expected: type[R]) -> R:
    if work.reply is None:
        raise ValueError(f"reply: must be a {contract_name(expected)}")
    reply = decode(work.reply.type, work.reply.data)
    if not isinstance(reply, expected):
        raise ValueError(f"reply: must be a {contract_name(expected)}, not {work.reply.type}")  # noqa: TRY004
    return reply


def _undone(work: Work) -> c.Undone | None:
    """The undo that the reply says was done; the first activity of a compensation has none to record."""
    if work.reply is None:
        return None
    match decode(work.reply.type, work.reply.data):
        case ShipmentCancelled():
            return c.Undone("shipping")
        case Refunded(amount=amount, currency=currency):
            return c.Undone("payment", amount, currency)
        case Released():
            return c.Undone("inventory")
    raise ValueError(f"reply: {work.reply.type} is not the answer to an undo")
