"""The webhooks of the sandbox gateway, for who wants to send one over HTTP.

    Sandbox-Signature: t=<epoch seconds>,v1=<HMAC-SHA256, hex, of "<t>.<body>" with the secret "sandbox">

    {"id": "evt-1", "type": "charge.succeeded", "order_id": "ord-1", "payment_id": "pay-ord-1"}

`type` is `charge.succeeded` or `charge.failed`; others are ignored.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

import orjson

from adapters.sandbox.gateway import PROVIDER
from core.contracts import InvalidContract
from core.signatures import verify
from services.payments.gateway import Notice, Webhooks

SECRET: Final = "sandbox"  # noqa: S105  (it protects nothing: the sandbox has no money)

_NEWS: Mapping[str, Literal["charged", "declined"]] = {
    "charge.succeeded": "charged",
    "charge.failed": "declined",
}


@dataclass(frozen=True, slots=True)
class SandboxWebhooks(Webhooks):
    provider: str = PROVIDER
    header: str = "Sandbox-Signature"

    def read(self, body: bytes, headers: Mapping[str, str], now: datetime) -> Notice | None:
        verify(SECRET, headers.get(self.header.lower(), ""), body, now)
        try:
            event = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise InvalidContract("body: must be JSON") from error
        if not isinstance(event, dict):
            raise InvalidContract("body: must be a JSON object")
        for field in ("id", "type", "order_id", "payment_id"):
            if not isinstance(event.get(field), str) or not event[field]:
                raise InvalidContract(f"{field}: must be a non-empty string")
        news = _NEWS.get(event["type"])
        if news is None:
            return None
        return Notice(event["id"], event["order_id"], event["payment_id"], news)
