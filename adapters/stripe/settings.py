"""The settings of Stripe, checked at the start. Without the library, which takes its time to import."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from core.settings import InvalidSetting

API_KEY = "STRIPE_API_KEY"
WEBHOOK_SECRET = "STRIPE_WEBHOOK_SECRET"  # noqa: S105  (the setting's name)
RETURN_URL = "STRIPE_RETURN_URL"
NAMES = frozenset({API_KEY, WEBHOOK_SECRET, RETURN_URL})


@dataclass(frozen=True, slots=True)
class StripeSettings:
    """`return_url` is where a customer comes back to from his bank; empty: he is not sent there."""

    api_key: str = field(repr=False)
    webhook_secret: str = field(repr=False)
    return_url: str = ""


def read_stripe_settings(environment: Mapping[str, str]) -> StripeSettings:
    """Raises InvalidSetting, which names the setting and the rule and never the secret."""
    api_key = _secret(environment, API_KEY, ("sk_", "rk_"))
    webhook_secret = _secret(environment, WEBHOOK_SECRET, ("whsec_",))
    return_url = environment.get(RETURN_URL, "").strip()
    if return_url:
        url = urlsplit(return_url)
        if url.scheme != "https" or not url.hostname:
            raise InvalidSetting(f"{RETURN_URL}: must be an https URL")
    return StripeSettings(api_key, webhook_secret, return_url)


def _secret(environment: Mapping[str, str], name: str, beginnings: tuple[str, ...]) -> str:
    secret = environment.get(name, "").strip()
    if not (secret.startswith(beginnings) and secret.isascii() and secret.isprintable()):
        raise InvalidSetting(f"{name}: must begin with {' or '.join(beginnings)}")
    return secret
