"""What Stripe answers and posts, as far as the adapter reads it."""

from typing import Any

ORDER = "ord-1"


def intent(status: str = "succeeded", **fields: Any) -> dict[str, Any]:
    plain = {"amount": 4200, "currency": "gbp", "metadata": {"order_id": ORDER}}
    return {"id": "pi_1", "object": "payment_intent", "status": status, **plain, **fields}


def refund(status: str = "succeeded", **fields: Any) -> dict[str, Any]:
    plain = {"amount": 1200, "currency": "gbp", "metadata": {"part": "r1"}}
    return {"id": "re_1", "object": "refund", "status": status, **plain, **fields}


def error(type: str, **fields: Any) -> dict[str, Any]:
    return {"error": {"type": type, "message": "of card 4242424242424242", **fields}}
