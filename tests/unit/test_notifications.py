import itertools

import pytest

from core.contracts import InvalidContract
from core.envelope import wrap
from services.orders.events import NeedsAttention, OrderCancelled, OrderCompleted, ShippingCreated
from tests.fakes import START, FakeClock, FakeDocuments
from triggers.service_bus.notifications import notify

SHIPPED = ShippingCreated("ord-1", "ada", "shp-1", "TRACK-1")
CANCELLED = OrderCancelled("ord-1", "ada", "payment_failed:insufficient_funds")


def event(data, version, id=None):
    return wrap(
        data,
        id=id or f"ord-1:orders:{version}",
        source="orders",
        subject="ord-1",
        time=START,
        correlation_id="ord-1",
        causation_id="ord-1:shipping.create:reply",
    )


def _attention(version, step="payment"):
    return event(NeedsAttention("ord-1", step, 5), version)


def _emails(documents):
    return [
        (item["template"], item["recipient"], item["parameters"])
        for item in documents.items("notifications", "ord-1")
        if item["kind"] == "notification"
    ]


def _alert(documents):
    found = [item for item in documents.items("notifications", "ord-1") if item["kind"] == "alert"]
    return found[0]["status"] if found else None


@pytest.fixture
def documents():
    return FakeDocuments()


async def test_a_customer_is_told_that_the_parcel_is_on_its_way(documents):
    await notify(documents, FakeClock(), event(SHIPPED, 5))

    assert documents.requests == ["create notifications"]
    (item,) = documents.items("notifications", "ord-1")
    assert {field: value for field, value in item.items() if field[0] != "_"} == {
        "id": "ord-1:orders:5",
        "order_id": "ord-1",
        "kind": "notification",
        "channel": "email",
        "recipient": "ada",
        "template": "order_shipped",
        "parameters": {"order_id": "ord-1", "tracking_number": "TRACK-1"},
        "status": "recorded",
        "time": START.isoformat(),
    }


async def test_a_customer_is_told_why_an_order_was_cancelled(documents):
    await notify(documents, FakeClock(), event(CANCELLED, 7))

    assert documents.requests == ["batch notifications"]
    assert _emails(documents) == [
        ("order_cancelled", "ada", {"order_id": "ord-1", "reason": "payment_failed:insufficient_funds"})
    ]
    assert _alert(documents) == "closed"


@pytest.mark.parametrize("data", [SHIPPED, CANCELLED, NeedsAttention("ord-1", "payment", 5)])
async def test_an_event_that_comes_twice_is_told_once(documents, data):
    await notify(documents, FakeClock(), event(data, 7))
    before = documents.items("notifications")

    await notify(documents, FakeClock(), event(data, 7))

    assert documents.items("notifications") == before


async def test_an_operator_is_alerted_until_the_order_is_cancelled(documents):
    await notify(documents, FakeClock(), _attention(6))
    assert documents.requests == ["create notifications"]
    assert _alert(documents) == "open"

    documents.requests.clear()
    await notify(documents, FakeClock(), event(CANCELLED, 9))
    assert documents.requests == ["batch notifications"] * 2
    assert _alert(documents) == "closed"
    assert len(_emails(documents)) == 1
    (alert,) = [item for item in documents.items("notifications") if item["kind"] == "alert"]
    assert (alert["step"], alert["opened_at"], alert["closed_at"]) == (
        "payment",
        START.isoformat(),
        START.isoformat(),
    )


async def test_any_order_and_number_of_the_events_ends_with_a_closed_alert_and_one_email():
    events = [_attention(6), _attention(8, "inventory"), event(CANCELLED, 10)]
    for order in itertools.permutations([*events, *events]):
        documents = FakeDocuments()
        for one in order:
            await notify(documents, FakeClock(), one)
        assert _alert(documents) == "closed"
        assert len(_emails(documents)) == 1


async def test_a_later_attention_is_what_the_alert_shows(documents):
    for one in (_attention(8, "inventory"), _attention(6), _attention(8, "inventory")):
        await notify(documents, FakeClock(), one)

    (alert,) = documents.items("notifications")
    assert (alert["status"], alert["step"], alert["version"]) == ("open", "inventory", 8)


async def test_a_cancellation_that_comes_between_the_two_requests_of_an_alert_still_closes_it(documents):
    await notify(documents, FakeClock(), _attention(6))

    async def meanwhile(request):
        if request == "patch notifications":
            documents.before = _free
            await notify(documents, FakeClock(), event(CANCELLED, 9))

    documents.before = meanwhile
    await notify(documents, FakeClock(), _attention(8))

    assert _alert(documents) == "closed"


@pytest.mark.parametrize(
    ("data", "id", "rule"),
    [
        (OrderCompleted("ord-1"), None, "nobody is told"),
        (CANCELLED, "ord-1", "id: must end in the stream's version"),
    ],
)
async def test_what_is_no_event_to_tell_of_is_refused(documents, data, id, rule):
    with pytest.raises(InvalidContract, match=rule):
        await notify(documents, FakeClock(), event(data, 3, id))
    assert documents.requests == []


async def test_no_notification_has_payment_data(documents):
    for data, version in ((SHIPPED, 5), (CANCELLED, 7), (NeedsAttention("ord-1", "payment", 5), 6)):
        await notify(documents, FakeClock(), event(data, version))

    fields = {field for item in documents.items("notifications") for field in item} | {
        field for _, _, parameters in _emails(documents) for field in parameters
    }
    assert not fields & {"payment_method", "amount", "currency", "payment_id"}


async def _free(request):
    return
