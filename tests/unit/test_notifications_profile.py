"""Which channels, and when: preferences, quiet hours, the clocks going forward and back."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.notifications.addresses import email, phone, push_endpoint, time_zone
from services.notifications.channels import CHANNELS
from services.notifications.profile import QuietHours, chosen, due, not_before, stand_in
from tests.notification_support import ADA, EMAIL_ONLY

VIENNA = replace(ADA, time_zone="Europe/Vienna", quiet_hours=QuietHours(time(22), time(7)))


def vienna(*args, fold=0):
    return datetime(*args, tzinfo=ZoneInfo("Europe/Vienna"), fold=fold).astimezone(UTC)


@pytest.mark.parametrize(
    ("now", "then"),
    [
        (vienna(2027, 1, 15, 21, 59), None),
        (vienna(2027, 1, 15, 22, 0), vienna(2027, 1, 16, 7, 0)),
        (vienna(2027, 1, 16, 3, 0), vienna(2027, 1, 16, 7, 0)),
        (vienna(2027, 1, 16, 6, 59, 59), vienna(2027, 1, 16, 7, 0)),
        (vienna(2027, 1, 16, 7, 0), None),
        (vienna(2027, 3, 27, 23, 0), datetime(2027, 3, 28, 5, 0, tzinfo=UTC)),
        (vienna(2027, 10, 30, 23, 0), datetime(2027, 10, 31, 6, 0, tzinfo=UTC)),
    ],
)
def test_quiet_hours_last_to_their_end_by_the_clock_on_the_customers_wall(now, then):
    """On 28 March 2027 the clocks in Vienna go forward, on 31 October back: the night is 8 or 10 hours."""
    assert not_before(VIENNA, now) == (then or now)


@pytest.mark.parametrize(
    ("kind", "channel", "waits"),
    [
        ("order_refunded", "email", False),
        ("order_refunded", "sms", True),
        ("order_refunded", "push", True),
        ("order_shipped", "email", True),
        ("order_out_for_delivery", "push", True),
    ],
)
def test_only_a_mail_about_money_or_the_contract_is_sent_in_quiet_hours(kind, channel, waits):
    night, morning = vienna(2027, 1, 15, 23), vienna(2027, 1, 16, 7)
    assert due(VIENNA, kind, channel, night) == (morning if waits else night)
    assert due(VIENNA, kind, channel, morning) == morning


def test_quiet_hours_within_a_day():
    noon = replace(VIENNA, quiet_hours=QuietHours(time(12), time(14)))
    assert not_before(noon, vienna(2027, 1, 15, 11, 59)) == vienna(2027, 1, 15, 11, 59)
    assert not_before(noon, vienna(2027, 1, 15, 13)) == vienna(2027, 1, 15, 14)


def test_an_end_that_the_clocks_skip_is_as_much_later():
    early = replace(VIENNA, quiet_hours=QuietHours(time(22), time(2, 30)))
    assert not_before(early, vienna(2027, 3, 28, 1, 0)) == vienna(2027, 3, 28, 3, 30)


def test_an_end_that_comes_twice_ends_the_quiet_hours_twice():
    early = replace(VIENNA, quiet_hours=QuietHours(time(22), time(2, 30)))
    first, second = vienna(2027, 10, 31, 2, 30), vienna(2027, 10, 31, 2, 30, fold=1)
    assert not_before(early, first - timedelta(minutes=5)) == first
    assert not_before(early, first + timedelta(minutes=5)) == first + timedelta(minutes=5)
    assert not_before(early, second - timedelta(minutes=5)) == second


MINUTES = st.integers(0, 24 * 60 - 1).map(lambda n: time(n // 60, n % 60))


@settings(max_examples=300, deadline=None)
@given(
    zone=st.sampled_from(["Europe/Vienna", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"]),
    start=MINUTES,
    end=MINUTES,
    now=st.integers(0, 2 * 365 * 86400).map(lambda seconds: vienna(2026, 1, 1) + timedelta(seconds=seconds)),
)
def test_nothing_is_sent_in_quiet_hours_and_everything_within_two_days(zone, start, end, now):
    who = replace(VIENNA, time_zone=zone, quiet_hours=QuietHours(start, end))
    then = not_before(who, now)
    assert now <= then <= now + timedelta(days=2)
    assert not_before(who, then) == then


@pytest.mark.parametrize(
    ("who", "kind", "wanted"),
    [
        (ADA, "order_shipped", ("email", "push")),
        (EMAIL_ONLY, "order_shipped", ("email",)),
        (replace(ADA, email=(), push=()), "order_shipped", ("sms",)),
        (replace(ADA, switches={"email": {"order_shipped": "off"}}), "order_shipped", ("push",)),
        (replace(EMAIL_ONLY, switches={"email": {"order_shipped": "off"}}), "order_shipped", ()),
        (
            replace(ADA, push=(), email=(), switches={"sms": {"order_cancelled": "off"}}),
            "order_cancelled",
            ("sms",),
        ),
        (replace(ADA, push=(), email=(), phone=""), "order_cancelled", ()),
    ],
)
def test_the_channels_are_those_that_are_on_else_one_that_stands_in(who, kind, wanted):
    assert chosen(who, kind, CHANNELS) == wanted


def test_only_served_channels_with_an_address_stand_in():
    assert stand_in(ADA, "order_shipped", CHANNELS, frozenset({"email"})) == "sms"
    assert stand_in(ADA, "order_shipped", ("email", "push"), frozenset({"email"})) == "push"
    assert stand_in(EMAIL_ONLY, "order_shipped", CHANNELS, frozenset({"email"})) is None


@pytest.mark.parametrize(
    ("check", "value"),
    [
        (email, "ada@example.com"),
        (email, "o'hara+x@mail.example.co.uk"),
        (phone, "+447700900123"),
        (time_zone, "Europe/Vienna"),
        (push_endpoint, "https://fcm.googleapis.com/fcm/send/abc"),
        (push_endpoint, "https://updates.push.services.mozilla.com/wpush/v2/abc"),
    ],
)
def test_an_address_is_taken(check, value):
    assert check(value) == value


@pytest.mark.parametrize(
    ("check", "value"),
    [
        (email, "ada"),
        (email, "ada@localhost"),
        (email, "ada@example.com\nBcc: all@example.com"),
        (email, "a,b@example.com"),
        (email, "<ada@example.com>"),
        (phone, "07700 900123"),
        (phone, "+0123456789"),
        (time_zone, "Europe"),
        (time_zone, "../etc/passwd"),
        (push_endpoint, "http://fcm.googleapis.com/x"),
        (push_endpoint, "https://169.254.169.254/metadata"),
        (push_endpoint, "https://fcm.googleapis.com.evil.example/x"),
        (push_endpoint, "https://evilfcm.googleapis.com.example/x"),
        (push_endpoint, "https://fcm.googleapis.com:8443/x"),
        (push_endpoint, "https://user@fcm.googleapis.com/x"),
        (push_endpoint, "https://[::1/x"),
    ],
)
def test_what_is_no_address_is_refused(check, value):
    with pytest.raises(ValueError, match="must be"):
        check(value)
