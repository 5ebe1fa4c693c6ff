"""The calls to the gateway that a payment's state says are under way."""

from dataclasses import dataclass
from datetime import UTC, datetime

from core.clock import Clock
from core.contracts import contract_name
from core.documents import Documents
from core.envelope import command_id
from core.outside_call import (
    Guard,
    Intent,
    OutcomeUnknown,
    OutsideCall,
    OutsideUnavailable,
    deadline,
    guard_of,
)
from core.resilience import retry_transient
from services.payments.decider import (
    ChargeNotFound,
    PartNotFound,
    PaymentCommand,
    RecordCancellation,
    RecordCharge,
    RecordPart,
    RecordRefund,
    RefundNotFound,
)
from services.payments.events import ChargeStarted, PartRefundStarted, RefundStarted
from services.payments.gateway import MoneyBack, PaymentGateway, RefundRefused
from services.payments.messages import (
    Charge,
    Declined,
    PartRefunded,
    PartRefundRefused,
    Refund,
    Refunded,
    RefundPart,
)
from services.payments.methods import token_for
from services.payments.state import Part, Payment

CHARGE = contract_name(Charge)
REFUND = contract_name(Refund)
REFUND_PART = contract_name(RefundPart)

_ASK_NOW = Intent(0, datetime(1970, 1, 1, tzinfo=UTC))
"""Of a call that may be repeated at any time: nothing to wait for."""

type Call = OutsideCall[PaymentCommand]


@dataclass(frozen=True, slots=True)
class Outside:
    """`timeout_s` is how long the gateway may take."""

    gateway: PaymentGateway
    clock: Clock
    timeout_s: float

    def deadline(self) -> datetime:
        return deadline(self.clock.now(), self.timeout_s)

    def guard(self, _: Payment, event: object) -> Guard | None:
        """Who must admit the call whose intent this event is."""
        intents = (ChargeStarted, RefundStarted, PartRefundStarted)
        return guard_of(self.gateway) if isinstance(event, intents) else None


def charge_call(
    outside: Outside, documents: Documents, state: Payment, intent: Intent, charge: Charge | None
) -> Call:
    """`charge` is there when this delivery may make the call: it alone has the token."""

    async def call() -> PaymentCommand:
        assert charge is not None  # noqa: S101  (only its delivery opens this intent)
        # Of what fails here the outcome must not be unknown: nothing was sent.
        token = await retry_transient(lambda: token_for(documents, charge, outside.clock.now()))
        if isinstance(token, Declined):
            return RecordCharge(token, outside.deadline())
        result = await outside.gateway.charge(
            command_id(charge.order_id, CHARGE),
            charge.order_id,
            charge.amount,
            charge.currency,
            token,
        )
        return RecordCharge(result, outside.deadline())

    async def find() -> PaymentCommand:
        found = await outside.gateway.find_charge(state.order_id)
        limit = outside.deadline()
        return ChargeNotFound(intent.attempt, limit) if found is None else RecordCharge(found, limit)

    return OutsideCall(intent, ChargeStarted, call, find)


def look_up_call(outside: Outside, state: Payment) -> Call:
    """How a pending charge stands: its webhook may have been lost."""

    async def find() -> PaymentCommand:
        found = await outside.gateway.find_charge(state.order_id, state.pending_id)
        if found is None:
            raise OutcomeUnknown(f"the gateway does not find the charge {state.pending_id!r} that it took")
        return RecordCharge(found, outside.deadline())

    return OutsideCall(_ASK_NOW, type(None), find, find)


def cancel_call(outside: Outside, state: Payment) -> Call:
    async def find() -> PaymentCommand:
        result = await outside.gateway.cancel_charge(state.order_id, state.pending_id)
        return RecordCancellation(result, outside.deadline())

    return OutsideCall(_ASK_NOW, type(None), find, find)


def refund_call(outside: Outside, state: Payment, intent: Intent) -> Call:
    async def call() -> PaymentCommand:
        left = state.charged - state.refunded
        key = command_id(state.order_id, REFUND)
        result = await outside.gateway.refund(key, state.order_id, state.payment_id, "", left, state.currency)
        if isinstance(result, RefundRefused):
            # An undo has no failure: it is tried again until somebody has seen to it.
            raise OutsideUnavailable(f"the gateway refuses the refund: {result.reason}")
        return RecordRefund(Refunded(state.order_id, result.amount, result.currency))

    async def find() -> PaymentCommand:
        found = await outside.gateway.find_refund(state.order_id, state.payment_id, "")
        if found is None:
            return RefundNotFound(intent.attempt, outside.deadline())
        return RecordRefund(Refunded(state.order_id, found.amount, found.currency))

    return OutsideCall(intent, RefundStarted, call, find)


def part_call(outside: Outside, state: Payment, intent: Intent, part: Part) -> Call:
    def record(result: MoneyBack | RefundRefused) -> PaymentCommand:
        answer: PartRefunded | PartRefundRefused
        if isinstance(result, RefundRefused):
            answer = PartRefundRefused(state.order_id, part.return_id, "refused_by_gateway")
        else:
            answer = PartRefunded(state.order_id, part.return_id, result.amount, result.currency)
        return RecordPart(answer, outside.deadline())

    async def call() -> PaymentCommand:
        key = command_id(state.order_id, REFUND_PART, part.return_id)
        return record(
            await outside.gateway.refund(
                key, state.order_id, state.payment_id, part.return_id, part.amount, state.currency
            )
        )

    async def find() -> PaymentCommand:
        found = await outside.gateway.find_refund(state.order_id, state.payment_id, part.return_id)
        if found is None:
            return PartNotFound(part.return_id, intent.attempt, outside.deadline())
        return record(found)

    return OutsideCall(intent, PartRefundStarted, call, find)
