"""Carries out the commands of payments: two document requests and one of the gateway for a charge."""

from collections.abc import Sequence

from core.bus import Bus
from core.clock import Clock
from core.contracts import contract_name
from core.decider import Loaded
from core.documents import Documents
from core.envelope import Envelope, check_command, command_id
from core.outside_call import Intent, OutsideCall, carry_out, deadline
from services.payments.decider import (
    PAYMENTS,
    ChargeNotFound,
    Payment,
    PaymentCommand,
    RecordCharge,
    RecordRefund,
    RefundNotFound,
    StartCharge,
    StartRefund,
)
from services.payments.events import ChargeStarted, RefundStarted
from services.payments.gateway import PaymentGateway
from services.payments.messages import Charge, Charged, Declined, Refund, Refunded

CHARGE = contract_name(Charge)
REFUND = contract_name(Refund)
COMMANDS = frozenset({CHARGE, REFUND})

type Answer = Charged | Declined | Refunded


async def handle_command(
    documents: Documents,
    bus: Bus,
    gateway: PaymentGateway,
    clock: Clock,
    timeout_s: float,
    command: Envelope,
) -> None:
    """Charge or refund, once, and answer. `timeout_s` is how long the gateway may take.

    Raises InvalidContract, OutcomeUnknown and the transient errors of documents and bus; repeating is safe.
    """
    order = command.data
    check_command(command, order.order_id)
    limit = deadline(clock.now(), timeout_s)
    start: PaymentCommand = (
        StartCharge(order, limit) if isinstance(order, Charge) else StartRefund(order, limit)
    )

    def under_way(state: Payment) -> OutsideCall[PaymentCommand] | None:
        if state.intent is None:
            return None
        if state.status == "charging":
            return _charge_call(gateway, clock, timeout_s, state, state.intent, order)
        return _refund_call(gateway, clock, timeout_s, state, state.intent)

    await carry_out(
        documents,
        bus,
        clock,
        PAYMENTS,
        command,
        start,
        loaded=Loaded(PAYMENTS.initial) if isinstance(order, Charge) else None,
        answers=answers,
        under_way=under_way,
    )


def answers(before: Payment, after: Payment) -> Sequence[tuple[str, Answer]]:
    """What this change of state answers, with the type of the command that it answers."""
    found: list[tuple[str, Answer]] = []
    if after.charge_answer and not before.charge_answer:
        if after.charge_answer == "charged":
            charged = Charged(after.order_id, after.payment_id, after.charged, after.currency)
            found.append((CHARGE, charged))
        else:
            found.append((CHARGE, Declined(after.order_id, after.reason)))
    if after.refund_answered and not before.refund_answered:
        currency = after.currency if after.refunded else ""
        found.append((REFUND, Refunded(after.order_id, after.refunded, currency)))
    return found


def _charge_call(
    gateway: PaymentGateway,
    clock: Clock,
    timeout_s: float,
    state: Payment,
    intent: Intent,
    order: Charge | Refund,
) -> OutsideCall[PaymentCommand]:
    async def call() -> PaymentCommand:
        assert isinstance(order, Charge)  # noqa: S101  (only its delivery opens this intent)
        result = await gateway.charge(
            command_id(order.order_id, CHARGE),
            order.order_id,
            order.amount,
            order.currency,
            order.payment_method,
        )
        return RecordCharge(result, deadline(clock.now(), timeout_s))

    async def find() -> PaymentCommand:
        found = await gateway.find_charge(state.order_id)
        limit = deadline(clock.now(), timeout_s)
        return ChargeNotFound(intent.attempt, limit) if found is None else RecordCharge(found, limit)

    return OutsideCall(intent, ChargeStarted, call, find)


def _refund_call(
    gateway: PaymentGateway, clock: Clock, timeout_s: float, state: Payment, intent: Intent
) -> OutsideCall[PaymentCommand]:
    async def call() -> PaymentCommand:
        return RecordRefund(
            await gateway.refund(
                command_id(state.order_id, REFUND),
                state.order_id,
                state.payment_id,
                state.charged,
                state.currency,
            )
        )

    async def find() -> PaymentCommand:
        found = await gateway.find_refund(state.order_id)
        if found is None:
            return RefundNotFound(intent.attempt, deadline(clock.now(), timeout_s))
        return RecordRefund(found)

    return OutsideCall(intent, RefundStarted, call, find)
