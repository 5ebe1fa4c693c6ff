"""Minor units as Stripe counts them: https://docs.stripe.com/currencies#special-cases"""

_TIMES_100 = frozenset({"ISK", "UGX"})
"""Without minor units by ISO 4217; Stripe takes them with two decimals that must be zero."""


def to_stripe(amount: int, currency: str) -> int:
    return amount * 100 if currency.upper() in _TIMES_100 else amount


def from_stripe(amount: int, currency: str) -> int:
    return amount // 100 if currency.upper() in _TIMES_100 else amount
