"""EasyPost's webhooks: https://docs.easypost.com/docs/webhooks

The signature is that of version 2 (https://support.easypost.com, "Webhook HMAC Validation"), which bears the
time of sending: `X-Hmac-Signature-V2: hmac-sha256-hex=<hex>`, the HMAC-SHA256 of `<X-Timestamp>POST<X-Path>
<body>` without spaces, with the endpoint's secret. The library checks version 1 only, which can be sent again
for ever. Subscribe the endpoint to `tracker.updated`.
"""

import hmac
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Final

import orjson

from adapters.easypost.news import news_of
from core.contracts import InvalidContract
from core.signatures import MAX_HEADER, TOLERANCE_S, BadSignature
from services.shipping.carrier import Notice, Webhooks

CARRIER: Final = "easypost"
_SCHEME: Final = "hmac-sha256-hex="


@dataclass(frozen=True, slots=True)
class EasyPostWebhooks(Webhooks):
    secret: str = field(repr=False)
    carrier: str = CARRIER
    header: str = "X-Hmac-Signature-V2"

    def read(self, body: bytes, headers: Mapping[str, str], path: str, now: datetime) -> Notice | None:
        self._verify(body, headers, path, now)
        try:
            event = orjson.loads(body)
            if event["description"] != "tracker.updated":
                return None
            tracker = event["result"]
            shipment_id = tracker["shipment_id"]
            told = news_of(tracker["tracking_details"])
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            raise InvalidContract("body: must be an event of EasyPost with a tracker") from error
        # A tracker of somebody else, made at the dashboard say, has no shipment.
        if not told or not isinstance(shipment_id, str) or not shipment_id:
            return None
        return Notice(shipment_id, told[-1])

    def _verify(self, body: bytes, headers: Mapping[str, str], path: str, now: datetime) -> None:
        given, time = headers.get(self.header.lower(), ""), headers.get("x-timestamp", "")
        signed_path = headers.get("x-path", "")
        if not given:
            raise BadSignature("must be given")
        if max(len(given), len(time), len(signed_path)) > MAX_HEADER:
            raise BadSignature(f"must be at most {MAX_HEADER} characters, X-Timestamp and X-Path too")
        if not signed_path.partition("?")[0].endswith(path):
            raise BadSignature("must be of this endpoint, as X-Path says")
        if not hmac.compare_digest(sign(self.secret, body, time, signed_path), given.encode()):
            raise BadSignature("must be the signature of the body, made with the secret of this endpoint")
        try:
            sent = parsedate_to_datetime(time)
        except ValueError as error:
            raise BadSignature("must have a time, as X-Timestamp in the form of RFC 2822") from error
        if sent.tzinfo is None:  # `-0000`: UTC, of which the sender's zone is not known
            sent = sent.replace(tzinfo=now.tzinfo)
        if abs((now - sent).total_seconds()) > TOLERANCE_S:
            raise BadSignature(f"must not be older than {TOLERANCE_S:.0f} seconds")


def sign(secret: str, body: bytes, time: str, path: str) -> bytes:
    key = unicodedata.normalize("NFKD", secret).encode()
    message = f"{time}POST{path}".encode(errors="replace") + body
    return (_SCHEME + hmac.new(key, message, "sha256").hexdigest()).encode()
