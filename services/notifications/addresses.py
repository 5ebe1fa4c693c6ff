"""What an address must look like. Whether it reaches anybody only a message can tell."""

import re
from functools import cache
from urllib.parse import urlsplit
from zoneinfo import available_timezones

PUSH_HOSTS = (
    "fcm.googleapis.com",
    "push.services.mozilla.com",
    "push.apple.com",
    "notify.windows.com",
)
"""Of the browsers' push services, with their subdomains. A subscription comes from outside and names the URL
that the app will call: any other host could be one behind the firewall."""

_EMAIL = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@(?=.{4,253}$)([A-Za-z0-9-]{1,63}\.)+[A-Za-z0-9-]{2,63}"
)
_PHONE = re.compile(r"\+[1-9]\d{6,14}")


def email(value: str) -> str:
    """As HTML's `type=email`, with a domain of at least two labels. Raises ValueError."""
    if _EMAIL.fullmatch(value) is None:
        raise ValueError("must be an e-mail address")
    return value


def phone(value: str) -> str:
    """Raises ValueError."""
    if _PHONE.fullmatch(value) is None:
        raise ValueError("must be a telephone number with + and country code (E.164)")
    return value


def time_zone(value: str) -> str:
    """Raises ValueError."""
    if value not in _time_zones():
        raise ValueError("must be the IANA name of a time zone, as Europe/Vienna")
    return value


def push_endpoint(value: str) -> str:
    """Raises ValueError."""
    try:
        url = urlsplit(value)
        host, port = url.hostname or "", url.port
    except ValueError as error:
        raise ValueError("must be a URL") from error
    known = any(host == each or host.endswith(f".{each}") for each in PUSH_HOSTS)
    if url.scheme != "https" or port not in (None, 443) or url.username is not None or not known:
        raise ValueError(f"must be an https URL of a push service: {', '.join(PUSH_HOSTS)}")
    return value


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones())
