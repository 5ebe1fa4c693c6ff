"""A payment gateway without money. The payment method chooses what happens:

    tok_declined                the card is declined
    tok_outage_<seconds>        out of service for that long, from the first call for this order
    tok_slow_<seconds>          answers after that long
    tok_no_answer               never answers, and charges nothing
    tok_charged_no_answer       charges, and never answers
    tok_refund_outage_<seconds> charges; refunds are out of service for that long, from the first
    anything else               charged

A charge costs one document request.
"""

import asyncio
from typing import cast

from adapters.sandbox.behaviour import (
    CONTAINER,
    SandboxRefusal,
    find,
    never_answer,
    outage,
    remember,
    seconds,
)
from core.clock import Clock
from core.documents import Documents, PreconditionFailed, SetField, Where
from core.json import JsonObject
from services.payments.gateway import PaymentGateway
from services.payments.messages import Charged, Declined, Refunded


class SandboxGateway(PaymentGateway):
    def __init__(self, documents: Documents, clock: Clock) -> None:
        self._documents = documents
        self._clock = clock

    async def charge(
        self, key: str, order_id: str, amount: int, currency: str, method: str
    ) -> Charged | Declined:
        if (for_s := seconds(method, "tok_outage_")) is not None:
            await outage(self._documents, self._clock, f"charge-outage:{order_id}", for_s)
        if (for_s := seconds(method, "tok_slow_")) is not None:
            await asyncio.sleep(for_s)
        if method == "tok_no_answer":
            await never_answer()
        charge, new = await remember(
            self._documents,
            {
                "id": f"charge:{order_id}",
                "kind": "charge",
                "order_id": order_id,
                "key": key,
                "amount": amount,
                "currency": currency,
                "status": "declined" if method == "tok_declined" else "charged",
                "reason": "card_declined" if method == "tok_declined" else "",
                "refund_outage_s": seconds(method, "tok_refund_outage_") or 0.0,
                "at": self._clock.now().isoformat(),
            },
        )
        if charge["key"] != key:
            raise SandboxRefusal(f"{order_id}: charged before, under another key")
        if new and method == "tok_charged_no_answer":
            await never_answer()
        return _result(charge)

    async def find_charge(self, order_id: str) -> Charged | Declined | None:
        charge = await find(self._documents, f"charge:{order_id}")
        return None if charge is None else _result(charge)

    async def refund(self, key: str, order_id: str, payment_id: str, amount: int, currency: str) -> Refunded:
        charge = await find(self._documents, f"charge:{order_id}")
        if charge is None or charge["status"] == "declined" or charge["amount"] != amount:
            raise SandboxRefusal(f"{order_id}: there is no charge of {amount} {currency} to refund")
        if for_s := cast(float, charge["refund_outage_s"]):
            await outage(self._documents, self._clock, f"refund-outage:{order_id}", for_s)
        id = f"charge:{order_id}"
        try:
            await self._documents.patch(
                CONTAINER,
                id,
                id,
                [
                    SetField("status", "refunded"),
                    SetField("refund_key", key),
                    SetField("refunded_at", self._clock.now().isoformat()),
                ],
                [Where("status", "=", "charged")],
            )
        except PreconditionFailed as error:
            again = await find(self._documents, f"charge:{order_id}")
            if again is None or again.get("refund_key") != key:
                raise SandboxRefusal(f"{order_id}: refunded before, under another key") from error
        return Refunded(order_id, amount, currency)

    async def find_refund(self, order_id: str) -> Refunded | None:
        charge = await find(self._documents, f"charge:{order_id}")
        if charge is None or charge["status"] != "refunded":
            return None
        return Refunded(order_id, cast(int, charge["amount"]), str(charge["currency"]))


def _result(charge: JsonObject) -> Charged | Declined:
    order_id = str(charge["order_id"])
    if charge["status"] == "declined":
        return Declined(order_id, str(charge["reason"]))
    return Charged(order_id, f"pay-{order_id}", cast(int, charge["amount"]), str(charge["currency"]))
