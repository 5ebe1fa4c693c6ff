"""The settings of EasyPost, checked at the start."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from adapters.easypost.customs import Customs
from core.settings import InvalidSetting

API_KEY = "EASYPOST_API_KEY"
WEBHOOK_SECRET = "EASYPOST_WEBHOOK_SECRET"  # noqa: S105  (the setting's name)
OUNCES = "EASYPOST_OUNCES_PER_PIECE"

SIGNER = "EASYPOST_CUSTOMS_SIGNER"
DESCRIPTION = "EASYPOST_CUSTOMS_DESCRIPTION"
ORIGIN = "EASYPOST_CUSTOMS_ORIGIN"
TARIFF = "EASYPOST_CUSTOMS_TARIFF"

NAMES = frozenset({API_KEY, WEBHOOK_SECRET, OUNCES, SIGNER, DESCRIPTION, ORIGIN, TARIFF})

SHORTEST_SECRET = 16
LONGEST_TEXT = 100


@dataclass(frozen=True, slots=True)
class EasyPostSettings:
    """`ounces_per_piece`: what a parcel weighs for each article in it; the catalogue knows no weights.
    `customs`: without it nothing goes abroad.
    """

    api_key: str = field(repr=False)
    webhook_secret: str = field(repr=False)
    ounces_per_piece: float = 16.0
    customs: Customs | None = None


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
    ounces = _ounces(environment.get(OUNCES, "").strip())
    return EasyPostSettings(api_key, secret, ounces, _customs(environment))


def _customs(environment: Mapping[str, str]) -> Customs | None:
    signer, description, origin, tariff = (
        environment.get(name, "").strip() for name in (SIGNER, DESCRIPTION, ORIGIN, TARIFF)
    )
    if not signer and not description:
        for name, text in ((ORIGIN, origin), (TARIFF, tariff)):
            if text:
                raise InvalidSetting(f"{name}: says nothing without {SIGNER} and {DESCRIPTION}")
        return None
    for name, text in ((SIGNER, signer), (DESCRIPTION, description)):
        if not (0 < len(text) <= LONGEST_TEXT and text.isprintable()):
            raise InvalidSetting(
                f"{name}: must be 1 to {LONGEST_TEXT} printable characters, "
                f"as {SIGNER} and {DESCRIPTION} go together"
            )
    if origin and not re.fullmatch("[A-Z]{2}", origin):
        raise InvalidSetting(f"{ORIGIN}: must be an ISO 3166-1 alpha-2 code, not {origin!r}")
    digits = tariff.replace(".", "")
    if tariff and not re.fullmatch("[0-9]{6,10}", digits):
        raise InvalidSetting(f"{TARIFF}: must be 6 to 10 digits, not {tariff!r}")
    return Customs(signer, description, origin, digits)


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
