from datetime import timedelta

import pytest

from adapters.notifications.outbox import Outbox
from services.notifications.channels import Message
from services.notifications.telling import tell
from tests.fakes import START
from tests.notification_support import ADA, NOTICE, drain, statuses, with_profile
from tests.unit.http_support import broken_rules, content
from tests.unit.notification_http import REPORT_KEY, NotificationApi

VALIDATION = "Microsoft.EventGrid.SubscriptionValidationEvent"
EMAIL = "Microsoft.Communication.EmailDeliveryReportReceived"
SMS = "Microsoft.Communication.SMSDeliveryReportReceived"


@pytest.fixture
def api():
    return NotificationApi()


async def told(api):
    await with_profile(api.documents, ADA.__replace__(push=()))
    await tell(api.to, NOTICE)
    await drain(api.to, api.bus, api.clock)


def report(kind=EMAIL, id="0c3f-1", **data):
    return {
        "id": id,
        "topic": "/subscriptions/s/providers/microsoft.communication/communicationservices/c",
        "subject": "sender/shop@shop.example/message/msg-1",
        "data": {"sender": "shop@shop.example", "recipient": "ada@example.com", "messageId": "msg-1", **data},
        "eventType": kind,
        "dataVersion": "1.0",
        "metadataVersion": "1",
        "eventTime": "2027-01-15T08:00:20.8225555Z",
    }


async def post(api, *events, key=REPORT_KEY):
    return await api.call("take_delivery_reports", list(events), query={"key": key})


async def test_the_notifications_of_an_order_are_listed_with_their_attempts_and_without_addresses(api):
    await told(api)
    listed = await api.call("list_notifications", query={"order_id": "ord-1"})
    [item] = content(listed)["items"]
    assert item["id"] == "ord-1:orders:5:email"
    assert item["status"] == "sent"
    assert item["attempts"] == [
        {
            "number": 1,
            "status": "sent",
            "due_at": START.isoformat(),
            "started_at": START.isoformat(),
            "ended_at": START.isoformat(),
            "template": "order_shipped/email/en:0",
            "provider": "fake",
            "provider_id": "msg-1",
            "reason": None,
        }
    ]
    assert b"ada@example.com" not in listed.get_body()
    assert content(await api.call("get_notification", id=item["id"])) == item


async def test_what_is_not_there_is_not_found_and_a_list_is_of_an_order_or_a_sku(api):
    assert (await api.call("get_notification", id="ord-1:orders:5:email")).status_code == 404
    assert (await api.call("get_notification", id="a\n")).status_code == 404
    assert content(await api.call("list_notifications", query={"sku": "a"})) == {
        "items": [],
        "continuation": None,
    }
    for query in ({}, {"order_id": "a", "sku": "b"}, {"order_id": "a/b"}):
        assert "order_id" in broken_rules(await api.call("list_notifications", query=query))


async def test_a_list_is_paged(api):
    await told(api)
    await tell(api.to, NOTICE.__replace__(event_id="ord-1:orders:9"))
    query = {"order_id": "ord-1", "limit": "1"}
    first = content(await api.call("list_notifications", query=query))
    second = content(
        await api.call("list_notifications", query=query | {"continuation": first["continuation"]})
    )
    ids = [item["event_id"] for page in (first, second) for item in page["items"]]
    assert ids == ["ord-1:orders:5", "ord-1:orders:9"]
    assert second["continuation"] is None
    for wrong in ({"limit": "0"}, {"continuation": "x"}):
        answered = await api.call("list_notifications", query=query | wrong)
        assert broken_rules(answered).keys() == wrong.keys()


async def test_the_handshake_of_event_grid_is_answered(api):
    event = report(VALIDATION) | {"data": {"validationCode": "code-1", "validationUrl": "https://x.example"}}
    answered = await post(api, event)
    assert (answered.status_code, content(answered)) == (200, {"validationResponse": "code-1"})


@pytest.mark.parametrize(
    ("event", "status", "reason"),
    [
        (report(status="Delivered"), "delivered", ""),
        (report(status="Bounced", deliveryStatusDetails={"statusMessage": "550 no"}), "bounced", "550 no"),
        (report(status="Suppressed"), "bounced", "Suppressed"),
        (report(status="FilteredSpam", deliveryStatusDetails=None), "failed", "FilteredSpam"),
        (report(SMS, deliveryStatus="Delivered", deliveryStatusDetails="ok"), "delivered", ""),
        (report(SMS, deliveryStatus="Failed", deliveryStatusDetails="no route"), "failed", "no route"),
        (report(status="Expanded"), "sent", ""),
        (report("Microsoft.Communication.EmailEngagementTrackingReportReceived"), "sent", ""),
    ],
)
async def test_a_report_ends_the_attempt(api, event, status, reason):
    await told(api)
    for _ in range(2):
        assert (await post(api, event)).status_code == 200
        await drain(api.to, api.bus, api.clock)
    [item] = [each for each in api.documents.items("notifications") if each["id"] == "ord-1:orders:5:email"]
    assert (item["status"], item["attempts"][-1]["reason"]) == (status, reason)


async def test_a_bounce_that_is_reported_lets_another_channel_stand_in(api):
    await told(api)
    await post(api, report(status="Bounced"))
    await drain(api.to, api.bus, api.clock)
    assert statuses(api.documents) == {"email": ["bounced"], "sms": ["sent"]}


@pytest.mark.parametrize("key", ["", "x" * 32])
async def test_a_report_without_the_key_is_not_taken(api, key):
    assert (await post(api, report(status="Delivered"), key=key)).status_code == 403
    assert (await post(NotificationApi(report_key=""), report(status="Delivered"), key="")).status_code == 403
    assert api.bus.sent["notifications"] == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"{", "body"),
        ({}, "body"),
        ([1], "body"),
        ([report() | {"data": None}], "0.data"),
        ([report()], "0.data.status"),
        ([report(status="Delivered", messageId=7)], "0.data.messageId"),
        ([report(status="Delivered", id="a/b")], "0.id"),
        ([report(status="Delivered") | {"eventTime": "now"}], "0.eventTime"),
    ],
)
async def test_what_is_no_report_is_refused_by_field(api, body, field):
    answered = await api.call("take_delivery_reports", body, query={"key": REPORT_KEY})
    assert answered.status_code == 400
    assert field in broken_rules(answered)
    assert api.bus.sent["notifications"] == []


async def test_the_outbox_is_read_newest_first_and_a_repeat_is_there_once(api):
    outbox = Outbox(api.documents, api.clock, "email")
    for key in ("one", "two", "one"):
        await outbox.send(Message(key, ("ada@example.com",), "Hi", key))
        api.clock.current += timedelta(seconds=1)
    found = content(await api.call("get_outbox"))["items"]
    assert [item["text"] for item in found] == ["one", "two"]
    assert found[0]["to"] == ["ada@example.com"]
    assert len(content(await api.call("get_outbox", query={"limit": "1"}))["items"]) == 1
    assert "limit" in broken_rules(await api.call("get_outbox", query={"limit": "0"}))


async def test_where_messages_are_sent_there_is_no_outbox():
    answered = await NotificationApi(outbox=False).call("get_outbox")
    assert answered.status_code == 404
    assert "ORDERFLOW_NOTIFICATION_CHANNELS" in content(answered)["detail"]
