"""The payment gateway, as payments needs it."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from services.payments.messages import Charged, Declined, PendingReason


@dataclass(frozen=True, slots=True)
class Pending:
    """The gateway took the charge and does not know yet how it ends; a webhook will tell.

    action_url: where the customer must go first; empty when nobody has to do anything, or it is not a page.
    """

    order_id: str
    payment_id: str
    reason: PendingReason
    action_url: str = ""


@dataclass(frozen=True, slots=True)
class MoneyBack:
    """What was given back, in minor units."""

    amount: int
    currency: str


@dataclass(frozen=True, slots=True)
class RefundRefused:
    """The gateway will not give this back. `reason` is its code."""

    reason: str


@dataclass(frozen=True, slots=True)
class Card:
    """What may be kept and shown of a card. `brand` as the gateway spells it.

    reference: what charges it again and again; a token that a form gave may be good for one charge only.
    """

    reference: str
    brand: str
    last_four: str
    expiry_month: int
    expiry_year: int


@dataclass(frozen=True, slots=True)
class Movement:
    """Money that moved, as one side knows it. `part` as in PaymentGateway; `at` is when."""

    about: Literal["charge", "refund"]
    order_id: str
    payment_id: str
    part: str
    amount: int
    currency: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Notice:
    """What a webhook says of a charge. `event_id` is the same whenever it is delivered again."""

    event_id: str
    order_id: str
    payment_id: str
    news: Literal["charged", "declined"]


class PaymentGateway(Protocol):
    """`key` is an idempotency key: a repeat under the same key, soon enough, is the same call.

    `part` names what one charge can have several refunds of: a return's id, or "" for the undo of the charge.

    All raise OutsideUnavailable (nothing was done; worth repeating) and may take for ever: their policy
    sets a limit (docs/resilience.md).
    """

    async def keep(self, customer_id: str, token: str) -> Card | None:
        """The card behind a token, ready to be charged again. None: there is no card that it could keep.

        A repeat does nothing.
        """
        ...

    async def forget(self, reference: str) -> None:
        """Keep that card no longer: nothing can be charged to it any more. A repeat does nothing."""
        ...

    async def charge(
        self, key: str, order_id: str, amount: int, currency: str, method: str
    ) -> Charged | Declined | Pending: ...

    async def find_charge(self, order_id: str, payment_id: str = "") -> Charged | Declined | Pending | None:
        """What became of the order's charge, whether or not it was refunded since. None: no such charge.

        With `payment_id` the answer is of this moment; a search by order may be behind by seconds.
        """
        ...

    async def cancel_charge(self, order_id: str, payment_id: str) -> Charged | Declined | Pending:
        """End a charge that is pending. Charged when it was too late, Pending when it cannot be ended.

        A repeat does nothing.
        """
        ...

    async def refund(
        self, key: str, order_id: str, payment_id: str, part: str, amount: int, currency: str
    ) -> MoneyBack | RefundRefused: ...

    async def find_refund(self, order_id: str, payment_id: str, part: str) -> MoneyBack | None: ...

    def movements(self, since: datetime, until: datetime) -> AsyncIterator[Movement]:
        """Every charge and refund of orders that took place from `since` and before `until`."""
        ...


class Webhooks(Protocol):
    """How the gateway tells of what happened later.

    provider: the last part of the endpoint's path.
    header: that bears the signature.
    """

    @property
    def provider(self) -> str: ...

    @property
    def header(self) -> str: ...

    def read(self, body: bytes, headers: Mapping[str, str], now: datetime) -> Notice | None:
        """None: genuine, but not of a charge of ours that has ended. `headers` by lower-case name.

        Raises BadSignature (core/signatures.py), InvalidContract: genuine, and not of the form that it is to
        have.
        """
        ...
