"""A payment gateway without money. The payment method chooses what happens:

    tok_declined                 the card is declined
    tok_outage_<seconds>         out of service for that long, from the first call for this order
    tok_slow_<seconds>           answers after that long
    tok_no_answer                never answers, and charges nothing
    tok_charged_no_answer        charges, and never answers
    tok_refund_outage_<seconds>  charges; refunds are out of service for that long, from the first
    tok_refund_refused           charges; refuses the refund of a part
    tok_pending_<seconds>        pending; charged after that long, and a webhook says so
    tok_pending_declined_<secs>  pending; declined after that long
    tok_pending_stuck_<seconds>  as tok_pending, but cannot be cancelled before
    tok_action_<seconds>         the customer must do something, and does so after that long: charged
    tok_action_abandoned         the customer never does it
    tok_expired, tok_unknown     charged; cannot be put on file: the card has expired, or is not known
    tok_expires_<MMYYYY>         charged; on file, the card expires at the end of that month
    tok_mastercard, tok_amex     charged; on file, the card is of that brand, else of Visa
    anything else                charged

A charge costs one document request. A webhook is sent as the message on the queue `payments` that the
endpoint makes of one, enqueued when the charge ends.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal, cast

from adapters.sandbox.behaviour import (
    CONTAINER,
    SandboxRefusal,
    find,
    never_answer,
    outage,
    remember,
    seconds,
)
from core.bus import Bus
from core.clock import Clock
from core.documents import Documents, PreconditionFailed, Query, SetField, Where, each_page
from core.envelope import to_message
from core.json import Json, JsonObject
from services.payments.gateway import (
    Card,
    MoneyBack,
    Movement,
    Notice,
    PaymentGateway,
    Pending,
    RefundRefused,
)
from services.payments.messages import Charged, Declined, PendingReason
from services.payments.webhooks import check_charge

QUEUE = "payments"
PROVIDER = "sandbox"
_BRANDS = {"tok_mastercard": ("mastercard", "4444"), "tok_amex": ("amex", "0005")}


@dataclass(frozen=True, slots=True)
class _Later:
    """How a pending charge ends: None, never of itself."""

    after_s: float | None
    ends_as: Literal["charged", "declined"] = "charged"
    cancellable: bool = True
    action_url: str = ""


class SandboxGateway(PaymentGateway):
    def __init__(self, documents: Documents, bus: Bus, clock: Clock) -> None:
        self._documents = documents
        self._bus = bus
        self._clock = clock

    async def keep(self, customer_id: str, token: str) -> Card | None:
        if token == "tok_unknown":  # noqa: S105  (a test token)
            return None
        brand, last_four = _BRANDS.get(token, ("visa", "4242"))
        expiry = re.fullmatch(r"tok_expires_(0[1-9]|1[0-2])(\d{4})", token)
        if expiry is not None:
            return Card(token, brand, last_four, int(expiry[1]), int(expiry[2]))
        return Card(token, brand, last_four, 12, 2020 if token == "tok_expired" else 2040)  # noqa: S105

    async def forget(self, reference: str) -> None:
        """Tokens stand for no cards here, and are for everybody."""

    async def charge(
        self, key: str, order_id: str, amount: int, currency: str, method: str
    ) -> Charged | Declined | Pending:
        if (for_s := seconds(method, "tok_outage_")) is not None:
            await outage(self._documents, self._clock, f"charge-outage:{order_id}", for_s)
        if (for_s := seconds(method, "tok_slow_")) is not None:
            await asyncio.sleep(for_s)
        if method == "tok_no_answer":
            await never_answer()
        later = _later(order_id, method)
        now = self._clock.now()
        item: JsonObject = {
            "id": f"charge:{order_id}",
            "kind": "charge",
            "order_id": order_id,
            "key": key,
            "amount": amount,
            "currency": currency,
            "status": "declined" if method == "tok_declined" else "charged",
            "reason": "card_declined" if method == "tok_declined" else "",
            "refund_outage_s": seconds(method, "tok_refund_outage_") or 0.0,
            "refuses_parts": method == "tok_refund_refused",
            "refunds": [],
            "at": now.isoformat(),
            "moved_at": now.isoformat(),
        }
        charge, new = await remember(self._documents, item if later is None else item | _pending(later, now))
        if charge["key"] != key:
            raise SandboxRefusal(f"{order_id}: charged before, under another key")
        if new and method == "tok_charged_no_answer":
            await never_answer()
        return await self._told(charge)

    async def find_charge(self, order_id: str, payment_id: str = "") -> Charged | Declined | Pending | None:
        charge = await find(self._documents, f"charge:{order_id}")
        return None if charge is None else await self._told(charge)

    async def cancel_charge(self, order_id: str, payment_id: str) -> Charged | Declined | Pending:
        charge = await find(self._documents, f"charge:{order_id}")
        if charge is None:
            raise SandboxRefusal(f"{order_id}: there is no charge to cancel")
        found = await self._told(charge)
        if not isinstance(found, Pending) or not charge["cancellable"]:
            return found
        return _result(await self._end(order_id, "cancelled", "cancelled"))

    async def refund(
        self, key: str, order_id: str, payment_id: str, part: str, amount: int, currency: str
    ) -> MoneyBack | RefundRefused:
        charge = await find(self._documents, f"charge:{order_id}")
        if charge is None or charge["status"] not in ("charged", "refunded"):
            raise SandboxRefusal(f"{order_id}: there is no charge of {amount} {currency} to refund")
        refunds = _refunds(charge)
        made = next((refund for refund in refunds if refund["part"] == part), None)
        if made is not None:
            if made["key"] != key:
                raise SandboxRefusal(f"{order_id}: refunded before, under another key")
            return MoneyBack(cast(int, made["amount"]), currency)
        if part and charge["refuses_parts"]:
            return RefundRefused("charge_disputed")
        if for_s := cast(float, charge["refund_outage_s"]):
            await outage(self._documents, self._clock, f"refund-outage:{order_id}", for_s)
        left = cast(int, charge["amount"]) - sum(cast(int, refund["amount"]) for refund in refunds)
        if amount > left or currency != charge["currency"]:
            raise SandboxRefusal(f"{order_id}: there is no charge of {amount} {currency} to refund")
        now = self._clock.now().isoformat()
        refund: JsonObject = {"part": part, "key": key, "amount": amount, "at": now}
        changes = [SetField("refunds", cast(Json, [*refunds, refund])), SetField("moved_at", now)]
        if amount == left:
            changes.append(SetField("status", "refunded"))
        id = str(charge["id"])
        try:
            await self._documents.patch(CONTAINER, id, id, changes, etag=str(charge["_etag"]))
        except PreconditionFailed:
            return await self.refund(key, order_id, payment_id, part, amount, currency)
        return MoneyBack(amount, currency)

    async def find_refund(self, order_id: str, payment_id: str, part: str) -> MoneyBack | None:
        charge = await find(self._documents, f"charge:{order_id}")
        if charge is None:
            return None
        made = next((refund for refund in _refunds(charge) if refund["part"] == part), None)
        return None if made is None else MoneyBack(cast(int, made["amount"]), str(charge["currency"]))

    async def movements(self, since: datetime, until: datetime) -> AsyncIterator[Movement]:
        where = (Where("kind", "=", "charge"), Where("moved_at", ">=", since.isoformat()))
        async for page in each_page(self._documents, CONTAINER, Query(where, limit=200)):
            for charge in page.items:
                for movement in _movements(charge):
                    if since <= movement.at < until:
                        yield movement

    async def _told(self, charge: JsonObject) -> Charged | Declined | Pending:
        """What the charge is now. While it is pending its webhook is sent (again: it may have been lost)."""
        if charge["status"] != "pending":
            return _result(charge)
        order_id = str(charge["order_id"])
        if charge["ends_at"]:
            ends_at = datetime.fromisoformat(str(charge["ends_at"]))
            if ends_at <= self._clock.now():
                ends_as = str(charge["ends_as"])
                reason = "card_declined" if ends_as == "declined" else ""
                return _result(await self._end(order_id, ends_as, reason))
            news: Literal["charged", "declined"] = "charged" if charge["ends_as"] == "charged" else "declined"
            notice = Notice(f"evt-{order_id}-{news}", order_id, f"pay-{order_id}", news)
            message = to_message(check_charge(notice, PROVIDER, self._clock.now()))
            await self._bus.send(QUEUE, [replace(message, scheduled_for=ends_at)])
        action_url = str(charge["action_url"])
        pending: PendingReason = "needs_action" if action_url else "processing"
        return Pending(order_id, f"pay-{order_id}", pending, action_url)

    async def _end(self, order_id: str, status: str, reason: str) -> JsonObject:
        id = f"charge:{order_id}"
        now = self._clock.now().isoformat()
        changes = [
            SetField("status", status),
            SetField("reason", reason),
            SetField("at", now),
            SetField("moved_at", now),
        ]
        try:
            ended = await self._documents.patch(CONTAINER, id, id, changes, [Where("status", "=", "pending")])
        except PreconditionFailed:
            return (await self._documents.read(CONTAINER, id, id)).item
        return ended.item


def _later(order_id: str, method: str) -> _Later | None:
    if (after_s := seconds(method, "tok_pending_")) is not None:
        return _Later(after_s)
    if (after_s := seconds(method, "tok_pending_declined_")) is not None:
        return _Later(after_s, "declined")
    if (after_s := seconds(method, "tok_pending_stuck_")) is not None:
        return _Later(after_s, cancellable=False)
    action_url = f"https://sandbox.invalid/authenticate/{order_id}"
    if (after_s := seconds(method, "tok_action_")) is not None:
        return _Later(after_s, action_url=action_url)
    return _Later(None, action_url=action_url) if method == "tok_action_abandoned" else None


def _pending(later: _Later, now: datetime) -> JsonObject:
    ends_at = "" if later.after_s is None else (now + timedelta(seconds=later.after_s)).isoformat()
    return {
        "status": "pending",
        "ends_at": ends_at,
        "ends_as": later.ends_as,
        "cancellable": later.cancellable,
        "action_url": later.action_url,
    }


def _movements(charge: JsonObject) -> Iterator[Movement]:
    result = _result(charge) if charge["status"] != "pending" else None
    if not isinstance(result, Charged):
        return
    order_id, payment_id, currency = result.order_id, result.payment_id, result.currency
    at = datetime.fromisoformat(str(charge["at"]))
    yield Movement("charge", order_id, payment_id, "", result.amount, currency, at)
    for refund in _refunds(charge):
        at = datetime.fromisoformat(str(refund["at"]))
        amount = cast(int, refund["amount"])
        yield Movement("refund", order_id, payment_id, str(refund["part"]), amount, currency, at)


def _refunds(charge: JsonObject) -> list[JsonObject]:
    return cast(list[JsonObject], charge["refunds"])


def _result(charge: JsonObject) -> Charged | Declined:
    order_id = str(charge["order_id"])
    if charge["status"] in ("declined", "cancelled"):
        return Declined(order_id, str(charge["reason"]))
    return Charged(order_id, f"pay-{order_id}", cast(int, charge["amount"]), str(charge["currency"]))
