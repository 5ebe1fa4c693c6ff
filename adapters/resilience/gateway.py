"""A payment gateway under a policy. Every call may be repeated: it bears a key, or changes nothing twice."""

from collections.abc import AsyncIterator
from datetime import datetime

from core.outside_policy import OutsidePolicy
from services.payments.gateway import Card, MoneyBack, Movement, PaymentGateway, Pending, RefundRefused
from services.payments.messages import Charged, Declined


class ResilientGateway(PaymentGateway):
    def __init__(self, gateway: PaymentGateway, guard: OutsidePolicy) -> None:
        self._gateway = gateway
        self.guard = guard

    async def keep(self, customer_id: str, token: str) -> Card | None:
        return await self.guard.call(lambda: self._gateway.keep(customer_id, token))

    async def forget(self, reference: str) -> None:
        await self.guard.call(lambda: self._gateway.forget(reference))

    async def charge(
        self, key: str, order_id: str, amount: int, currency: str, method: str
    ) -> Charged | Declined | Pending:
        return await self.guard.call(lambda: self._gateway.charge(key, order_id, amount, currency, method))

    async def find_charge(self, order_id: str, payment_id: str = "") -> Charged | Declined | Pending | None:
        return await self.guard.call(lambda: self._gateway.find_charge(order_id, payment_id))

    async def cancel_charge(self, order_id: str, payment_id: str) -> Charged | Declined | Pending:
        return await self.guard.call(lambda: self._gateway.cancel_charge(order_id, payment_id))

    async def refund(
        self, key: str, order_id: str, payment_id: str, part: str, amount: int, currency: str
    ) -> MoneyBack | RefundRefused:
        return await self.guard.call(
            lambda: self._gateway.refund(key, order_id, payment_id, part, amount, currency)
        )

    async def find_refund(self, order_id: str, payment_id: str, part: str) -> MoneyBack | None:
        return await self.guard.call(lambda: self._gateway.find_refund(order_id, payment_id, part))

    async def movements(self, since: datetime, until: datetime) -> AsyncIterator[Movement]:
        """Each step is a call; none is repeated, since an iterator that has failed has ended."""
        movements = self._gateway.movements(since, until)
        while True:
            movement = await self.guard.call(lambda: anext(movements, None), repeat=False)
            if movement is None:
                return
            yield movement
