"""The rules of a payment: an order is charged at most once, and never more is refunded than was charged.

One call to the gateway is under way at a time: refunds of parts wait for each other, and the undo of the
charge waits for the part that is being refunded, then gives back what is left.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from core.decider import Decider
from services.payments.events import (
    ChargePending,
    ChargeStarted,
    PartRefundStarted,
    PartRefundWanted,
    PaymentEvent,
    RefundStarted,
    RefundWanted,
)
from services.payments.gateway import Pending
from services.payments.messages import (
    Charge,
    Charged,
    Declined,
    PartRefunded,
    PartRefundRefused,
    PartRefusal,
    Refund,
    Refunded,
    RefundPart,
)
from services.payments.state import REFUND_CAME_FIRST, Part, Payment, evolve


@dataclass(frozen=True, slots=True)
class StartCharge:
    """The command, with the deadline of the call that it may lead to."""

    charge: Charge
    deadline: datetime


@dataclass(frozen=True, slots=True)
class RecordCharge:
    """What the gateway says of the charge, with the deadline of the refund that it may lead to."""

    result: Charged | Declined | Pending
    deadline: datetime


@dataclass(frozen=True, slots=True)
class ChargeNotFound:
    """After the deadline of this attempt the gateway knows of no charge."""

    attempt: int
    deadline: datetime


@dataclass(frozen=True, slots=True)
class RecordCancellation:
    """What became of a pending charge that the gateway was asked to end. Pending: it could not be ended."""

    result: Charged | Declined | Pending
    deadline: datetime


@dataclass(frozen=True, slots=True)
class StartRefund:
    refund: Refund
    deadline: datetime


@dataclass(frozen=True, slots=True)
class RecordRefund:
    result: Refunded


@dataclass(frozen=True, slots=True)
class RefundNotFound:
    """After the deadline of this attempt the gateway knows of no refund."""

    attempt: int
    deadline: datetime


@dataclass(frozen=True, slots=True)
class StartPart:
    part: RefundPart
    deadline: datetime


@dataclass(frozen=True, slots=True)
class RecordPart:
    """The gateway's answer, with the deadline of the refund that may follow it."""

    result: PartRefunded | PartRefundRefused
    deadline: datetime


@dataclass(frozen=True, slots=True)
class PartNotFound:
    """After the deadline of this attempt the gateway knows of no refund for this return."""

    return_id: str
    attempt: int
    deadline: datetime


type PaymentCommand = (
    StartCharge
    | RecordCharge
    | ChargeNotFound
    | RecordCancellation
    | StartRefund
    | RecordRefund
    | RefundNotFound
    | StartPart
    | RecordPart
    | PartNotFound
)

_OPEN = ("charging", "pending")


def decide(  # noqa: PLR0911  (one for each command)
    state: Payment, command: PaymentCommand, now: datetime
) -> Sequence[PaymentEvent]:
    match command:
        case StartCharge():
            return _start_charge(state, command)
        case RecordCharge():
            return _record_charge(state, command, now)
        case ChargeNotFound():
            return _charge_not_found(state, command)
        case RecordCancellation():
            return _record_cancellation(state, command, now)
        case StartRefund():
            return _start_refund(state, command)
        case RecordRefund():
            return [command.result] if state.status == "refunding" else []
        case RefundNotFound():
            return _refund_not_found(state, command)
        case StartPart():
            return _start_part(state, command)
        case RecordPart():
            return _record_part(state, command)
        case PartNotFound():
            return _part_not_found(state, command)
        case _:
            assert_never(command)


def _start_charge(state: Payment, command: StartCharge) -> Sequence[PaymentEvent]:
    charge = command.charge
    if state.status == "none":
        return [ChargeStarted(charge.order_id, charge.amount, charge.currency, 1, command.deadline)]
    if state.status == "refunded" and not state.charge_answer:
        return [Declined(charge.order_id, REFUND_CAME_FIRST)]
    return []


def _record_charge(state: Payment, command: RecordCharge, now: datetime) -> Sequence[PaymentEvent]:
    match command.result:
        case Charged() as charged:
            if state.payment_id:
                return []
            if state.status in _OPEN and not state.refund_wanted:
                return [charged]
            # Also when the order was told that nothing was charged, and something was: give it back.
            return [charged, _refund_started(evolve(state, charged), 1, command.deadline)]
        case Declined() as declined:
            return _closed(state, declined) if state.status in _OPEN else []
        case Pending() as pending:
            return _pending(state, pending, now) if state.status in _OPEN else []


def _pending(state: Payment, told: Pending, now: datetime) -> Sequence[PaymentEvent]:
    """What is known already is not recorded again."""
    if state.status == "pending":
        if (state.pending_reason, state.action_url) == (told.reason, told.action_url):
            return []
        since = state.pending_since
    else:
        since = now
    return [ChargePending(state.order_id, told.payment_id, told.action_url, told.reason, since)]


def _charge_not_found(state: Payment, command: ChargeNotFound) -> Sequence[PaymentEvent]:
    if state.status != "charging" or not _is_current(state, command.attempt):
        return []
    if state.refund_wanted:
        return _closed(state, Declined(state.order_id, REFUND_CAME_FIRST))
    return [
        ChargeStarted(state.order_id, state.amount, state.currency, command.attempt + 1, command.deadline)
    ]


def _record_cancellation(
    state: Payment, command: RecordCancellation, now: datetime
) -> Sequence[PaymentEvent]:
    """Of a charge that cannot be ended nobody knows for how long it stays open: the order need not wait.

    Should it succeed one day, `_record_charge` gives the money back.
    """
    if isinstance(command.result, Charged):
        return _record_charge(state, RecordCharge(command.result, command.deadline), now)
    if state.status != "pending":
        return []
    return _closed(state, Declined(state.order_id, REFUND_CAME_FIRST))


def _start_refund(state: Payment, command: StartRefund) -> Sequence[PaymentEvent]:
    match state.status:
        case "none" | "declined":
            return [Refunded(command.refund.order_id, 0, "")]
        case "charging" | "pending":
            return [] if state.refund_wanted else [RefundWanted(state.order_id)]
        case "charged" if state.part_under_way is not None:
            return [] if state.refund_wanted else [RefundWanted(state.order_id)]
        case "charged":
            return _give_back_the_rest(state, command.deadline)
        case "refunding" | "refunded":
            return []


def _refund_not_found(state: Payment, command: RefundNotFound) -> Sequence[PaymentEvent]:
    if state.status == "refunding" and _is_current(state, command.attempt):
        return [_refund_started(state, command.attempt + 1, command.deadline)]
    return []


def _start_part(state: Payment, command: StartPart) -> Sequence[PaymentEvent]:
    part = command.part
    if any(each.return_id == part.return_id for each in state.parts):
        return []
    refusal = _part_refusal(state, part)
    if refusal is not None:
        return [PartRefundRefused(part.order_id, part.return_id, refusal)]
    if state.part_under_way is not None:
        return [PartRefundWanted(part.order_id, part.return_id, part.amount)]
    return [
        PartRefundStarted(part.order_id, part.return_id, part.amount, state.currency, 1, command.deadline)
    ]


def _part_refusal(state: Payment, part: RefundPart) -> PartRefusal | None:
    if not state.charged:
        return "not_charged"
    if state.status in ("refunding", "refunded") or state.refund_wanted:
        return "refunded"
    if part.currency != state.currency:
        return "wrong_currency"
    return "more_than_charged" if part.amount > state.left else None


def _record_part(state: Payment, command: RecordPart) -> Sequence[PaymentEvent]:
    under_way = state.part_under_way
    if under_way is None or under_way.return_id != command.result.return_id:
        return []
    after = evolve(state, command.result)
    if after.refund_wanted:
        return [command.result, *_give_back_the_rest(after, command.deadline)]
    following = next((part for part in after.parts if part.status == "wanted"), None)
    if following is None:
        return [command.result]
    return [command.result, _part_started(after, following, 1, command.deadline)]


def _part_not_found(state: Payment, command: PartNotFound) -> Sequence[PaymentEvent]:
    part = state.part_under_way
    if part is None or part.return_id != command.return_id or not _is_current(state, command.attempt):
        return []
    return [_part_started(state, part, command.attempt + 1, command.deadline)]


def _give_back_the_rest(state: Payment, deadline: datetime) -> Sequence[PaymentEvent]:
    """The undo of the charge. Parts that still wait are refused: their money goes back with it."""
    refused = [
        PartRefundRefused(state.order_id, part.return_id, "refunded")
        for part in state.parts
        if part.status == "wanted"
    ]
    left = state.charged - state.refunded
    if not left:
        return [*refused, Refunded(state.order_id, 0, "")]
    return [*refused, _refund_started(state, 1, deadline)]


def _closed(state: Payment, declined: Declined) -> Sequence[PaymentEvent]:
    return [declined, Refunded(state.order_id, 0, "")] if state.refund_wanted else [declined]


def _refund_started(state: Payment, attempt: int, deadline: datetime) -> RefundStarted:
    left = state.charged - state.refunded
    return RefundStarted(state.order_id, left, state.currency, attempt, deadline)


def _part_started(state: Payment, part: Part, attempt: int, deadline: datetime) -> PartRefundStarted:
    return PartRefundStarted(state.order_id, part.return_id, part.amount, state.currency, attempt, deadline)


def _is_current(state: Payment, attempt: int) -> bool:
    return state.intent is not None and state.intent.attempt == attempt


PAYMENTS: Decider[Payment, PaymentCommand, PaymentEvent] = Decider(
    container="payments", state=Payment, initial=Payment(), decide=decide, evolve=evolve, schema=3
)
