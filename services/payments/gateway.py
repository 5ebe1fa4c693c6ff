"""The payment gateway, as payments needs it."""

from typing import Protocol

from services.payments.messages import Charged, Declined, Refunded


class PaymentGateway(Protocol):
    """`key` is an idempotency key: a repeat under the same key, soon enough, is the same call.

    All raise OutsideUnavailable (nothing was done; worth repeating) and may take for ever: the caller sets a
    limit.
    """

    async def charge(
        self, key: str, order_id: str, amount: int, currency: str, method: str
    ) -> Charged | Declined: ...

    async def find_charge(self, order_id: str) -> Charged | Declined | None:
        """What became of the order's charge, whether or not it was refunded since. None: no such charge."""
        ...

    async def refund(
        self, key: str, order_id: str, payment_id: str, amount: int, currency: str
    ) -> Refunded: ...

    async def find_refund(self, order_id: str) -> Refunded | None: ...
