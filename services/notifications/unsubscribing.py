"""Unsubscribe links: signed, so that nobody can switch off what another is told.

The token names customer, channel, kind and expiry, and ends in an HMAC-SHA256 of that; whoever has the mail
has the token, which is what RFC 8058 wants: one POST without cookies or further questions.
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

import orjson

from core.decider import Rejection
from services.notifications.channels import CHANNELS, ChannelName
from services.notifications.kinds import KINDS

LIFETIME = timedelta(days=90)
"""RFC 8058 asks for links that work for as long as a mail may reasonably be read; CAN-SPAM for 30 days."""

MAX_TOKEN = 1000
_MAC_BYTES = 32


class InvalidLink(Rejection):
    def __init__(self, rule: str) -> None:
        super().__init__("invalid_link", f"this unsubscribe link {rule}")


@dataclass(frozen=True, slots=True)
class Link:
    customer_id: str
    channel: ChannelName
    kind: str


def token(link: Link, key: bytes, now: datetime) -> str:
    expires = int((now + LIFETIME).timestamp())
    content = orjson.dumps([link.customer_id, link.channel, link.kind, expires])
    return base64.urlsafe_b64encode(content + _mac(content, key)).decode().rstrip("=")


def read(text: str, key: bytes, now: datetime) -> Link:
    """Raises InvalidLink."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError as error:
        raise InvalidLink("is not one of ours") from error
    content, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
    if len(text) > MAX_TOKEN or not hmac.compare_digest(mac, _mac(content, key)):
        raise InvalidLink("is not one of ours")
    customer_id, channel, kind, expires = orjson.loads(content)
    if channel not in CHANNELS or kind not in KINDS:
        raise InvalidLink("is of a kind that is no longer sent")
    if expires <= now.timestamp():
        raise InvalidLink("has expired")
    return Link(customer_id, cast("ChannelName", channel), kind)


def _mac(content: bytes, key: bytes) -> bytes:
    return hmac.digest(key, b"unsubscribe\0" + content, hashlib.sha256)
