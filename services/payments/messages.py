"""What payments is told and what it answers. Amounts are integer minor units with an ISO 4217 code."""

from dataclasses import dataclass

from core.contracts import contract


@contract("payments.charge")
@dataclass(frozen=True, slots=True)
class Charge:
    """`payment_method` is a gateway's token."""

    order_id: str
    customer_id: str
    amount: int
    currency: str
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
    """`reason` is the gateway's code, or `refunded` (the undo came first)."""

    order_id: str
    reason: str


@contract("payments.refund")
@dataclass(frozen=True, slots=True)
class Refund:
    """Undoes `payments.charge`, in full."""

    order_id: str


@contract("payments.refunded")
@dataclass(frozen=True, slots=True)
class Refunded:
    """`amount` is 0 when nothing had been charged."""

    order_id: str
    amount: int
    currency: str
