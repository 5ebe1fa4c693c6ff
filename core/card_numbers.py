"""What looks like the number of a payment card is never taken, stored, logged or passed on.

A card number, for this: 13 to 19 digits that begin with 2 to 6 (ISO/IEC 7812-1: the industries that issue
payment cards) and pass the Luhn check: bare, in up to five groups of three or more (four at first) parted by
a space or a hyphen, or by fours with dots; letters may stand directly before and after. Not taken for one:

- a number in international form, as `+491511...`, which is a telephone's;
- a UUID, and digits in a word that has other digits beside letters: hashes and ids;
- a float, and what begins with 0, 1, 7, 8 or 9: times since 1970, most counters;
- where `gtin` is said: 13 or 14 bare digits that are a valid GTIN (EAN-13, GTIN-14). Articles are named by
  them, and one in ten passes the Luhn check too. Cards have 13 digits no more, and 14 are rare; of these one
  in ten would be let through. It is said for SKUs, and for messages and logs, which name SKUs in many places.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

REDACTED = "[card number]"
RULE = "must not hold what looks like a card number"
SKU = "sku"
"""The name of fields, parameters and columns that hold an article's number."""

TRACKING_NUMBER = "tracking_number"
"""The name of fields that hold a carrier's number of a parcel. Some carriers' look like a card's, one in ten
of them passes the check; they come from the carrier, never from a customer, so they are not looked at.
"""

_SHAPE = bytes(ord("0") if chr(byte).isdecimal() and byte < 128 else ord("x") for byte in range(256))
_LEAST = b"0" * 13

_RUN = re.compile(
    r"(?<![0-9A-Za-z+])(?<![0-9]\.)[A-Za-z]*"
    r"(?P<run>[0-9]{4}(?:\.[0-9]{4}){2}\.[0-9]{1,7}|[0-9]+(?:[ -][0-9]+)*)"
    r"(?![0-9]|[A-Za-z]+[0-9])"
)
_GROUP = re.compile("[0-9]{3,}")
_FIRST_GROUP = 4
_MOST_GROUPS = 5
_LEAST_DIGITS, _MOST_DIGITS = 13, 19
_SEPARATOR = re.compile("[ .-]")
_UUID = re.compile(
    r"(?<![0-9a-f-])[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(?![0-9a-f-])", re.IGNORECASE
)


def may_hold_card_number(text: bytes) -> bool:
    """Whether there are 13 digits in a row, but for separators. A microsecond: right whenever it says no."""
    return text.translate(_SHAPE, b" .-").find(_LEAST) >= 0


def holds_card_number(text: str, *, gtin: bool = False) -> bool:
    return may_hold_card_number(text.encode(errors="replace")) and any(_found(text, gtin))


def redact(text: str, *, gtin: bool = False) -> str:
    """`text` with REDACTED for every card number."""
    if not may_hold_card_number(text.encode(errors="replace")):
        return text
    for start, end in reversed(list(_found(text, gtin))):
        text = text[:start] + REDACTED + text[end:]
    return text


def card_number_in(value: object, *, gtin: bool = False, path: str = "") -> str | None:
    """Where in a JSON value there is one, as a dotted path: in a text, a whole number or a key."""
    match value:
        case str():
            return path if holds_card_number(value, gtin=gtin) else None
        case int():
            return path if holds_card_number(str(value), gtin=gtin) else None
        case Mapping():
            for key, each in value.items():
                if holds_card_number(str(key)):
                    return path  # not with the key, which is what must not be repeated
                if key == TRACKING_NUMBER:
                    continue
                found = card_number_in(
                    each, gtin=gtin or key == SKU, path=f"{path}.{key}" if path else str(key)
                )
                if found is not None:
                    return found
        case Sequence() if not isinstance(value, bytes):
            for index, each in enumerate(value):
                found = card_number_in(each, gtin=gtin, path=f"{path}.{index}" if path else str(index))
                if found is not None:
                    return found
        case _:
            pass
    return None


def redacted(value: object, *, gtin: bool = False) -> object:
    """A JSON value with REDACTED for every card number in it."""
    match value:
        case str():
            return redact(value, gtin=gtin)
        case bool():
            return value
        case int():
            return REDACTED if holds_card_number(str(value), gtin=gtin) else value
        case Mapping():
            return {
                redact(str(key)): each if key == TRACKING_NUMBER else redacted(each, gtin=gtin or key == SKU)
                for key, each in value.items()
            }
        case Sequence() if not isinstance(value, bytes):
            return [redacted(each, gtin=gtin) for each in value]
        case _:
            return value


def _found(text: str, gtin: bool) -> Iterator[tuple[int, int]]:
    """Where they begin and end, from left to right, none in another."""
    for run in _RUN.finditer(_UUID.sub("x" * 36, text)):
        yield from _within(run["run"], run.start("run"), gtin)


def _within(run: str, at: int, gtin: bool) -> Iterator[tuple[int, int]]:
    """Of the groups of a run any that follow each other may be a card: `5 4242 4242 4242 4242` has one."""
    groups = [match.span() for match in _GROUP.finditer(run)]
    first = 0
    while first < len(groups):
        start, end = groups[first]
        longest = min(len(groups), first + _MOST_GROUPS) if end - start >= _FIRST_GROUP else first
        for last in range(longest - 1, first - 1, -1):
            end = groups[last][1]
            if not _LEAST_DIGITS <= end - start - (last - first) <= _MOST_DIGITS:
                continue
            digits = _SEPARATOR.sub("", run[start:end])
            if _is_card(digits) and not (gtin and first == last and _is_gtin(digits)):
                yield at + start, at + end
                first = last
                break
        first += 1


def _is_card(digits: str) -> bool:
    return _LEAST_DIGITS <= len(digits) <= _MOST_DIGITS and digits[0] in "23456" and _passes_luhn(digits)


def _passes_luhn(digits: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        number = int(digit) * (1 + place % 2)
        total += number - 9 if number > 9 else number
    return total % 10 == 0


def _is_gtin(digits: str) -> bool:
    """https://www.gs1.org/services/how-calculate-check-digit-manually"""
    if len(digits) not in (13, 14):
        return False
    weighted = (int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(reversed(digits)))
    return sum(weighted) % 10 == 0
