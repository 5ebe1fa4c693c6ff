"""The signature of a request with the account's key.

https://learn.microsoft.com/rest/api/cosmos-db/access-control-on-cosmosdb-resources
"""

import binascii
import hmac
from collections.abc import Mapping
from email.utils import formatdate, parsedate_to_datetime
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

from emulator.wire.cosmos.exchange import Refusal

_VALID_S: Final = 900
_USUAL: Final = "type%3Dmaster%26ver%3D1.0%26sig%3D"
"""How the SDKs begin a token, percent-encoded."""


def check(
    headers: Mapping[str, str], verb: str, resource_type: str, link: str, key: bytes, now: float
) -> None:
    """`link` is what the client signs: see `routes.Target`. Raises Refusal 401; 403 for a stale date."""
    token = headers.get("authorization")
    if token is None:
        raise Refusal(
            401, "Required Header authorization is missing. Ensure a valid Authorization token is passed."
        )
    signature = _signature(token)
    stated = headers.get("x-ms-date")
    http_date = "" if stated is not None else headers.get("date", "")
    payload = f"{verb.lower()}\n{resource_type}\n{link}\n{(stated or '').lower()}\n{http_date.lower()}\n"
    made = _keyed(key).copy()
    made.update(payload.encode())
    if not hmac.compare_digest(binascii.b2a_base64(made.digest(), newline=False), signature):
        escaped = payload.replace("\n", "\\n")
        raise Refusal(
            401,
            "The input authorization token can't serve the request. The wrong key is being used or the "
            "expected payload is not built as per the protocol. Server used the following payload to sign: "
            f"'{escaped}'",
        )
    _check_date(stated or http_date, now)


def _signature(token: str) -> bytes:
    """In base64. Raises Refusal 401."""
    if token.startswith(_USUAL):  # the same by a shorter way: this is asked of every request
        plain = token[len(_USUAL) :].replace("%2B", "+").replace("%2F", "/").replace("%3D", "=")
        if "%" not in plain and "&" not in plain:
            return plain.encode("ascii", "replace")
    fields = dict(part.partition("=")[::2] for part in unquote(token).split("&"))
    if fields.get("type") != "master" or fields.get("ver") != "1.0" or "sig" not in fields:
        raise Refusal(
            401,
            "The authorization token is not served: the emulator takes `type=master&ver=1.0&sig=SIGNATURE` "
            f"only, made with the account's key, not type {fields.get('type', 'none')!r}.",
        )
    return fields["sig"].encode("ascii", "replace")


@lru_cache(maxsize=4)
def _keyed(key: bytes) -> hmac.HMAC:
    """To be copied: to look up the algorithm and to prepare the key costs more than to sign a request."""
    return hmac.new(key, digestmod="sha256")


def _check_date(text: str, now: float) -> None:
    moment = _epoch(text)
    if moment is None:
        raise Refusal(401, "The x-ms-date header, or else Date, is missing or not an RFC 1123 date.")
    if abs(now - moment) > _VALID_S:
        raise Refusal(
            403,
            "The authorization token is not valid at the current time. Please create another token and retry "
            f"(token start time: {_gmt(moment)}, token expiry time: {_gmt(moment + _VALID_S)}, "
            f"current server time: {_gmt(now)}).",
        )


@lru_cache(maxsize=256)
def _epoch(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None


def _gmt(epoch: float) -> str:
    return formatdate(epoch, usegmt=True)
