"""The settings of EasyPost, checked at the start."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from core.settings import InvalidSetting

API_KEY = "EASYPOST_API_KEY"
WEBHOOK_SECRET = "EASYPOST_WEBHOOK_SECRET"  # noqa: S105  (the setting's name)
OUNCES = "EASYPOST_OUNCES_PER_PIECE"

NAMES = frozenset({API_KEY, WEBHOOK_SECRET, OUNCES})

SHORTEST_SECRET = 16


@dataclass(frozen=True, slots=True)
class EasyPostSettings:
    """`ounces_per_piece`: what a parcel weighs for each article in it; the catalogue knows no weights."""

    api_key: str = field(repr=False)
    webhook_secret: str = field(repr=False)
    ounces_per_piece: float = 16.0


def read_easypost_settings(environment: Mapping[str, str]) -> EasyPostSettings:
    """Raises InvalidSetting, which names the setting and the rule and never the secret."""
    api_key = environment.get(API_KEY, "").strip()
    if not (api_key.startswith("EZ") and len(api_key) > 4 and api_key.isascii() and api_key.isalnum()):
        raise InvalidSetting(f"{API_KEY}: must be letters and digits that begin with EZ")
    secret = environment.get(WEBHOOK_SECRET, "").strip()
    if len(secret) < SHORTEST_SECRET or not (secret.isascii() and secret.isprintable()):
        raise InvalidSetting(
            f"{WEBHOOK_SECRET}: must be at least {SHORTEST_SECRET} printable ASCII characters"
        )
    return EasyPostSettings(api_key, secret, _ounces(environment.get(OUNCES, "").strip()))


def _ounces(text: str) -> float:
    if not text:
        return 16.0
    try:
        ounces = float(text)
    except ValueError:
        ounces = math.nan
    if not 0 < ounces <= 2400:
        raise InvalidSetting(f"{OUNCES}: must be a number above 0 and at most 2400, not {text!r}")
    return ounces
