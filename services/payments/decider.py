"""The rules of a payment: an order is charged at most once, and what was charged is refunded at most once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, assert_never

from core.decider import Decider
from core.outside_call import Intent
from services.payments.events import ChargeStarted, PaymentEvent, RefundStarted, RefundWanted
from services.payments.messages import Charge, Charged, Declined, Refund, Refunded

REFUND_CAME_FIRST = "refunded"


@dataclass(frozen=True, slots=True)
class Payment:
    """`charged` and `refunded` are what moved at the gateway, in minor units of `currency`.

    amount: what the order asked for.
    intent: of the call under way while `charging` or `refunding`.
    charge_answer, refund_answered: what the commands were answered; an answer once given stays.
    reason: why the charge was declined.
    """

    status: Literal["none", "charging", "charged", "declined", "refunding", "refunded"] = "none"
    order_id: str = ""
    amount: int = 0
    charged: int = 0
    refunded: int = 0
    currency: str = ""
    payment_id: str = ""
    intent: Intent | None = None
    refund_wanted: bool = False
    charge_answer: Literal["", "charged", "declined"] = ""
    refund_answered: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class StartCharge:
    """The command, with the deadline of the call that it may lead to."""

    charge: Charge
    deadline: datetime


@dataclass(frozen=True, slots=True)
class RecordCharge:
    """The gateway's answer, with the deadline of the refund that it may lead to."""

    result: Charged | Declined
    deadline: datetime


@dataclass(frozen=True, slots=True)
class ChargeNotFound:
    """After the deadline of this attempt the gateway knows of no charge."""

    attempt: int
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


type PaymentCommand = (
    StartCharge | RecordCharge | ChargeNotFound | StartRefund | RecordRefund | RefundNotFound
)


def decide(state: Payment, command: PaymentCommand, now: datetime) -> Sequence[PaymentEvent]:
    match command:
        case StartCharge():
            return _start_charge(state, command)
        case RecordCharge():
            return _record_charge(state, command)
        case ChargeNotFound():
            return _charge_not_found(state, command)
        case StartRefund():
            return _start_refund(state, command)
        case RecordRefund():
            return [command.result] if state.status == "refunding" else []
        case RefundNotFound():
            return _refund_not_found(state, command)
        case _:
            assert_never(command)


def _start_charge(state: Payment, command: StartCharge) -> Sequence[PaymentEvent]:
    charge = command.charge
    if state.status == "none":
        return [ChargeStarted(charge.order_id, charge.amount, charge.currency, 1, command.deadline)]
    if state.status == "refunded" and not state.charge_answer:
        return [Declined(charge.order_id, REFUND_CAME_FIRST)]
    return []


def _record_charge(state: Payment, command: RecordCharge) -> Sequence[PaymentEvent]:
    match command.result:
        case Charged() as charged:
            if state.payment_id:
                return []
            if state.status == "charging" and not state.refund_wanted:
                return [charged]
            # Also when the order was told that nothing was charged, and something was: give it back.
            return [charged, _refund_started(_charged(state, charged), 1, command.deadline)]
        case Declined() as declined:
            return _closed(state, declined) if state.status == "charging" else []


def _charge_not_found(state: Payment, command: ChargeNotFound) -> Sequence[PaymentEvent]:
    if state.status != "charging" or not _is_current(state, command.attempt):
        return []
    if state.refund_wanted:
        return _closed(state, Declined(state.order_id, REFUND_CAME_FIRST))
    return [
        ChargeStarted(state.order_id, state.amount, state.currency, command.attempt + 1, command.deadline)
    ]


def _start_refund(state: Payment, command: StartRefund) -> Sequence[PaymentEvent]:
    match state.status:
        case "none" | "declined":
            return [Refunded(command.refund.order_id, 0, "")]
        case "charging":
            return [] if state.refund_wanted else [RefundWanted(state.order_id)]
        case "charged":
            return [_refund_started(state, 1, command.deadline)]
        case "refunding" | "refunded":
            return []


def _refund_not_found(state: Payment, command: RefundNotFound) -> Sequence[PaymentEvent]:
    if state.status == "refunding" and _is_current(state, command.attempt):
        return [_refund_started(state, command.attempt + 1, command.deadline)]
    return []


def _closed(state: Payment, declined: Declined) -> Sequence[PaymentEvent]:
    return [declined, Refunded(state.order_id, 0, "")] if state.refund_wanted else [declined]


def _refund_started(state: Payment, attempt: int, deadline: datetime) -> RefundStarted:
    return RefundStarted(state.order_id, state.charged, state.currency, attempt, deadline)


def _is_current(state: Payment, attempt: int) -> bool:
    return state.intent is not None and state.intent.attempt == attempt


def evolve(state: Payment, event: PaymentEvent) -> Payment:
    match event:
        case ChargeStarted():
            return replace(
                state,
                status="charging",
                order_id=event.order_id,
                amount=event.amount,
                currency=event.currency,
                intent=Intent(event.attempt, event.deadline),
            )
        case Charged():
            return _charged(state, event)
        case Declined():
            return replace(
                state,
                status="declined" if state.status == "charging" else state.status,
                intent=None,
                charge_answer="declined",
                reason=event.reason,
            )
        case RefundWanted():
            return replace(state, refund_wanted=True)
        case RefundStarted():
            return replace(state, status="refunding", intent=Intent(event.attempt, event.deadline))
        case Refunded():
            return replace(
                state,
                status="refunded",
                order_id=event.order_id,
                refunded=state.refunded + event.amount,
                intent=None,
                refund_answered=True,
            )
        case _:
            assert_never(event)


def _charged(state: Payment, event: Charged) -> Payment:
    """A charge that is to be given back at once is answered as declined: nobody may go on with it."""
    state = replace(
        state,
        status="charged",
        order_id=event.order_id,
        charged=event.amount,
        currency=event.currency,
        payment_id=event.payment_id,
        intent=None,
    )
    if state.charge_answer:
        return state
    if state.refund_wanted or state.refund_answered:
        return replace(state, charge_answer="declined", reason=REFUND_CAME_FIRST)
    return replace(state, charge_answer="charged")


PAYMENTS: Decider[Payment, PaymentCommand, PaymentEvent] = Decider(
    container="payments", state=Payment, initial=Payment(), decide=decide, evolve=evolve
)
