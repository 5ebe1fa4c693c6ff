"""What a payment's events add up to."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, assert_never

from core.outside_call import Intent
from services.payments.events import (
    ChargePending,
    ChargeStarted,
    PartRefundStarted,
    PartRefundWanted,
    PaymentEvent,
    RefundStarted,
    RefundWanted,
)
from services.payments.messages import (
    Charged,
    Declined,
    PartRefunded,
    PartRefundRefused,
    PartRefusal,
    PendingReason,
    Refunded,
)

REFUND_CAME_FIRST = "refunded"


type PaymentStatus = Literal["none", "charging", "pending", "charged", "declined", "refunding", "refunded"]
type PartStatus = Literal["wanted", "refunding", "refunded", "refused"]


@dataclass(frozen=True, slots=True)
class Part:
    """The refund of a part, for one return. `reason` is why it was refused."""

    return_id: str
    amount: int
    status: PartStatus
    reason: PartRefusal | Literal[""] = ""


@dataclass(frozen=True, slots=True)
class Payment:
    """`charged` and `refunded` are what moved at the gateway, in minor units of `currency`.

    status: `charged` also while parts are given back and when all of them are.
    amount: what the order asked for.
    payment_id: the gateway's, once it took money; pending_id: of a charge that was pending.
    pending_reason, pending_since: why and since when it was.
    intent: of the call under way while `charging`, `refunding`, or a part is.
    charge_answer, refund_answered: what the commands were answered; an answer once given stays.
    given_back: what the answer to the undo says was given back by it.
    reason: why the charge was declined.
    """

    status: PaymentStatus = "none"
    order_id: str = ""
    amount: int = 0
    charged: int = 0
    refunded: int = 0
    currency: str = ""
    payment_id: str = ""
    pending_id: str = ""
    pending_reason: PendingReason | Literal[""] = ""
    pending_since: datetime | None = None
    action_url: str = ""
    intent: Intent | None = None
    refund_wanted: bool = False
    charge_answer: Literal["", "charged", "declined"] = ""
    refund_answered: bool = False
    given_back: int = 0
    reason: str = ""
    parts: tuple[Part, ...] = ()

    @property
    def part_under_way(self) -> Part | None:
        return next((part for part in self.parts if part.status == "refunding"), None)

    @property
    def left(self) -> int:
        """What was not given back, and is not about to be for a return."""
        bound = sum(part.amount for part in self.parts if part.status in ("wanted", "refunding"))
        return self.charged - self.refunded - bound


def evolve(state: Payment, event: PaymentEvent) -> Payment:  # noqa: PLR0911  (one for each event)
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
        case ChargePending():
            return replace(
                state,
                status="pending",
                pending_id=event.payment_id,
                pending_reason=event.reason,
                pending_since=event.since,
                action_url=event.action_url,
                intent=None,
            )
        case Charged():
            return _charged(state, event)
        case Declined():
            return replace(
                state,
                status="declined" if state.status in ("charging", "pending") else state.status,
                action_url="",
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
                given_back=state.given_back if state.refund_answered else event.amount,
            )
        case PartRefundWanted():
            return _with_part(state, Part(event.return_id, event.amount, "wanted"))
        case PartRefundStarted():
            state = replace(state, intent=Intent(event.attempt, event.deadline))
            return _with_part(state, Part(event.return_id, event.amount, "refunding"))
        case PartRefunded():
            state = replace(state, refunded=state.refunded + event.amount, intent=None)
            return _with_part(state, Part(event.return_id, event.amount, "refunded"))
        case PartRefundRefused():
            return _part_refused(state, event)
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
        action_url="",
        intent=None,
    )
    if state.charge_answer:
        return state
    if state.refund_wanted or state.refund_answered:
        return replace(state, charge_answer="declined", reason=REFUND_CAME_FIRST)
    return replace(state, charge_answer="charged")


def _part_refused(state: Payment, event: PartRefundRefused) -> Payment:
    part = next((part for part in state.parts if part.return_id == event.return_id), None)
    if part is not None and part.status == "refunding":
        state = replace(state, intent=None)
    amount = part.amount if part is not None else 0
    state = replace(state, order_id=event.order_id)
    return _with_part(state, Part(event.return_id, amount, "refused", event.reason))


def _with_part(state: Payment, part: Part) -> Payment:
    """In the order in which they were first asked for, which is the order in which they are refunded."""
    if all(part.return_id != each.return_id for each in state.parts):
        return replace(state, parts=(*state.parts, part))
    parts = tuple(part if each.return_id == part.return_id else each for each in state.parts)
    return replace(state, parts=parts)
