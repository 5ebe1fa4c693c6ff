"""Web Push (RFC 8030) by `pywebpush`: encrypted for the browser (RFC 8291), signed for VAPID (RFC 8292).

One message goes to every subscription of the customer: he may sit before any of his browsers.
"""

import base64
import hashlib
from collections.abc import Callable

import aiohttp
import orjson
from py_vapid import Vapid, VapidException
from pywebpush import WebPushException, webpush_async

from services.notifications.channels import Channel, Message, SendRefused, SendUnavailable, Sent

PROVIDER = "web-push"
TTL_S = 86400
"""How long the push service keeps a message for a browser that is away."""

MAX_PAYLOAD_BYTES = 3072
"""A push service must take 4096 bytes encrypted (RFC 8030, 7.2); encryption adds about a hundred."""


def read_vapid_key(text: str) -> Vapid:
    """A private key on the curve P-256, 32 bytes in base64url. Raises ValueError."""
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        if len(raw) != 32:
            raise ValueError  # noqa: TRY301  (said once, below)
        return Vapid.from_raw(text.encode())
    except (ValueError, VapidException):
        raise ValueError("must be the 32 bytes of a private key in base64url") from None


class WebPush(Channel):
    """`subject` is whom the push service may write to, a mailto: or https: URL. `allowed` raises ValueError
    for an endpoint that must not be called: it comes from outside."""

    def __init__(
        self, vapid: Vapid, subject: str, timeout_s: float, allowed: Callable[[str], object]
    ) -> None:
        self._vapid = vapid
        self._subject = subject
        self._timeout_s = timeout_s
        self._allowed = allowed

    async def send(self, message: Message) -> Sent:
        """Taken when one subscription took it. Raises SendRefused when all are gone or refuse it, else
        SendUnavailable."""
        gone: list[str] = []
        failures: list[SendRefused | SendUnavailable] = []
        taken = ""
        async with aiohttp.ClientSession() as session:
            for address in message.to:
                try:
                    taken = await self._push(session, message, address)
                except SendRefused as error:
                    gone += error.gone
                    failures.append(error)
                except SendUnavailable as error:
                    failures.append(error)
        if taken:
            return Sent(PROVIDER, taken, tuple(gone))
        later = [failure for failure in failures if isinstance(failure, SendUnavailable)]
        if later:
            raise later[0]
        raise SendRefused("; ".join(str(failure) for failure in failures), tuple(gone))

    async def _push(self, session: aiohttp.ClientSession, message: Message, address: str) -> str:
        """Answers the push service's name for the message."""
        subscription = orjson.loads(address)
        endpoint = subscription["endpoint"]
        try:
            self._allowed(endpoint)
        except ValueError as error:
            raise SendRefused("the endpoint is not of a push service", (address,)) from error
        digest = hashlib.sha256(message.key.encode()).digest()
        # Of two messages of one topic the push service keeps the later: a repeat replaces the first.
        topic = base64.urlsafe_b64encode(digest).decode()[:32]
        try:
            response = await webpush_async(
                {
                    "endpoint": endpoint,
                    "keys": {"p256dh": subscription["p256dh"], "auth": subscription["auth"]},
                },
                data=_payload(message),
                vapid_private_key=self._vapid,
                vapid_claims={"sub": self._subject},
                headers={"Topic": topic},
                ttl=TTL_S,
                timeout=aiohttp.ClientTimeout(total=self._timeout_s),
                aiohttp_session=session,
            )
        except WebPushException as error:
            raise _refused(error, address) from error
        except (aiohttp.ClientError, OSError) as error:
            raise SendUnavailable(type(error).__name__) from error
        except (
            ValueError
        ) as error:  # keys that are no points of the curve, as only a crooked browser gives them
            raise SendRefused(f"the subscription is not valid: {type(error).__name__}", (address,)) from error
        assert isinstance(response, aiohttp.ClientResponse)  # noqa: S101  (not asked for a curl command)
        return response.headers.get("Location", topic)


def _payload(message: Message) -> str:
    """What a service worker shows."""
    payload = {"title": message.title, "body": message.text}
    while len(orjson.dumps(payload)) > MAX_PAYLOAD_BYTES:
        payload["body"] = payload["body"][: len(payload["body"]) * 3 // 4]
    return orjson.dumps(payload).decode()


def _refused(error: WebPushException, address: str) -> SendRefused | SendUnavailable:
    """404 and 410: the subscription is no more (RFC 8030, 7.3)."""
    status = error.status_code
    if status in {404, 410}:
        return SendRefused(f"{status} the subscription is gone", (address,))
    if status is None or status == 429 or status >= 500:
        after = error.retry_after or ""
        return SendUnavailable(str(status), float(after) if after.isdecimal() else 0.0)
    return SendRefused(f"{status} refused by the push service")
