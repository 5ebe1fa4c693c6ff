"""Shared access signatures: who shows one may use an entity until it expires.

https://learn.microsoft.com/azure/service-bus-messaging/service-bus-sas
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Final
from urllib.parse import parse_qsl, quote_plus, unquote_plus, urlsplit

from emulator.wire.keys import KEY_NAME

_PREFIX: Final = "SharedAccessSignature "


class TokenRefused(Exception):
    """The message says why."""


def sign(audience: str, expires_at: int, key: str) -> str:
    """A token for `audience`, a URL. `expires_at` is in epoch seconds."""
    encoded = quote_plus(audience)
    signature = quote_plus(_signature(encoded, str(expires_at), key))
    return f"{_PREFIX}sr={encoded}&sig={signature}&se={expires_at}&skn={KEY_NAME}"


def check(token: str, key: str, now: float) -> tuple[str, float]:
    """The path that the token is for, in lower case, and until when (epoch seconds). Raises TokenRefused."""
    if not token.startswith(_PREFIX):
        raise TokenRefused("only tokens of the form 'SharedAccessSignature sr=...' are served")
    raw = dict(part.partition("=")[::2] for part in token.removeprefix(_PREFIX).split("&"))
    fields = dict(parse_qsl(token.removeprefix(_PREFIX)))
    missing = [name for name in ("sr", "sig", "se", "skn") if name not in fields]
    if missing:
        raise TokenRefused(f"the token has no {', '.join(missing)}")
    if fields["skn"] != KEY_NAME:
        raise TokenRefused(f"the key name {fields['skn']!r} is unknown, it must be {KEY_NAME}")
    expected = _signature(raw["sr"], raw["se"], key)
    if not hmac.compare_digest(expected.encode(), unquote_plus(raw["sig"]).encode()):
        raise TokenRefused("InvalidSignature: the token has an invalid signature")
    if not fields["se"].isdigit():
        raise TokenRefused("the token's expiry is no number of seconds")
    expires_at = float(fields["se"])
    if expires_at <= now:
        raise TokenRefused("ExpiredToken: the token has expired")
    return path_of(fields["sr"]).lower(), expires_at


def path_of(address: str) -> str:
    """Of an address or audience, with or without scheme and host: `queue`, `topic/Subscriptions/name`."""
    path = urlsplit(address).path if "://" in address else address
    return path.strip("/")


def _signature(encoded_audience: str, expires_at: str, key: str) -> str:
    signed = f"{encoded_audience}\n{expires_at}".encode()
    return base64.b64encode(hmac.new(key.encode(), signed, hashlib.sha256).digest()).decode()


class Rights:
    """Of one connection: the tokens that it has shown."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def grant(self, path: str, until: float) -> None:
        """For `path` and all below it; the empty path is the whole namespace."""
        self._until[path] = until

    def until(self, path: str) -> float:
        """Epoch seconds until which the path may be used; 0 when it may not."""
        path = path.lower()
        covers = [
            until
            for granted, until in self._until.items()
            if not granted or path == granted or path.startswith(f"{granted}/")
        ]
        return max(covers, default=0.0)
