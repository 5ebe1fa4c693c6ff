"""What payments is told and what it answers. Amounts are integer minor units with an ISO 4217 code.

The answers are also the events that say so in the payment's own stream.
"""

from dataclasses import dataclass
from typing import Annotated

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


@contract("payments.refund")
@dataclass(frozen=True, slots=True)
class Refund:
    """Undoes `payments.charge`, in full."""

    order_id: Id


@contract("payments.refunded")
@dataclass(frozen=True, slots=True)
class Refunded:
    """`amount` is 0, and `currency` empty, when nothing had been charged."""

    order_id: str
    amount: int
    currency: str
