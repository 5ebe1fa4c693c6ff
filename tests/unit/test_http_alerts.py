"""What operators must look at, from the events to the list, and until it is closed."""

import itertools
from dataclasses import replace

import pytest

from services.notifications.kinds import KINDS
from services.orders.events import NeedsAttention, OrderCancelled
from services.orders.return_events import (
    ReturnCancelled,
    ReturnCompleted,
    ReturnNeedsAttention,
    ReturnParcelUnexpected,
    ReturnSettled,
)
from services.payments.reconciliation import DifferenceFound
from services.shipping.events import ParcelNeedsAttention
from tests.fakes import START
from tests.notification_support import drain, event, notifier, statuses
from tests.unit.http_support import broken_rules, content
from tests.unit.notification_http import NotificationApi
from triggers.service_bus.notifications import notify

RETURN = "ord-1-r1"
REFUND_FAILS = ReturnNeedsAttention("ord-1", RETURN, "refund", "no_answer", 5)
ENDS = [
    ReturnCompleted("ord-1", RETURN),
    ReturnSettled("ord-1", RETURN, "paid by hand"),
    ReturnCancelled("ord-1", RETURN, "ada", "parcel_not_received"),
]
DIFFERENCE = DifferenceFound("d1", "charge", "ord-1", "pi_1", "", 4990, 0, "GBP", START)
DIFFERENCE_ID = "2027-01-15:payment-differences:d1"
PARCEL = ParcelNeedsAttention("ord-1", "", "sandbox-express", "exp-1", "TRK-1", "stray_moves")
PARCEL_ID = "ord-1:shipments:9"


@pytest.fixture
def api():
    return NotificationApi()


async def listed(api, **query):
    return content(await api.call("list_alerts", query=query))["items"]


async def close(api, alert_id, note="seen to"):
    return await api.call("close_alert", {"note": note}, order_id="ord-1", alert_id=alert_id)


async def test_what_needs_attention_is_listed_until_it_has_ended(api):
    await notify(api.to, event(NeedsAttention("ord-1", "payment", 5), 7))
    await notify(api.to, event(REFUND_FAILS, 12))
    assert await listed(api) == [
        {
            "id": "alert",
            "order_id": "ord-1",
            "about": "order",
            "status": "open",
            "details": {"step": "payment", "attempts": 5},
            "opened_at": START.isoformat(),
            "closed_at": None,
            "note": "",
        },
        {
            "id": f"alert:{RETURN}",
            "order_id": "ord-1",
            "about": "return",
            "status": "open",
            "details": {"return_id": RETURN, "step": "refund", "reason": "no_answer", "attempts": 5},
            "opened_at": START.isoformat(),
            "closed_at": None,
            "note": "",
        },
    ]
    await notify(api.to, event(OrderCancelled("ord-1", "ada", "customer_request"), 13))
    assert [alert["about"] for alert in await listed(api)] == ["return"]
    assert [alert["about"] for alert in await listed(api, status="closed")] == ["order"]


@pytest.mark.parametrize("end", ENDS)
async def test_any_order_and_number_of_a_return_s_events_ends_with_a_closed_alert(end):
    events = [event(REFUND_FAILS, 12), event(REFUND_FAILS, 13), event(end, 14)]
    for order in itertools.product(events, repeat=4):
        if {each.id for each in order} == {each.id for each in events}:
            api = NotificationApi()
            for each in order:
                await notify(api.to, each)
            assert await listed(api) == []


async def test_a_return_that_ends_as_it_should_is_no_closed_alert_to_look_at(api):
    await notify(api.to, event(ENDS[0], 14))
    assert await listed(api, status="closed") == []


@pytest.mark.parametrize(
    ("data", "id", "about"),
    [
        (DIFFERENCE, DIFFERENCE_ID, "money"),
        (PARCEL, PARCEL_ID, "parcel"),
        (ReturnParcelUnexpected("ord-1", RETURN, "cancelled"), "ord-1:orders:20", "parcel"),
    ],
)
async def test_what_no_event_ends_is_closed_by_hand_once_and_for_good(api, data, id, about):
    for _ in range(2):
        await notify(api.to, event(data, 0, id))
    [alert] = await listed(api)
    assert (alert["id"], alert["about"]) == (f"alert:{id}", about)

    closed = await close(api, alert["id"], "refunded by hand")
    assert (closed.status_code, content(closed)["status"]) == (200, "closed")
    assert content(await close(api, alert["id"], "again"))["note"] == "refunded by hand"
    await notify(api.to, event(data, 0, id))
    assert await listed(api) == []
    assert [each["note"] for each in await listed(api, status="closed")] == ["refunded by hand"]


async def test_what_ends_by_itself_or_is_no_alert_is_not_closed_by_hand(api):
    await notify(api.to, event(REFUND_FAILS, 12))
    refused = await close(api, f"alert:{RETURN}")
    assert (refused.status_code, "its return goes on" in content(refused)["detail"]) == (409, True)
    for id in ("alert", "alert:x", "ord-1:orders:12"):
        assert (await close(api, id)).status_code == 404
    assert "note" in broken_rules(await close(api, f"alert:{RETURN}", " "))


async def test_a_list_is_of_open_or_closed_ones_and_is_paged(api):
    for version, id in enumerate(("a", "b")):
        await notify(api.to, event(DIFFERENCE, version, id))
    first = content(await api.call("list_alerts", query={"limit": "1"}))
    query = {"limit": "1", "continuation": first["continuation"]}
    second = content(await api.call("list_alerts", query=query))
    assert {item["id"] for page in (first, second) for item in page["items"]} == {"alert:a", "alert:b"}
    for wrong in ({"status": "x"}, {"continuation": "x"}, {"limit": "0"}):
        assert broken_rules(await api.call("list_alerts", query=wrong)).keys() == wrong.keys()


@pytest.mark.parametrize(
    ("difference", "recorded"),
    [(DIFFERENCE, "£0.00"), (replace(DIFFERENCE, recorded_amount=4990, recorded_currency="EUR"), "€49.90")],
)
async def test_operators_are_told_of_a_difference_with_both_amounts(difference, recorded):
    api = NotificationApi()
    to = notifier(api.documents, api.bus, api.clock, operators=("ops@shop.example",))
    await notify(to, event(difference, 0, DIFFERENCE_ID))
    await drain(to, api.bus, api.clock)
    assert statuses(api.documents) == {"email": ["sent"]}
    [message] = to.channels["email"].sent
    assert message.title == "Gateway and payment of ord-1 differ"
    assert f"£49.90 as charge of order ord-1, the payment of {recorded} (pi_1)" in message.text
    assert KINDS["payment_difference"].audience == "operators"
