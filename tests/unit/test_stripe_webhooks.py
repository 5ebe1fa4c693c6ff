"""The webhooks of Stripe: verified, and read."""

from typing import Any

import orjson
import pytest
import stripe

from adapters.stripe.webhooks import StripeWebhooks
from core.contracts import InvalidContract
from core.signatures import BadSignature
from tests.fakes import START
from tests.stripe_objects import ORDER, intent

SECRET = "whsec_test"  # noqa: S105


def signed(body: bytes, **changes: Any) -> dict[str, str]:
    header = stripe.WebhookSignature.generate_signature_header(body.decode(), SECRET, **changes)
    return {"stripe-signature": header}


def event(type: str, **fields: Any) -> bytes:
    object_ = {"object": intent(**fields)}
    return orjson.dumps({"id": "evt_1", "object": "event", "type": type, "data": object_})


@pytest.mark.parametrize(
    ("type", "news"),
    [
        ("payment_intent.succeeded", "charged"),
        ("payment_intent.payment_failed", "declined"),
        ("payment_intent.canceled", "declined"),
    ],
)
def test_a_webhook_of_a_charge_that_has_ended(type: str, news: str) -> None:
    body = event(type)
    notice = StripeWebhooks(SECRET).read(body, signed(body), START)
    assert notice is not None
    assert (notice.event_id, notice.order_id, notice.payment_id, notice.news) == (
        "evt_1",
        ORDER,
        "pi_1",
        news,
    )


@pytest.mark.parametrize(
    "body",
    [event("payment_intent.created"), event("payment_intent.succeeded", metadata={})],
    ids=["another type", "not ours"],
)
def test_other_webhooks_are_not_taken(body: bytes) -> None:
    assert StripeWebhooks(SECRET).read(body, signed(body), START) is None


def test_a_webhook_that_is_forged_or_old_is_refused() -> None:
    body = event("payment_intent.succeeded")
    webhooks = StripeWebhooks(SECRET)
    for headers in (
        {},
        {"stripe-signature": "t=x,v1=y"},
        signed(b"{}"),
        signed(body, timestamp=1_600_000_000),
    ):
        with pytest.raises(BadSignature):
            webhooks.read(body, headers, START)
    assert SECRET not in repr(webhooks)


def test_a_genuine_webhook_that_is_no_json_is_not_valid() -> None:
    with pytest.raises(InvalidContract, match="JSON"):
        StripeWebhooks(SECRET).read(b"nothing", signed(b"nothing"), START)
