"""What can happen to a payment, beside the answers in `messages.py`.

    (none) -> charge_started -> charged | declined
    charged -> refund_started -> refunded
    (none), declined -> refunded, with nothing
    charge_started -> refund_wanted -> declined, refunded with nothing | charged, refund_started -> refunded

A `charge_started` after another, or a `refund_started`, is the next attempt of a call whose outcome was
looked up and not found.
"""

from dataclasses import dataclass
from datetime import datetime

from core.contracts import contract
from services.payments.messages import Charged, Declined, Refunded


@contract("payments.charge_started")
@dataclass(frozen=True, slots=True)
class ChargeStarted:
    """The intent to call the gateway. Until `deadline` only who recorded it may act on it."""

    order_id: str
    amount: int
    currency: str
    attempt: int
    deadline: datetime


@contract("payments.refund_wanted")
@dataclass(frozen=True, slots=True)
class RefundWanted:
    """A refund was asked for while the outcome of the charge was unknown."""

    order_id: str


@contract("payments.refund_started")
@dataclass(frozen=True, slots=True)
class RefundStarted:
    order_id: str
    amount: int
    currency: str
    attempt: int
    deadline: datetime


type PaymentEvent = ChargeStarted | Charged | Declined | RefundWanted | RefundStarted | Refunded
