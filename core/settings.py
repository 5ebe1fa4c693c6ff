"""Every setting of the app, read from the environment once, by the composition root."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from core.outside_limits import LONGEST_CIRCUIT_S, OutsideLimits

ADAPTERS = frozenset({"azure", "embedded"})
CARRIERS = frozenset({"sandbox", "easypost"})
PAYMENT_GATEWAYS = frozenset({"sandbox", "stripe"})
LOG_LEVELS = frozenset({"DEBUG", "INFO", "WARNING", "ERROR"})
LONGEST_S = 366 * 86400.0
LONGEST_PAYMENT_ACTION_S = 7 * 86400.0
PAYMENT_ACTION_S = 900.0
REPEATED = OutsideLimits()
ONCE = OutsideLimits(attempt_s=10.0, attempts=1)
"""What is not safe to repeat has one attempt, as long as the call."""


class InvalidSetting(ValueError):
    """The message names the setting and the rule."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Durations in seconds.

    adapters: where messages and documents live; what `azure` needs beside is read by adapters/azure.
    payment_gateway: who takes the money; what `stripe` needs beside is read by adapters/stripe.
    carriers: who takes parcels; what `easypost` needs beside is read by adapters/easypost.
    step_timeout_s, step_attempts: how long the saga waits for a reply, and how often it sends a command.
    payment_action_s: for how long it waits for a charge that is pending, such as for the customer to act.
    undo_attempts: how often it sends an undo before the order needs attention.
    attention_interval_s: how long it then waits before the next try; grows to an hour.
    idle_s: after how long without an event a non-terminal order counts as idle.
    gateway, carrier, sender: how far the app goes for a provider of each kind.
    hold_margin_s: how long stock stays held past the saga's own deadline.
    tracking_silence_s: for how long nothing is heard of a parcel under way when its carrier is asked.
    shop_address: where parcels come from and go back to: name, street, city, postal code, country.
    return_window_s: how long after its delivery an order's goods are taken back without asking anybody.
    return_approval_s, return_parcel_s: how long a return waits for its approval, and for its parcel.
    """

    adapters: str = "embedded"
    payment_gateway: str = "sandbox"
    carriers: frozenset[str] = frozenset({"sandbox"})
    step_timeout_s: float = 30.0
    step_attempts: int = 3
    payment_action_s: float = PAYMENT_ACTION_S
    undo_attempts: int = 5
    attention_interval_s: float = 60.0
    idle_s: float = 300.0
    gateway: OutsideLimits = REPEATED
    carrier: OutsideLimits = REPEATED
    sender: OutsideLimits = ONCE
    hold_margin_s: float = 86400.0
    tracking_silence_s: float = 86400.0
    shop_address: tuple[str, str, str, str, str] = (
        "Orderflow",
        "1 Warehouse Road",
        "London",
        "E16 1AA",
        "GB",
    )
    return_window_s: float = 30 * 86400.0
    return_approval_s: float = 14 * 86400.0
    return_parcel_s: float = 30 * 86400.0
    log_level: str = "INFO"


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Raises InvalidSetting. A setting that is absent or empty has its default."""
    default = Settings()
    return Settings(
        adapters=_choice(environment, "ORDERFLOW_ADAPTERS", default.adapters, ADAPTERS),
        payment_gateway=_choice(
            environment, "ORDERFLOW_PAYMENT_GATEWAY", default.payment_gateway, PAYMENT_GATEWAYS
        ),
        carriers=_choices(environment, "ORDERFLOW_CARRIERS", default.carriers, CARRIERS),
        step_timeout_s=_seconds(environment, "ORDERFLOW_STEP_TIMEOUT_SECONDS", default.step_timeout_s),
        step_attempts=_count(environment, "ORDERFLOW_STEP_ATTEMPTS", default.step_attempts),
        payment_action_s=_seconds(
            environment,
            "ORDERFLOW_PAYMENT_ACTION_SECONDS",
            default.payment_action_s,
            LONGEST_PAYMENT_ACTION_S,
            "a week",
        ),
        undo_attempts=_count(environment, "ORDERFLOW_UNDO_ATTEMPTS", default.undo_attempts),
        attention_interval_s=_seconds(
            environment, "ORDERFLOW_ATTENTION_INTERVAL_SECONDS", default.attention_interval_s
        ),
        idle_s=_seconds(environment, "ORDERFLOW_IDLE_SECONDS", default.idle_s),
        gateway=_limits(environment, "ORDERFLOW_GATEWAY", default.gateway),
        carrier=_limits(environment, "ORDERFLOW_CARRIER", default.carrier),
        sender=_limits(environment, "ORDERFLOW_SENDER", default.sender),
        hold_margin_s=_seconds(environment, "ORDERFLOW_HOLD_MARGIN_SECONDS", default.hold_margin_s),
        tracking_silence_s=_seconds(
            environment, "ORDERFLOW_TRACKING_SILENCE_SECONDS", default.tracking_silence_s
        ),
        shop_address=_address(environment, "ORDERFLOW_SHOP_ADDRESS", default.shop_address),
        return_window_s=_seconds(environment, "ORDERFLOW_RETURN_WINDOW_SECONDS", default.return_window_s),
        return_approval_s=_seconds(
            environment, "ORDERFLOW_RETURN_APPROVAL_SECONDS", default.return_approval_s
        ),
        return_parcel_s=_seconds(environment, "ORDERFLOW_RETURN_PARCEL_SECONDS", default.return_parcel_s),
        log_level=_choice(environment, "ORDERFLOW_LOG_LEVEL", default.log_level, LOG_LEVELS),
    )


def _limits(environment: Mapping[str, str], kind: str, default: OutsideLimits) -> OutsideLimits:
    repeats = default.attempts > 1
    timeout_s = _seconds(environment, f"{kind}_TIMEOUT_SECONDS", default.timeout_s)
    circuit_s = _seconds(environment, f"{kind}_CIRCUIT_SECONDS", default.circuit_s)
    if circuit_s > LONGEST_CIRCUIT_S:
        raise InvalidSetting(f"{kind}_CIRCUIT_SECONDS: must be at most {LONGEST_CIRCUIT_S:.0f}")
    return OutsideLimits(
        timeout_s=timeout_s,
        attempt_s=_seconds(environment, f"{kind}_ATTEMPT_SECONDS", default.attempt_s)
        if repeats
        else timeout_s,
        attempts=_count(environment, f"{kind}_ATTEMPTS", default.attempts) if repeats else 1,
        circuit_failures=_count(environment, f"{kind}_CIRCUIT_FAILURES", default.circuit_failures),
        circuit_s=circuit_s,
        concurrency=_count(environment, f"{kind}_CONCURRENCY", default.concurrency),
        queue=_count(environment, f"{kind}_QUEUE", default.queue),
    )


def _seconds(
    environment: Mapping[str, str],
    name: str,
    default: float,
    longest: float = LONGEST_S,
    longest_in_words: str = "a year",
) -> float:
    text = environment.get(name, "").strip()
    if not text:
        return default
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= longest:
        raise InvalidSetting(
            f"{name}: must be a number of seconds above 0 and at most {longest_in_words}, not {text!r}"
        )
    return seconds


def _count(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name, "").strip()
    if not text:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) < 4 and 1 <= int(text) <= 100):
        raise InvalidSetting(f"{name}: must be a whole number from 1 to 100, not {text!r}")
    return int(text)


def _address(
    environment: Mapping[str, str], name: str, default: tuple[str, str, str, str, str]
) -> tuple[str, str, str, str, str]:
    text = environment.get(name, "").strip()
    if not text:
        return default
    parts = [part.strip() for part in text.split(";")]
    if len(parts) != 5 or not all(part and part.isprintable() for part in parts):
        raise InvalidSetting(f"{name}: must be name; street; city; postal code; country, not {text!r}")
    country = parts[4]
    if not (len(country) == 2 and country.isascii() and country.isalpha() and country.isupper()):
        raise InvalidSetting(f"{name}: the country must be two capital letters (ISO 3166-1), not {country!r}")
    return parts[0], parts[1], parts[2], parts[3], country


def _choices(
    environment: Mapping[str, str], name: str, default: frozenset[str], choices: frozenset[str]
) -> frozenset[str]:
    text = environment.get(name, "").strip()
    if not text:
        return default
    found = frozenset(part.strip() for part in text.split(","))
    if not found <= choices:
        raise InvalidSetting(
            f"{name}: must be of {', '.join(sorted(choices))}, separated by commas, not {text!r}"
        )
    return found


def _choice(environment: Mapping[str, str], name: str, default: str, choices: frozenset[str]) -> str:
    text = environment.get(name, "").strip() or default
    if text not in choices:
        raise InvalidSetting(f"{name}: must be one of {', '.join(sorted(choices))}, not {text!r}")
    return text
