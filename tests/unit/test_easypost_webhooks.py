"""EasyPost's webhooks: whose they are, how old, and what they say."""

import hmac
from datetime import timedelta
from email.utils import format_datetime

import orjson
import pytest

from adapters.easypost.webhooks import EasyPostWebhooks
from core.contracts import InvalidContract
from core.signatures import BadSignature
from services.shipping.carrier import Notice
from services.shipping.tracking import News
from tests.fakes import START

SECRET = "a secret of the endpoint"  # noqa: S105  (of nobody)
PATH = "/api/webhooks/shipping/easypost"
WEBHOOKS = EasyPostWebhooks(SECRET)
DETAIL = {"status": "delivered", "datetime": "2027-01-15T07:59:00Z", "message": "Delivered, front door"}
EVENT = {
    "id": "evt_1",
    "object": "Event",
    "description": "tracker.updated",
    "result": {
        "id": "trk_1",
        "object": "Tracker",
        "shipment_id": "shp_1",
        "status": "delivered",
        "tracking_details": [{"status": "in_transit", "datetime": "2027-01-14T08:00:00Z"}, DETAIL],
    },
}


def read(event: object = EVENT, *, secret: str = SECRET, sent=START, path: str = PATH, **headers: str):
    """Signed here as the support page of EasyPost says, not by the code under test."""
    body = event if isinstance(event, bytes) else orjson.dumps(event)
    time = format_datetime(sent)
    digest = hmac.new(secret.encode(), f"{time}POST{path}".encode() + body, "sha256").hexdigest()
    given = {"x-hmac-signature-v2": f"hmac-sha256-hex={digest}", "x-timestamp": time, "x-path": path}
    return WEBHOOKS.read(body, given | headers, PATH, START)


def tracker(**changes: object) -> dict[str, object]:
    return EVENT | {"result": EVENT["result"] | changes}


def test_the_newest_detail_of_a_tracker_is_the_news():
    at = START - timedelta(minutes=1)
    told = News(f"easypost-delivered-{int(at.timestamp())}", "delivered", at)
    assert read() == Notice("shp_1", told)


@pytest.mark.parametrize(
    "event",
    [
        EVENT | {"description": "batch.updated"},
        tracker(shipment_id=None),
        tracker(tracking_details=[]),
        tracker(tracking_details=[DETAIL | {"status": "pre_transit"}]),
    ],
)
def test_what_is_genuine_and_no_news_of_a_parcel_of_ours_is_ignored(event):
    assert read(event) is None


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"secret": "another secret"}, "signature of the body"),
        ({"sent": START - timedelta(seconds=301)}, "older than 300"),
        ({"sent": START + timedelta(seconds=301)}, "older than 300"),
        ({"path": "/api/webhooks/shipping/other"}, "of this endpoint"),
        ({"x-hmac-signature-v2": ""}, "must be given"),
        ({"x-hmac-signature-v2": "hmac-sha256-hex=ü"}, "signature of the body"),
        ({"x-timestamp": "Fri, 15 Jan 2027 08:04:00 -0000"}, "signature of the body"),
        ({"x-path": "/" * 1001}, "at most 1000"),
    ],
)
def test_a_webhook_that_is_forged_old_or_for_another_endpoint_is_refused(changes, rule):
    with pytest.raises(BadSignature, match=rule):
        read(**changes)


def test_a_signed_time_that_is_none_is_refused():
    body = orjson.dumps(EVENT)
    digest = hmac.new(SECRET.encode(), f"yesterdayPOST{PATH}".encode() + body, "sha256").hexdigest()
    headers = {
        "x-hmac-signature-v2": f"hmac-sha256-hex={digest}",
        "x-timestamp": "yesterday",
        "x-path": PATH,
    }
    with pytest.raises(BadSignature, match="RFC 2822"):
        WEBHOOKS.read(body, headers, PATH, START)


@pytest.mark.parametrize(
    "event",
    [
        b"nothing",
        [],
        {"description": "tracker.updated"},
        tracker(tracking_details=[{"status": "delivered"}]),
        tracker(tracking_details=[DETAIL | {"datetime": "yesterday"}]),
        tracker(tracking_details=[DETAIL | {"datetime": "2027-01-15T07:59:00"}]),
    ],
)
def test_a_genuine_webhook_of_another_form_is_refused_with_the_field(event):
    with pytest.raises(InvalidContract, match=r"^body: "):
        read(event)


def test_the_secret_is_in_no_text():
    assert SECRET not in repr(WEBHOOKS)
