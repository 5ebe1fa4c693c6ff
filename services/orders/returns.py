"""The rules of a return, as a part of its order. A command that was carried out decides nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from core.decider import Rejection
from services.orders import return_commands as c
from services.orders import return_events as e
from services.orders.events import OrderLine

type ReturnStatus = Literal[
    "requested",
    "approved",
    "awaiting_parcel",
    "received",
    "inspected",
    "restocked",
    "completed",
    "settled",
    "rejected",
    "cancelling",
    "cancelled",
]

ENDED: frozenset[ReturnStatus] = frozenset({"completed", "settled", "rejected", "cancelled"})
AWAITED: frozenset[ReturnStatus] = frozenset({"requested", "approved", "awaiting_parcel"})
"""While the goods are still with the customer: here a return may be cancelled."""

BY_RULE = "rule"
"""Who approved a return that was asked for in time."""

MAX_RETURNS = 50
"""Of one order, those that came to nothing included: a stream must not grow for ever."""


@dataclass(frozen=True, slots=True)
class Return:
    """`refund` in minor units of the order's currency, once inspected.

    attention_step: the step that did not succeed, while that is so.
    unexpected_parcel: its parcel came although nobody waited for it, and nobody has taken it yet.
    """

    return_id: str
    status: ReturnStatus
    lines: tuple[e.ReturnLine, ...]
    request_key: str
    request_digest: str
    inspected: tuple[e.InspectedLine, ...] = ()
    refund: int = 0
    refunded: int = 0
    shipment_id: str = ""
    tracking_number: str = ""
    reason: str = ""
    cancel_requested: bool = False
    attention_step: str = ""
    unexpected_parcel: bool = False


@dataclass(frozen=True, slots=True)
class Sold:
    """What the rules need of the order. `delivered_at` is None until the carrier says so."""

    order_id: str
    customer_id: str
    currency: str
    lines: tuple[OrderLine, ...]
    completed: bool
    delivered_at: datetime | None
    returns: tuple[Return, ...]


class ReturnNotFound(Rejection):
    def __init__(self) -> None:
        super().__init__("return_not_found", "there is no such return")


class CannotReturn(Rejection):
    """`code` says which rule forbids it."""


class WrongReturnStatus(Rejection):
    def __init__(self, what: str, status: str) -> None:
        super().__init__("wrong_return_status", f"a return that is {status} cannot be {what}")


def decide(  # noqa: PLR0911  (one a kind of command)
    sold: Sold, command: c.ReturnCommand, now: datetime
) -> Sequence[e.ReturnEvent]:
    """Raises ReturnNotFound, CannotReturn, WrongReturnStatus."""
    if isinstance(command, c.RequestReturn):
        return _request(sold, command, now)
    found = find(sold.returns, command.return_id)
    match command:
        case c.ApproveReturn() | c.RejectReturn():
            return _judge(sold, found, command)
        case c.CancelReturn():
            return _cancel(sold, found)
        case c.ReceiveReturn():
            return _receive(sold, found, command)
        case c.InspectReturn():
            return _inspect(sold, found, command)
        case c.SettleReturn():
            return _settle(sold, found, command)
        case _:
            return _record(sold, found, command)


def find(returns: Sequence[Return], return_id: str) -> Return:
    """Raises ReturnNotFound."""
    for each in returns:
        if each.return_id == return_id:
            return each
    raise ReturnNotFound


def returnable(sold: Sold) -> dict[int, int]:
    """By line, counted from 1: the pieces that no other return is about. A cancelled or rejected one is about
    none, an inspected one about those that it took.
    """
    left = {number: line.quantity for number, line in enumerate(sold.lines, start=1)}
    for each in sold.returns:
        if each.inspected:
            for taken in each.inspected:
                left[taken.line] -= max(taken.restocked + taken.written_off, taken.refunded)
        elif each.status not in ("rejected", "cancelled"):
            for line in each.lines:
                left[line.line] -= line.quantity
    return left


def _request(sold: Sold, command: c.RequestReturn, now: datetime) -> Sequence[e.ReturnEvent]:
    for each in sold.returns:
        if each.request_key == command.request_key:
            if each.request_digest != command.request_digest:
                raise CannotReturn(
                    "idempotency_key_reused",
                    "the Idempotency-Key was used for another return of this order",
                )
            return ()
    if not sold.completed:
        raise CannotReturn(
            "not_completed", "only what was shipped can be returned: the order must be completed"
        )
    if len(sold.returns) >= MAX_RETURNS:
        raise CannotReturn("too_many_returns", f"an order may have {MAX_RETURNS} returns at most")
    _check_left(sold, command.lines)
    return_id = f"{sold.order_id}-r{len(sold.returns) + 1}"
    requested = e.ReturnRequested(
        sold.order_id,
        return_id,
        sold.customer_id,
        command.lines,
        command.request_key,
        command.request_digest,
    )
    if sold.delivered_at is not None and (now - sold.delivered_at).total_seconds() > command.window_s:
        return (requested,)
    return requested, e.ReturnApproved(sold.order_id, return_id, sold.customer_id, BY_RULE)


def _judge(sold: Sold, found: Return, command: c.ApproveReturn | c.RejectReturn) -> Sequence[e.ReturnEvent]:
    approve = isinstance(command, c.ApproveReturn)
    done = found.status not in ("requested", "rejected", "cancelling", "cancelled")
    if (approve and done) or (not approve and found.status == "rejected"):
        return ()
    if found.status != "requested" or found.cancel_requested:
        raise WrongReturnStatus("approved" if approve else "rejected", _shown(found))
    if isinstance(command, c.ApproveReturn):
        return (e.ReturnApproved(sold.order_id, found.return_id, sold.customer_id, command.approved_by),)
    return (e.ReturnRejected(sold.order_id, found.return_id, sold.customer_id, command.reason),)


def _cancel(sold: Sold, found: Return) -> Sequence[e.ReturnEvent]:
    if found.cancel_requested or found.status in ("cancelling", "cancelled"):
        return ()
    if found.status not in AWAITED:
        raise WrongReturnStatus("cancelled", found.status)
    return (e.ReturnCancelRequested(sold.order_id, found.return_id),)


def _receive(sold: Sold, found: Return, command: c.ReceiveReturn) -> Sequence[e.ReturnEvent]:
    """Also when the customer has asked to cancel meanwhile: the goods are here. Those of a return that has
    come to nothing are for people, who may take them in all the same.
    """
    if found.status in ("received", "inspected", "restocked", "completed", "settled"):
        return ()
    if found.status == "requested":
        raise WrongReturnStatus("received", found.status)
    if found.status in ("cancelling", "cancelled", "rejected"):
        if command.by_carrier:
            told = e.ReturnParcelUnexpected(sold.order_id, found.return_id, found.status)
            return () if found.unexpected_parcel else (told,)
        if found.status == "cancelling":
            raise WrongReturnStatus("received", found.status)
        _check_left(sold, found.lines)
    return (e.ReturnReceived(sold.order_id, found.return_id),)


def _check_left(sold: Sold, lines: Sequence[e.ReturnLine]) -> None:
    """Raises CannotReturn."""
    left = returnable(sold)
    for line in lines:
        if line.line not in left:
            raise CannotReturn("unknown_line", f"lines: the order has no line {line.line}")
        if line.quantity > left[line.line]:
            raise CannotReturn(
                "more_than_bought",
                f"lines: of line {line.line} {left[line.line]} can be returned, not {line.quantity}",
            )


def _inspect(sold: Sold, found: Return, command: c.InspectReturn) -> Sequence[e.ReturnEvent]:
    if found.inspected:
        if found.inspected != command.lines:
            raise WrongReturnStatus("inspected again, with another result", found.status)
        return ()
    if found.status != "received":
        raise WrongReturnStatus("inspected", found.status)
    announced = {line.line: line.quantity for line in found.lines}
    if {line.line for line in command.lines} != announced.keys() or len(command.lines) != len(announced):
        raise CannotReturn(
            "other_lines", f"lines: must be those of the return, each once: {sorted(announced)}"
        )
    for line in command.lines:
        most = announced[line.line]
        if line.restocked + line.written_off > most or line.refunded > most:
            raise CannotReturn("more_than_announced", f"lines: line {line.line} is about {most} pieces")
    refund = sum(line.refunded * sold.lines[line.line - 1].unit_price for line in command.lines)
    return (e.ReturnInspected(sold.order_id, found.return_id, command.lines, refund),)


def _settle(sold: Sold, found: Return, command: c.SettleReturn) -> Sequence[e.ReturnEvent]:
    if found.status == "settled":
        return ()
    if not found.attention_step or found.status in ENDED:
        raise WrongReturnStatus("settled by hand, unless it needs attention", found.status)
    return (e.ReturnSettled(sold.order_id, found.return_id, command.note),)


def _record(  # noqa: PLR0911  (one a transition)
    sold: Sold, found: Return, command: c.ReturnCommand
) -> Sequence[e.ReturnEvent]:
    order_id, return_id = sold.order_id, found.return_id
    match command, found.status:
        case c.RecordLabel(), "approved":
            return (
                e.ReturnLabelCreated(
                    order_id, return_id, sold.customer_id, command.shipment_id, command.tracking_number
                ),
            )
        case c.RecordRestock(), "inspected":
            return (e.ReturnRestocked(order_id, return_id),)
        case c.RecordReturnRefund(), "restocked":
            completed = e.ReturnCompleted(order_id, return_id)
            if not found.refund:
                return (completed,)
            refunded = e.ReturnRefunded(
                order_id, return_id, sold.customer_id, command.amount, command.currency
            )
            return refunded, completed
        case c.StartReturnCancellation(), status if status in AWAITED:
            return (e.ReturnCancellationStarted(order_id, return_id, command.reason),)
        case c.FinishReturnCancellation(), "cancelling":
            cancelled = e.ReturnCancelled(order_id, return_id, sold.customer_id, found.reason)
            if command.label_cancelled:
                return e.ReturnLabelCancelled(order_id, return_id), cancelled
            return (cancelled,)
        case c.RecordReturnAttention(), status if (
            status not in ENDED and found.attention_step != command.step
        ):
            return (
                e.ReturnNeedsAttention(order_id, return_id, command.step, command.reason, command.attempts),
            )
    return ()


def _shown(found: Return) -> str:
    return "to be cancelled" if found.cancel_requested else found.status


def evolve(returns: tuple[Return, ...], event: e.ReturnEvent) -> tuple[Return, ...]:
    if isinstance(event, e.ReturnRequested):
        return (
            *returns,
            Return(
                return_id=event.return_id,
                status="requested",
                lines=event.lines,
                request_key=event.request_key,
                request_digest=event.request_digest,
            ),
        )
    return tuple(_evolved(each, event) if each.return_id == event.return_id else each for each in returns)


def _evolved(state: Return, event: e.ReturnEvent) -> Return:  # noqa: PLR0911, PLR0912  (one an event)
    match event:
        case e.ReturnRequested():
            return state
        case e.ReturnApproved():
            return replace(state, status="approved")
        case e.ReturnRejected():
            return replace(state, status="rejected", reason=event.reason)
        case e.ReturnLabelCreated():
            return replace(
                state,
                status="awaiting_parcel",
                shipment_id=event.shipment_id,
                tracking_number=event.tracking_number,
            )
        case e.ReturnReceived():
            return replace(state, status="received", reason="", attention_step="", unexpected_parcel=False)
        case e.ReturnParcelUnexpected():
            return replace(state, unexpected_parcel=True)
        case e.ReturnInspected():
            return replace(
                state, status="inspected", inspected=event.lines, refund=event.refund, attention_step=""
            )
        case e.ReturnRestocked():
            return replace(state, status="restocked", attention_step="")
        case e.ReturnRefunded():
            return replace(state, refunded=event.amount)
        case e.ReturnCompleted():
            return replace(state, status="completed", attention_step="")
        case e.ReturnCancelRequested():
            return replace(state, cancel_requested=True)
        case e.ReturnCancellationStarted():
            return replace(state, status="cancelling", reason=event.reason)
        case e.ReturnLabelCancelled():
            return replace(state, attention_step="")
        case e.ReturnCancelled():
            return replace(state, status="cancelled", attention_step="")
        case e.ReturnNeedsAttention():
            return replace(state, attention_step=event.step)
        case e.ReturnSettled():
            return replace(state, status="settled", reason=event.note, attention_step="")
