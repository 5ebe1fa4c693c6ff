"""Signed webhooks: `t=<epoch seconds>,v1=<hex>`, an HMAC-SHA256 over `<t>.<body>`.

The form is Stripe's (https://docs.stripe.com/webhooks/signature), which others have taken up. Several `v1`
may be given while a secret is being changed. The time is signed too: an old webhook cannot be sent again.
"""

import hmac
from datetime import datetime

TOLERANCE_S = 300.0
"""How old a webhook may be, and how far ahead the sender's clock."""

MAX_HEADER = 1000


class BadSignature(Exception):
    """Not from who has the secret, or too old. The message names the rule, never the content."""


def sign(secret: str, body: bytes, at: datetime) -> str:
    """The header of a webhook that is sent `at`."""
    time = str(int(at.timestamp()))
    return f"t={time},v1={_digest(secret, time, body)}"


def verify(secret: str, header: str, body: bytes, now: datetime, tolerance_s: float = TOLERANCE_S) -> None:
    """Raises BadSignature."""
    if not header:
        raise BadSignature("must be given")
    if len(header) > MAX_HEADER:
        raise BadSignature(f"must be at most {MAX_HEADER} characters")
    fields = [part.strip().partition("=") for part in header.split(",")]
    times = [value for name, _, value in fields if name == "t"]
    if len(times) != 1 or not (times[0].isascii() and times[0].isdecimal() and len(times[0]) < 12):
        raise BadSignature("must have one time, as t=<epoch seconds>")
    expected = _digest(secret, times[0], body)
    given = [value for name, _, value in fields if name == "v1" and value.isascii()]
    if not any(hmac.compare_digest(expected, value) for value in given):
        raise BadSignature("must be the signature of the body, made with the secret of this endpoint")
    if abs(now.timestamp() - int(times[0])) > tolerance_s:
        raise BadSignature(f"must not be older than {tolerance_s:.0f} seconds")


def _digest(secret: str, time: str, body: bytes) -> str:
    return hmac.new(secret.encode(), f"{time}.".encode() + body, "sha256").hexdigest()
