"""Stripe's webhooks: https://docs.stripe.com/webhooks

Subscribe the endpoint to `payment_intent.succeeded`, `payment_intent.payment_failed` and
`payment_intent.canceled`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import stripe

from core.contracts import InvalidContract
from core.signatures import TOLERANCE_S, BadSignature
from services.payments.gateway import Notice, Webhooks

_NEWS: Mapping[str, Literal["charged", "declined"]] = {
    "payment_intent.succeeded": "charged",
    "payment_intent.payment_failed": "declined",
    "payment_intent.canceled": "declined",
}


@dataclass(frozen=True, slots=True)
class StripeWebhooks(Webhooks):
    """`secret` is the endpoint's (`whsec_...`). The library compares with the machine's own clock."""

    secret: str = field(repr=False)
    provider: str = "stripe"
    header: str = "Stripe-Signature"

    def read(self, body: bytes, headers: Mapping[str, str], now: datetime) -> Notice | None:
        try:
            event = stripe.Webhook.construct_event(
                body,
                headers.get(self.header.lower(), ""),
                self.secret,
                int(TOLERANCE_S),
                api_key="unused",
            )
        except stripe.SignatureVerificationError as error:
            raise BadSignature(
                "must be a signature of the body by this endpoint's secret, and new"
            ) from error
        except ValueError as error:
            raise InvalidContract("body: must be JSON in UTF-8") from error
        news = _NEWS.get(event.type)
        if news is None:
            return None
        intent = event.data.object.to_dict()
        order_id = (intent.get("metadata") or {}).get("order_id")
        # Another app of the same account, or a person at the dashboard, made this one.
        return Notice(event.id, order_id, intent["id"], news) if order_id else None
