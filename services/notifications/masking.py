"""What may be logged, stored with an attempt or shown of an address."""

import re

from core.card_numbers import redact

MAX_REASON = 300
MAX_LOOKED_AT = 2000
"""A server may say much, and every character is looked at some sixty times."""

_EMAIL = re.compile(r"([^\s<>@,;:\"']{1,64})@([^\s<>@,;:\"']{1,255})")
_PHONE = re.compile(r"\+\d{5,13}(?=\d{2})")
_URL = re.compile(r"(https?://[^/\s?#]{1,255})[^\s]*")


def masked(text: str) -> str:
    """`ada@example.com` as `a***@example.com`, of a telephone number two digits, of a URL the host."""
    text = _EMAIL.sub(lambda found: f"{found[1][0]}***@{found[2]}", text)
    return _URL.sub(r"\1/***", _PHONE.sub("+***", text))


def reason(text: str) -> str:
    """A provider's words, fit to be kept: masked, without card numbers, on one line, not too long."""
    return redact(masked(" ".join(text[:MAX_LOOKED_AT].split())))[:MAX_REASON]
