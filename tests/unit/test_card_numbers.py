"""What looks like a card number, and what only has as many digits."""

import json
import logging
import time
import uuid
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.card_numbers import (
    REDACTED,
    card_number_in,
    holds_card_number,
    may_hold_card_number,
    redact,
    redacted,
)
from core.telemetry import JsonFormatter

CARDS = [
    "4242424242424242",
    "4242 4242 4242 4242",
    "4242-4242-4242-4242",
    "4242.4242.4242.4242",
    "378282246310005",
    "3782 822463 10005",
    "30569309025904",
    "6011111111111117",
    "5555555555554444",
    "2223003122003222",
    "6205500000000000004",
    "4222222222222",
]
"""Stripe's and PayPal's published test cards."""


@pytest.mark.parametrize("card", CARDS)
@pytest.mark.parametrize(
    "around", ["{}", "tok_{}", "Visa{}", "{}exp", "my card: {}, please", '"{}"', "({})\n"]
)
def test_a_card_number_is_found_wherever_it_stands_and_redacted(card, around):
    assert holds_card_number(around.format(card))
    assert redact(around.format(card)) == around.format(REDACTED)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "4242424242424241",
        "424242424242",
        "42424242424242424242",
        "+4915112345674",
        "1700000000006",
        "0.4242424242424242",
        "4.242424242424242",
        "a1b2c3d4-4242-4242-4242-424242424242",
        "ord-smkhwqmnvgr362srwtee",
        "a42424242424242424242b7",
        "2027-01-15T08:00:00.123456+00:00",
        "00-4242424242424242abcdef4242424242-1234567890abcdef-01",
    ],
)
def test_other_digits_are_left_alone(text):
    assert not holds_card_number(text)
    assert redact(text) == text


def gtin(body: str) -> str:
    total = sum(int(digit) * (1 if place % 2 else 3) for place, digit in enumerate(reversed(body)))
    return body + str(-total % 10)


def test_every_gtin_is_a_sku_and_only_there_or_where_skus_are_named():
    """German ones begin with 400 to 440, as cards of Visa do, and one in ten passes the Luhn check."""
    random = Random(1)
    numbers = [gtin(f"4{random.randrange(10**11):011}") for _ in range(200)]
    numbers += [gtin(f"3{random.randrange(10**12):012}") for _ in range(200)]
    alike = [number for number in numbers if holds_card_number(number)]
    assert 20 < len(alike) < 80
    for number in numbers:
        assert not holds_card_number(number, gtin=True)
        assert card_number_in({"lines": [{"sku": number}]}) is None
    assert card_number_in({"name": alike[0]}) == "name"


def test_a_card_of_16_digits_is_no_sku():
    assert card_number_in({"lines": [{"sku": "A"}, {"sku": CARDS[0]}]}) == "lines.1.sku"


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ({"a": {"b": [1, "x", CARDS[1]]}}, "a.b.2"),
        ({"a": 4242424242424242}, "a"),
        ({"a": {CARDS[0]: 1}}, "a"),
        ({CARDS[0]: 1}, ""),
        ([CARDS[0]], "0"),
        (CARDS[0], ""),
        ({"a": 4.242424242424242, "b": None, "c": True, "d": 17}, None),
    ],
)
def test_the_field_is_named_and_never_by_the_number(value, where):
    assert card_number_in(value) == where


def test_a_value_is_redacted_everywhere_and_keeps_its_shape():
    value = {"a": [CARDS[0], 7, 4242424242424242, None, True], CARDS[0]: {"sku": "4006381333931"}}
    assert redacted(value) == {"a": [REDACTED, 7, REDACTED, None, True], REDACTED: {"sku": "4006381333931"}}


def test_a_carriers_number_of_a_parcel_is_not_looked_at_but_what_stands_beside_it_is():
    parcel = {"tracking_number": "4242424242424242", "note": "4242 4242 4242 4242"}
    assert card_number_in({"data": parcel}) == "data.note"
    assert card_number_in({"data": {"tracking_number": "4242424242424242"}}) is None
    assert redacted(parcel) == {"tracking_number": "4242424242424242", "note": REDACTED}


def test_uuids_are_never_taken_for_cards():
    random = Random(7)
    for _ in range(20_000):
        key = uuid.UUID(int=random.getrandbits(128))
        assert not holds_card_number(str(key))
        assert not holds_card_number(key.hex)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="0123456789 -.a+", max_size=60))
def test_what_is_redacted_holds_none_and_the_quick_answer_is_right_when_it_is_no(text: str):
    if not may_hold_card_number(text.encode()):
        assert not holds_card_number(text)
    assert not holds_card_number(redact(text).replace(REDACTED, "|"))


@pytest.mark.parametrize("extra", ["", "\ud800"])
def test_a_log_line_is_redacted_and_stays_json(extra):
    record = logging.LogRecord("x", logging.INFO, "f", 1, f"paid with {CARDS[1]}{extra}", (), None)
    record.fields = {"number": 4242424242424242, "sku": gtin("400638133393"), "ms": 0.4242424242424242}
    line = JsonFormatter().format(record)
    told = json.loads(line)
    assert told["message"].startswith(f"paid with {REDACTED}")
    assert (told["number"], told["ms"]) == (REDACTED, 0.4242424242424242)
    assert "4242" not in line.replace("0.4242424242424242", "")


@pytest.mark.parametrize(
    "piece", ["4 ", "423 ", "4232-", "a1b2c3d4-4242-4242-4242-424242424242 ", "4242424242424241 ", "1a"]
)
def test_a_mebibyte_of_almost_card_numbers_is_looked_through_in_a_moment(piece):
    text = piece * (1024 * 1024 // len(piece))
    began = time.process_time()
    assert not holds_card_number(text)
    assert time.process_time() - began < 10
