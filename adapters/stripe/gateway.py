"""The payment gateway on Stripe's PaymentIntents (https://docs.stripe.com/api/payment_intents).

An order's charge is one PaymentIntent, created and confirmed in one request under the command's id as
idempotency key, with the order's id in its metadata. A search by order may be behind by up to a minute
(https://docs.stripe.com/search#data-freshness): a charge that it does not find is made again under the same
key, which Stripe keeps for at least a day, and so is not made twice; and its webhook tells of it in any case.
"""

from collections.abc import AsyncIterator, Awaitable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Literal

import stripe

from adapters.stripe.amounts import from_stripe, to_stripe
from core.outside_call import OutsideUnavailable
from services.payments.gateway import Card, MoneyBack, Movement, PaymentGateway, Pending, RefundRefused
from services.payments.messages import Charged, Declined, PendingReason

API = "https://api.stripe.com"

_OF = ":"
"""Between Customer and PaymentMethod in the reference to a card that was kept: `cus_1:pm_1`."""

_ENDED = {"canceled", "requires_payment_method"}
_NOT_MADE = {"failed", "canceled"}


class StripeGateway(PaymentGateway):
    """`timeout_s` is for one request. `return_url` is where a customer comes back to from his bank.

    Raises stripe.AuthenticationError and PermissionError for a key that Stripe does not take.
    """

    def __init__(self, api_key: str, timeout_s: float, *, return_url: str = "", api: str = API) -> None:
        self._http = stripe.AIOHTTPClient(timeout=timeout_s)
        # No retries in the SDK, which would multiply with those of core/resilience.py.
        self._client = stripe.StripeClient(
            api_key, base_addresses={"api": api}, http_client=self._http, max_network_retries=0
        ).v1
        self._return_url = return_url

    async def close(self) -> None:
        await self._http.close_async()  # type: ignore[no-untyped-call]  # it has no annotations

    async def keep(self, customer_id: str, token: str) -> Card | None:
        """A PaymentMethod is good for one charge, unless it is attached to a Customer, who is named in each.

        One that another of the shop's customers keeps is none for this one.

        https://docs.stripe.com/payments/payment-methods#payment-methods-and-customers
        """
        key: Any = {"idempotency_key": f"{customer_id}:{token}:keep"}
        asked: Any = {"metadata": {"customer_id": customer_id}}
        try:
            method = (await _answer(self._client.payment_methods.retrieve_async(token))).to_dict()
            card, owner = method.get("card"), method.get("customer")
            if card and owner:
                known = _named(await _answer(self._client.customers.retrieve_async(owner)), "customer_id")
                if known not in ("", customer_id):
                    return None
            elif card:
                owner = (await _answer(self._client.customers.create_async(asked, key))).id
                await _answer(self._client.payment_methods.attach_async(method["id"], {"customer": owner}))
        except (stripe.CardError, stripe.InvalidRequestError):
            return None
        if not card:
            return None
        reference = f"{owner}{_OF}{method['id']}"
        return Card(reference, card["brand"], card["last4"], card["exp_month"], card["exp_year"])

    async def forget(self, reference: str) -> None:
        """Stripe refuses to detach what is not attached, and says so in no code of its own
        (https://docs.stripe.com/api/payment_methods/detach): so it is asked to whom it is attached.
        """
        id = reference.rpartition(_OF)[2]
        try:
            await _answer(self._client.payment_methods.detach_async(id))
        except stripe.InvalidRequestError as refused:
            if refused.http_status == HTTPStatus.NOT_FOUND:
                return
            if (await _answer(self._client.payment_methods.retrieve_async(id))).to_dict().get("customer"):
                raise

    async def charge(
        self, key: str, order_id: str, amount: int, currency: str, method: str
    ) -> Charged | Declined | Pending:
        asked: Any = {
            "amount": to_stripe(amount, currency),
            "currency": currency.lower(),
            "payment_method": method,
            "payment_method_types": ["card"],
            "confirm": True,
            "metadata": {"order_id": order_id},
        }
        customer, separator, kept = method.partition(_OF)
        if separator:
            asked |= {"customer": customer, "payment_method": kept}
        if self._return_url:
            asked["return_url"] = self._return_url
        try:
            intent = await _answer(self._client.payment_intents.create_async(asked, {"idempotency_key": key}))
        except (stripe.CardError, stripe.InvalidRequestError) as error:
            return Declined(order_id, _code(error))
        return _result(order_id, intent)

    async def find_charge(self, order_id: str, payment_id: str = "") -> Charged | Declined | Pending | None:
        if payment_id:
            try:
                intent = await _answer(self._client.payment_intents.retrieve_async(payment_id))
            except stripe.InvalidRequestError as error:
                if error.http_status == HTTPStatus.NOT_FOUND:
                    return None
                raise
            return _result(order_id, intent) if _named(intent, "order_id") == order_id else None
        query = f'metadata["order_id"]:"{_quoted(order_id)}"'
        found = await _answer(self._client.payment_intents.search_async({"query": query, "limit": 10}))
        results = [_result(order_id, intent) for intent in found.data]
        charged = [result for result in results if isinstance(result, Charged)]
        return next(iter([*charged, *results]), None)

    async def cancel_charge(self, order_id: str, payment_id: str) -> Charged | Declined | Pending:
        try:
            return _result(order_id, await _answer(self._client.payment_intents.cancel_async(payment_id)))
        except stripe.InvalidRequestError:  # it has ended meanwhile, or is on its way through the banks
            return _result(order_id, await _answer(self._client.payment_intents.retrieve_async(payment_id)))

    async def refund(
        self, key: str, order_id: str, payment_id: str, part: str, amount: int, currency: str
    ) -> MoneyBack | RefundRefused:
        try:
            refund = await _answer(
                self._client.refunds.create_async(
                    {
                        "payment_intent": payment_id,
                        "amount": to_stripe(amount, currency),
                        "metadata": {"order_id": order_id, "part": part or "all"},
                    },
                    {"idempotency_key": key},
                )
            )
        except (stripe.CardError, stripe.InvalidRequestError) as error:
            return RefundRefused(_code(error))
        if refund.status in _NOT_MADE:
            return RefundRefused(str(refund.to_dict().get("failure_reason") or refund.status))
        return _money(refund)

    async def find_refund(self, order_id: str, payment_id: str, part: str) -> MoneyBack | None:
        page = await _answer(self._client.refunds.list_async({"payment_intent": payment_id, "limit": 100}))
        async for refund in page.auto_paging_iter():
            if _named(refund, "part") == (part or "all") and refund.status not in _NOT_MADE:
                return _money(refund)
        return None

    async def movements(self, since: datetime, until: datetime) -> AsyncIterator[Movement]:
        """Charges, and not PaymentIntents: those that ended later were made before."""
        window: Any = {"created": {"gte": int(since.timestamp()), "lt": int(until.timestamp())}, "limit": 100}
        charges = await _answer(self._client.charges.list_async(window))
        async for charge in charges.auto_paging_iter():
            if charge.status == "succeeded" and _named(charge, "order_id"):
                yield _movement("charge", charge, "")
        refunds = await _answer(self._client.refunds.list_async(window))
        async for refund in refunds.auto_paging_iter():
            part = _named(refund, "part")
            if refund.status not in _NOT_MADE and part and _named(refund, "order_id"):
                yield _movement("refund", refund, "" if part == "all" else part)


def _movement(about: Literal["charge", "refund"], told: stripe.Charge | stripe.Refund, part: str) -> Movement:
    currency = told.currency.upper()
    payment_id = str(told.to_dict().get("payment_intent") or "")
    at = datetime.fromtimestamp(told.created, UTC)
    amount = from_stripe(told.amount, currency)
    return Movement(about, _named(told, "order_id"), payment_id, part, amount, currency, at)


async def _answer[R](request: Awaitable[R]) -> R:
    """Raises OutsideUnavailable for what Stripe says to repeat, under the same key."""
    try:
        return await request
    except (stripe.APIConnectionError, stripe.RateLimitError) as error:
        after = str((error.headers or {}).get("Retry-After", ""))
        retry_after_s = float(after) if after.isascii() and after.isdecimal() else 0.0
        raise OutsideUnavailable(f"stripe: {type(error).__name__}", retry_after_s) from error
    except stripe.APIError as error:  # 5xx, or an answer that is no JSON
        raise OutsideUnavailable(f"stripe: {error.http_status}") from error
    except stripe.IdempotencyError as error:
        if error.http_status == HTTPStatus.CONFLICT:  # the first request under this key is still under way
            raise OutsideUnavailable("stripe: the call under this key is still under way") from error
        raise


def _result(order_id: str, intent: stripe.PaymentIntent) -> Charged | Declined | Pending:
    if intent.status == "succeeded":
        currency = intent.currency.upper()
        return Charged(order_id, intent.id, from_stripe(intent.amount, currency), currency)
    # What is absent and what is null is one here, and an attribute that is absent raises.
    told = intent.to_dict()
    if intent.status in _ENDED:
        error = told.get("last_payment_error") or {}
        return Declined(order_id, error.get("decline_code") or error.get("code") or str(intent.status))
    redirect = (told.get("next_action") or {}).get("redirect_to_url") or {}
    reason: PendingReason = "needs_action" if intent.status == "requires_action" else "processing"
    return Pending(order_id, intent.id, reason, redirect.get("url") or "")


def _named(told: stripe.PaymentIntent | stripe.Charge | stripe.Refund | stripe.Customer, name: str) -> str:
    """An entry of the metadata."""
    return str((told.to_dict().get("metadata") or {}).get(name, ""))


def _money(refund: stripe.Refund) -> MoneyBack:
    currency = refund.currency.upper()
    return MoneyBack(from_stripe(refund.amount, currency), currency)


def _code(error: stripe.CardError | stripe.InvalidRequestError) -> str:
    """Never the message, which may repeat what was sent."""
    decline = getattr(error.error, "decline_code", None) if error.error else None
    return str(decline or error.code or "invalid_request")


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
