"""What payments is told and what it answers. Amounts are integer minor units with an ISO 4217 code.

The answers are also the events that say so in the payment's own stream.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from core.contracts import Id, contract

type Amount = Annotated[int, Field(gt=0, lt=2**53)]
"""A number in Cosmos DB is an IEEE double: integers are exact below 2^53."""

type Currency = Annotated[str, Field(pattern="^[A-Z]{3}$")]


@contract("payments.charge")
@dataclass(frozen=True, slots=True)
class Charge:
    """`payment_method` is a gateway's token."""

    order_id: Id
    customer_id: str
    amount: Amount
    currency: Currency
    payment_method: str


@contract("payments.charged")
@dataclass(frozen=True, slots=True)
class Charged:
    order_id: str
    payment_id: str
    amount: int
    currency: str


@contract("payments.declined")
@dataclass(frozen=True, slots=True)
class Declined:
    """`reason` is the gateway's code, or `refunded` (the undo came first, or
    before the outcome was known).
    """

    order_id: str
    reason: str


type PendingReason = Literal["needs_action", "processing"]


@contract("payments.pending")
@dataclass(frozen=True, slots=True)
class PaymentPending:
    """Said to `payments.charge` before its answer, each time that it finds the charge still open.

    needs_action: the customer must do something first, such as answer his bank.
    processing: nobody has to do anything.
    """

    order_id: str
    reason: PendingReason
    since: datetime


@contract("payments.refund")
@dataclass(frozen=True, slots=True)
class Refund:
    """Undoes `payments.charge`, in full."""

    order_id: Id


@contract("payments.refunded")
@dataclass(frozen=True, slots=True)
class Refunded:
    """`amount` is 0, and `currency` empty, when nothing was left to give back."""

    order_id: str
    amount: int
    currency: str


@contract("payments.refund_part")
@dataclass(frozen=True, slots=True)
class RefundPart:
    """Gives back a part of what an order paid, for the return `return_id`: once for each return."""

    order_id: Id
    return_id: Id
    amount: Amount
    currency: Currency


@contract("payments.part_refunded")
@dataclass(frozen=True, slots=True)
class PartRefunded:
    order_id: str
    return_id: str
    amount: int
    currency: str


type PartRefusal = Literal[
    "not_charged", "more_than_charged", "wrong_currency", "refunded", "refused_by_gateway"
]


@contract("payments.part_refund_refused")
@dataclass(frozen=True, slots=True)
class PartRefundRefused:
    """The answer for good: the same return is never refunded later.

    not_charged: the order has paid nothing, or it is not known yet that it has.
    more_than_charged: with what was given back and is being given back it would be more than was paid.
    refunded: the payment was undone in full.
    """

    order_id: str
    return_id: str
    reason: PartRefusal


@contract("payments.check_charge")
@dataclass(frozen=True, slots=True)
class CheckCharge:
    """The gateway says, by webhook `event_id`, that a charge has ended. Nobody waits for an answer."""

    order_id: Id
    payment_id: str
    event_id: Id
    news: Literal["charged", "declined"]
