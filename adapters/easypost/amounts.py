"""EasyPost's amounts are decimals, ours integers of minor units."""

from decimal import Decimal

from babel.numbers import get_currency_precision


def minor(units: Decimal, currency: str) -> int:
    return int(units.scaleb(get_currency_precision(currency)).to_integral_value())


def units(minor: int, currency: str) -> Decimal:
    return Decimal(minor).scaleb(-get_currency_precision(currency))
