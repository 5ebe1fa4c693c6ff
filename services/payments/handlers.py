"""Carries out the commands of payments: two document requests and one of the gateway for a charge."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from core.bus import Bus
from core.clock import Clock
from core.contracts import InvalidContract, contract_name
from core.decider import Loaded, load
from core.documents import Documents
from core.envelope import Envelope, check_command, command_id
from core.outside_call import OutcomeUnknown, carry_out
from core.telemetry import log
from services.payments.calls import (
    CHARGE,
    REFUND,
    REFUND_PART,
    Call,
    Outside,
    cancel_call,
    charge_call,
    look_up_call,
    part_call,
    refund_call,
)
from services.payments.decider import (
    PAYMENTS,
    PaymentCommand,
    RecordCharge,
    StartCharge,
    StartPart,
    StartRefund,
)
from services.payments.gateway import PaymentGateway
from services.payments.messages import (
    Charge,
    Charged,
    CheckCharge,
    Declined,
    PartRefunded,
    PartRefundRefused,
    PaymentPending,
    Refund,
    Refunded,
    RefundPart,
)
from services.payments.state import Part, Payment

CHECK_CHARGE = contract_name(CheckCharge)
COMMANDS = frozenset({CHARGE, REFUND, REFUND_PART, CHECK_CHARGE})

type Answer = Charged | Declined | Refunded | PartRefunded | PartRefundRefused

logger = logging.getLogger("orderflow.payments")


async def handle_command(
    documents: Documents,
    bus: Bus,
    gateway: PaymentGateway,
    clock: Clock,
    timeout_s: float,
    command: Envelope,
) -> None:
    """Charge or refund, once, and answer; or take note of how a charge ended. `timeout_s` is how long the
    gateway may take.

    A charge that the gateway calls pending is answered when it has ended: on a webhook's word, or when this
    command comes again and the gateway then knows. Until then each delivery of it is told `PaymentPending`.

    Raises InvalidContract, OutcomeUnknown and the transient errors of documents and bus; repeating is safe.
    """
    outside = Outside(gateway, clock, timeout_s)
    told = command.data
    if isinstance(told, CheckCharge):
        return await _check_charge(documents, bus, outside, command, told)
    check_command(command, told.order_id, told.return_id if isinstance(told, RefundPart) else "")
    await carry_out(
        documents,
        bus,
        clock,
        PAYMENTS,
        command,
        _start(told, outside.deadline()),
        loaded=Loaded(PAYMENTS.initial) if isinstance(told, Charge) else None,
        answers=answers,
        meanwhile=partial(_pending, clock.now()),
        under_way=_calls(outside, documents, told if isinstance(told, Charge) else None),
        guard=outside.guard,
    )
    return None


def _start(told: Charge | Refund | RefundPart, limit: datetime) -> PaymentCommand:
    match told:
        case Charge():
            return StartCharge(told, limit)
        case Refund():
            return StartRefund(told, limit)
        case RefundPart():
            return StartPart(told, limit)


def _pending(now: datetime, state: Payment) -> PaymentPending | None:
    """Of a charge: any other command is answered at once while one is open."""
    if state.status != "pending" or not state.pending_reason:
        return None
    return PaymentPending(state.order_id, state.pending_reason, state.pending_since or now)


async def _check_charge(
    documents: Documents, bus: Bus, outside: Outside, command: Envelope, told: CheckCharge
) -> None:
    """A webhook is a hint: the gateway is asked, and what it says now is recorded. So webhooks may come in
    any order, twice, or before this side has recorded what it was answered itself.
    """
    check_command(command, told.order_id, told.event_id)
    loaded = await load(documents, PAYMENTS, told.order_id)
    state = loaded.state
    if state.status == "none":
        raise InvalidContract(f"order_id: no charge was ever started for {told.order_id!r}")
    if state.payment_id and state.payment_id != told.payment_id and told.news == "charged":
        log(logger, logging.ERROR, "a second charge of one order", payment_id=told.payment_id)
        return
    if _is_known(state, told) and not state.pending_id:
        return
    found = await outside.gateway.find_charge(told.order_id, told.payment_id)
    if found is None:
        raise OutcomeUnknown(f"the gateway does not find the charge {told.payment_id!r} that it told of")
    start: PaymentCommand = RecordCharge(found, outside.deadline())
    await carry_out(
        documents,
        bus,
        outside.clock,
        PAYMENTS,
        command,
        start,
        loaded=loaded,
        answers=answers,
        under_way=_calls(outside, documents, None),
        # Sent again when it was given before: who gave it may have died before it was sent.
        answer_to=command_id(told.order_id, CHARGE),
        guard=outside.guard,
    )


def _is_known(state: Payment, told: CheckCharge) -> bool:
    if told.news == "charged":
        return state.payment_id == told.payment_id
    return bool(state.payment_id) or state.charge_answer == "declined"


def _calls(outside: Outside, documents: Documents, charge: Charge | None) -> Callable[[Payment], Call | None]:
    """What this delivery has to see through. `charge` is its command, if it is one."""
    first = _Once(charge is not None)

    def under_way(state: Payment) -> Call | None:  # noqa: PLR0911  (one for each kind of call)
        if state.status == "pending":
            if state.refund_wanted:
                return cancel_call(outside, state)
            return look_up_call(outside, state) if first.take() else None
        if state.intent is None:
            return None
        if state.status == "charging":
            if charge is None and not state.refund_wanted:
                return None  # the outcome may be a new attempt, which only the charge's own delivery can make
            first.take()  # what this call answers need not be looked up
            return charge_call(outside, documents, state, state.intent, charge)
        part = state.part_under_way
        if part is not None:
            return part_call(outside, state, state.intent, part)
        return refund_call(outside, state, state.intent)

    return under_way


@dataclass(slots=True)
class _Once:
    left: bool

    def take(self) -> bool:
        left, self.left = self.left, False
        return left


def answers(before: Payment, after: Payment) -> Sequence[tuple[str, Answer]]:
    """What this change of state answers, with the type (and part) of the command that it answers."""
    found: list[tuple[str, Answer]] = []
    if after.charge_answer and not before.charge_answer:
        if after.charge_answer == "charged":
            charged = Charged(after.order_id, after.payment_id, after.charged, after.currency)
            found.append((CHARGE, charged))
        else:
            found.append((CHARGE, Declined(after.order_id, after.reason)))
    if after.refund_answered and not before.refund_answered:
        currency = after.currency if after.given_back else ""
        found.append((REFUND, Refunded(after.order_id, after.given_back, currency)))
    if after.parts != before.parts:
        known = {part.return_id for part in before.parts if _is_answered(part)}
        found += [
            (f"{REFUND_PART}:{part.return_id}", _part_answer(after, part))
            for part in after.parts
            if _is_answered(part) and part.return_id not in known
        ]
    return found


def _is_answered(part: Part) -> bool:
    return part.status in ("refunded", "refused")


def _part_answer(state: Payment, part: Part) -> PartRefunded | PartRefundRefused:
    if part.reason:
        return PartRefundRefused(state.order_id, part.return_id, part.reason)
    return PartRefunded(state.order_id, part.return_id, part.amount, state.currency)
