"""What can happen to a payment, beside the answers in `messages.py`. docs/payments.md has the diagram.

A `charge_started`, `refund_started` or `part_refund_started` after another is the next attempt of a call
whose outcome was looked up and not found.
"""

from dataclasses import dataclass
from datetime import datetime

from core.contracts import contract
from core.decider import upcaster
from core.json import JsonObject
from services.payments.messages import (
    Charged,
    Declined,
    PartRefunded,
    PartRefundRefused,
    PendingReason,
    Refunded,
)


@contract("payments.charge_started")
@dataclass(frozen=True, slots=True)
class ChargeStarted:
    """The intent to call the gateway. Until `deadline` only who recorded it may act on it."""

    order_id: str
    amount: int
    currency: str
    attempt: int
    deadline: datetime


@contract("payments.charge_pending", 2)
@dataclass(frozen=True, slots=True)
class ChargePending:
    """The gateway took the charge; a webhook will say how it ended. `action_url` is for the customer.

    Another one says that it waits for something else now; `since` stays. Version 1 did not say why nor since
    when.
    """

    order_id: str
    payment_id: str
    action_url: str
    reason: PendingReason
    since: datetime | None


@upcaster("payments.charge_pending", 1)
def _with_reason(data: JsonObject) -> JsonObject:
    return {**data, "reason": "needs_action" if data["action_url"] else "processing", "since": None}


@contract("payments.refund_wanted")
@dataclass(frozen=True, slots=True)
class RefundWanted:
    """The undo was asked for while the outcome of the charge, or of the refund of a part, was unknown."""

    order_id: str


@contract("payments.refund_started")
@dataclass(frozen=True, slots=True)
class RefundStarted:
    """`amount` is what is left of the charge."""

    order_id: str
    amount: int
    currency: str
    attempt: int
    deadline: datetime


@contract("payments.part_refund_wanted")
@dataclass(frozen=True, slots=True)
class PartRefundWanted:
    """It is in its bounds, and waits until the refund of another part has ended."""

    order_id: str
    return_id: str
    amount: int


@contract("payments.part_refund_started")
@dataclass(frozen=True, slots=True)
class PartRefundStarted:
    order_id: str
    return_id: str
    amount: int
    currency: str
    attempt: int
    deadline: datetime


type PaymentEvent = (
    ChargeStarted
    | ChargePending
    | Charged
    | Declined
    | RefundWanted
    | RefundStarted
    | Refunded
    | PartRefundWanted
    | PartRefundStarted
    | PartRefunded
    | PartRefundRefused
)
