"""A payment gateway that is as unforgiving as a real one may be."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

from services.payments.gateway import Card, MoneyBack, Movement, PaymentGateway, Pending, RefundRefused
from services.payments.messages import Charged, Declined
from tests.interleaving import Gates
from tests.strict_outside import StrictOutside


class StrictGateway(PaymentGateway):
    """`refunds` are what was given back, each with its part.

    pending: charges do not end by themselves; `end` ends one.
    """

    def __init__(self, gate: Gates, declines: bool, lands_late: bool, pending: bool = False) -> None:
        self.outside = StrictOutside(gate, lands_late)
        self._declines = declines
        self._pending = pending
        self.cancellable = True
        self.charges: list[Charged | Declined | Pending] = []
        self.refunds: list[tuple[str, MoneyBack]] = []

    async def keep(self, customer_id: str, token: str) -> Card | None:
        return Card(token, "visa", "4242", 12, 2040)

    async def forget(self, reference: str) -> None:
        raise NotImplementedError("nobody removes a card in these tests")

    async def charge(
        self, key: str, order_id: str, amount: int, currency: str, method: str
    ) -> Charged | Declined | Pending:
        return await self.outside.do(key, lambda: self.charge_now(order_id, amount, currency))

    def charge_now(self, order_id: str, amount: int, currency: str) -> Charged | Declined | Pending:
        result: Charged | Declined | Pending = Charged(
            order_id, f"pay-{len(self.charges) + 1}", amount, currency
        )
        if self._pending:
            result = Pending(order_id, f"pay-{len(self.charges) + 1}", "processing")
        elif self._declines:
            result = Declined(order_id, "card_declined")
        self.charges.append(result)
        return result

    def end(self, result: Charged | Declined) -> None:
        """What the pending charge has become."""
        self.charges[0] = result

    async def find_charge(self, order_id: str, payment_id: str = "") -> Charged | Declined | Pending | None:
        return await self.outside.find(self.charges)

    async def cancel_charge(self, order_id: str, payment_id: str) -> Charged | Declined | Pending:
        if isinstance(self.charges[0], Pending) and self.cancellable:
            self.end(Declined(order_id, "cancelled"))
        return await self.outside.find(self.charges)

    async def refund(
        self, key: str, order_id: str, payment_id: str, part: str, amount: int, currency: str
    ) -> MoneyBack | RefundRefused:
        def refund_now() -> Any:
            money = MoneyBack(amount, currency)
            self.refunds.append((part, money))
            return money

        return await self.outside.do(key, refund_now)

    async def movements(self, since: datetime, until: datetime) -> AsyncIterator[Movement]:
        raise NotImplementedError("nobody reconciles in these tests")
        yield

    async def find_refund(self, order_id: str, payment_id: str, part: str) -> MoneyBack | None:
        return await self.outside.find([money for of, money in self.refunds if of == part])
