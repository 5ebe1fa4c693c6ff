"""What every adapter of `services.payments.gateway.PaymentGateway` must do. Subclass it; give the gateway and
its tokens.
"""

from abc import ABC, abstractmethod
from itertools import count

import pytest

from services.payments.gateway import MoneyBack, PaymentGateway, Pending
from services.payments.messages import Charged, Declined

_numbers = count(1)


@pytest.fixture
def order() -> str:
    return f"ord-{next(_numbers)}"


class GatewaySuite(ABC):
    """ok, declined, action, unknown: tokens that are charged, are declined, whose customer must act first,
    and that no card is known by.
    """

    ok: str
    declined: str
    action: str
    unknown: str

    @pytest.fixture
    @abstractmethod
    async def gateway(self) -> PaymentGateway: ...

    async def charged(self, gateway: PaymentGateway, order: str) -> Charged:
        result = await gateway.charge(f"{order}:charge", order, 4200, "GBP", self.ok)
        assert isinstance(result, Charged)
        return result

    async def test_a_charge_is_answered_with_what_moved_and_is_found(
        self, gateway: PaymentGateway, order: str
    ) -> None:
        charged = await self.charged(gateway, order)
        assert (charged.order_id, charged.amount, charged.currency) == (order, 4200, "GBP")
        assert await gateway.find_charge(order, charged.payment_id) == charged

    async def test_a_card_that_is_kept_can_be_charged_again_and_again(
        self, gateway: PaymentGateway, order: str
    ) -> None:
        kept = [await gateway.keep("cust-1", self.ok) for _ in range(2)]
        card = kept[0]
        assert card is not None
        assert (card.brand, card.last_four) == ("visa", "4242")
        assert card.expiry_year > 2027
        for number in (1, 2):
            named = f"{order}-{number}"
            result = await gateway.charge(f"{named}:charge", named, 4200, "GBP", card.reference)
            assert isinstance(result, Charged)

    async def test_a_card_is_forgotten_once_or_again(self, gateway: PaymentGateway) -> None:
        card = await gateway.keep("cust-2", self.ok)
        assert card is not None
        for _ in range(2):
            await gateway.forget(card.reference)

    async def test_what_is_no_card_is_not_kept(self, gateway: PaymentGateway) -> None:
        assert await gateway.keep("cust-1", self.unknown) is None

    async def test_a_declined_charge_has_a_reason(self, gateway: PaymentGateway, order: str) -> None:
        result = await gateway.charge(f"{order}:charge", order, 4200, "GBP", self.declined)
        assert result == Declined(order, "card_declined")

    async def test_parts_and_the_rest_are_given_back_and_each_is_found(
        self, gateway: PaymentGateway, order: str
    ) -> None:
        pay = (await self.charged(gateway, order)).payment_id
        assert await gateway.find_refund(order, pay, "r1") is None
        for part, amount in (("r1", 1200), ("r2", 2000), ("", 1000)):
            money = MoneyBack(amount, "GBP")
            key = f"{order}:refund:{part}"
            assert await gateway.refund(key, order, pay, part, amount, "GBP") == money
            assert await gateway.find_refund(order, pay, part) == money
        assert await gateway.find_refund(order, pay, "r3") is None

    async def test_a_charge_that_waits_for_the_customer_is_pending_and_can_be_ended(
        self, gateway: PaymentGateway, order: str
    ) -> None:
        pending = await gateway.charge(f"{order}:charge", order, 4200, "GBP", self.action)
        assert isinstance(pending, Pending)
        assert await gateway.find_charge(order, pending.payment_id) == pending
        for _ in range(2):
            ended = await gateway.cancel_charge(order, pending.payment_id)
            assert isinstance(ended, Declined)
        assert await gateway.find_charge(order, pending.payment_id) == ended

    async def test_a_charge_that_has_succeeded_is_not_ended(
        self, gateway: PaymentGateway, order: str
    ) -> None:
        charged = await self.charged(gateway, order)
        assert await gateway.cancel_charge(order, charged.payment_id) == charged
