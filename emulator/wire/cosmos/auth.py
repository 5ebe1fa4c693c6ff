"""The signature of a request with the account's key.

https://learn.microsoft.com/rest/api/cosmos-db/access-control-on-cosmosdb-resources
"""

import base64
import hmac
from collections.abc import Mapping
from email.utils import formatdate, parsedate_to_datetime
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

from emulator.wire.cosmos.exchange import Refusal

_VALID_S: Final = 900


def check(
    headers: Mapping[str, str], verb: str, resource_type: str, link: str, key: bytes, now: float
) -> None:
    """`link` is what the client signs: see `routes.Target`. Raises Refusal 401; 403 for a stale date."""
    token = headers.get("authorization")
    if token is None:
        raise Refusal(
            401, "Required Header authorization is missing. Ensure a valid Authorization token is passed."
        )
    fields = dict(part.partition("=")[::2] for part in unquote(token).split("&"))
    if fields.get("type") != "master" or fields.get("ver") != "1.0" or "sig" not in fields:
        raise Refusal(
            401,
            "The authorization token is not served: the emulator takes `type=master&ver=1.0&sig=SIGNATURE` "
            f"only, made with the account's key, not type {fields.get('type', 'none')!r}.",
        )
    stated = headers.get("x-ms-date")
    http_date = "" if stated is not None else headers.get("date", "")
    payload = f"{verb.lower()}\n{resource_type}\n{link}\n{(stated or '').lower()}\n{http_date.lower()}\n"
    expected = base64.b64encode(hmac.digest(key, payload.encode(), "sha256"))
    if not hmac.compare_digest(expected, fields["sig"].encode("ascii", "replace")):
        escaped = payload.replace("\n", "\\n")
        raise Refusal(
            401,
            "The input authorization token can't serve the request. The wrong key is being used or the "
            "expected payload is not built as per the protocol. Server used the following payload to sign: "
            f"'{escaped}'",
        )
    _check_date(stated or http_date, now)


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
