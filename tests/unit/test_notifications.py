"""From the events of the topic to alerts and to what is queued."""

import itertools
import json
from datetime import timedelta

import pytest

from core.contracts import InvalidContract
from core.decider import Cause, execute
from services.notifications.profile import QuietHours
from services.orders.commands import Place, RequestReplacement
from services.orders.decider import ORDERS
from services.orders.events import (
    NeedsAttention,
    OrderCancelled,
    OrderCompleted,
    OrderCreated,
    OrderDelivered,
    OrderLine,
    OrderReturnedToSender,
    PaymentPending,
    PaymentRefunded,
    ShippingAddress,
)
from services.orders.return_events import (
    ReturnApproved,
    ReturnCancelled,
    ReturnLabelCreated,
    ReturnNeedsAttention,
    ReturnRefunded,
    ReturnRejected,
)
from services.shipping.events import DeliveryException, OutForDelivery, ParcelNeedsAttention
from tests.fakes import START, TOPOLOGY, FakeBus, FakeClock, FakeDocuments
from tests.notification_support import (
    ADA,
    EMAIL_ONLY,
    SHIPPED,
    drain,
    event,
    notifier,
    queued,
    statuses,
    with_profile,
)
from triggers.service_bus.notifications import TOLD, TOLD_OF_SERVICES, notify

CANCELLED = OrderCancelled("ord-1", "ada", "payment_failed:insufficient_funds")


def _attention(version, step="payment"):
    return event(NeedsAttention("ord-1", step, 5), version)


def _alert(documents):
    found = [item for item in documents.items("notifications", "ord-1") if item.get("kind") == "alert"]
    return found[0] if found else None


@pytest.fixture
def documents():
    return FakeDocuments()


@pytest.fixture
def bus():
    return FakeBus()


@pytest.fixture
def to(documents, bus):
    return notifier(documents, bus)


async def test_a_customer_is_told_that_the_parcel_is_on_its_way(to, documents, bus):
    await with_profile(documents)
    documents.requests.clear()
    await notify(to, event(SHIPPED, 5))

    assert documents.requests == ["read notification-preferences", "batch notifications"]
    assert statuses(documents) == {"email": ["queued"], "push": ["queued"]}
    assert [command.data.notification_id for command in queued(bus)] == [
        "ord-1:orders:5:email",
        "ord-1:orders:5:push",
    ]


async def test_a_customer_without_a_profile_costs_one_request_and_is_told_nothing(to, documents, bus):
    await notify(to, event(SHIPPED, 5))

    assert documents.requests == ["read notification-preferences"]
    assert documents.items("notifications") == []
    assert queued(bus) == []


async def test_without_channels_nothing_is_asked_for(documents, bus):
    await notify(notifier(documents, bus, channels={}), event(SHIPPED, 5))
    assert documents.requests == []


async def test_a_customer_is_told_why_an_order_was_cancelled_and_its_alert_is_closed(to, documents, bus):
    await with_profile(documents)
    await notify(to, event(CANCELLED, 7))

    [email] = [each for each in documents.items("notifications") if each["id"].endswith(":email")]
    assert (email["kind"], email["parameters"]) == (
        "order_cancelled",
        {"order_id": "ord-1", "reason": "payment_failed:insufficient_funds", "replaced_by": ""},
    )
    assert _alert(documents)["status"] == "closed"


@pytest.mark.parametrize("data", [SHIPPED, CANCELLED, NeedsAttention("ord-1", "payment", 5)])
async def test_an_event_that_comes_twice_is_told_once(documents, bus, data):
    to = notifier(documents, bus, operators=("ops@shop.example",))
    await with_profile(documents)
    await notify(to, event(data, 7))
    before = documents.items("notifications")
    commands = queued(bus)

    await notify(to, event(data, 7))

    assert documents.items("notifications") == before
    assert queued(bus) == commands


async def test_an_event_that_comes_again_is_told_on_the_channels_that_were_on_when_it_came_first(
    to, documents, bus
):
    await with_profile(documents)
    await notify(to, event(SHIPPED, 5))
    bus.sent.clear()
    switches = {"email": {"order_shipped": "off"}, "sms": {"order_shipped": "on"}}
    await with_profile(documents, ADA.__replace__(switches=switches))

    await notify(to, event(SHIPPED, 5))

    assert statuses(documents).keys() == {"email", "push"}
    assert [command.data.notification_id.rpartition(":")[2] for command in queued(bus)] == ["email", "push"]


async def test_an_operator_is_alerted_until_the_order_is_cancelled(to, documents):
    await notify(to, _attention(6))
    assert documents.requests == ["create notifications"]
    assert _alert(documents)["status"] == "open"

    await notify(to, event(CANCELLED, 9))
    alert = _alert(documents)
    assert (alert["status"], alert["details"]["step"], alert["opened_at"], alert["closed_at"]) == (
        "closed",
        "payment",
        START.isoformat(),
        START.isoformat(),
    )


async def test_the_operators_are_told_that_an_order_needs_attention(documents, bus):
    await notify(notifier(documents, bus, operators=("ops@shop.example",)), _attention(6))

    assert statuses(documents) == {"email": ["queued"]}
    assert [command.data.attempt for command in queued(bus)] == [1]


async def test_any_order_and_number_of_the_events_ends_with_a_closed_alert_and_one_notification():
    events = [_attention(6), _attention(8, "inventory"), event(CANCELLED, 10)]
    for order in itertools.permutations([*events, *events]):
        documents = FakeDocuments()
        await with_profile(documents, ADA.__replace__(push=()))
        for one in order:
            await notify(notifier(documents), one)
        assert _alert(documents)["status"] == "closed"
        assert statuses(documents) == {"email": ["queued"]}


async def test_a_later_attention_is_what_the_alert_shows(to, documents):
    for one in (_attention(8, "inventory"), _attention(6), _attention(8, "inventory")):
        await notify(to, one)

    alert = _alert(documents)
    assert (alert["status"], alert["details"]["step"], alert["version"]) == ("open", "inventory", 8)


async def test_a_cancellation_that_comes_between_the_two_requests_of_an_alert_still_closes_it(to, documents):
    await notify(to, _attention(6))

    async def meanwhile(request):
        if request == "patch notifications":
            documents.before = _free
            await notify(to, event(CANCELLED, 9))

    documents.before = meanwhile
    await notify(to, _attention(8))

    assert _alert(documents)["status"] == "closed"


@pytest.mark.parametrize(
    ("data", "id", "rule"),
    [
        (OrderCompleted("ord-1"), None, "nobody is told"),
        (CANCELLED, "ord-1", "id: must end in the stream's version"),
    ],
)
async def test_what_is_no_event_to_tell_of_is_refused(to, documents, data, id, rule):
    with pytest.raises(InvalidContract, match=rule):
        await notify(to, event(data, 3, id))
    assert documents.requests == []


async def _free(request):
    return


RETURNS = [
    ReturnApproved("ord-1", "ord-1-r1", "ada", "rule"),
    ReturnRejected("ord-1", "ord-1-r1", "ada", "too late"),
    ReturnLabelCreated("ord-1", "ord-1-r1", "ada", "shp-2", "TRACK-2"),
    ReturnRefunded("ord-1", "ord-1-r1", "ada", 4990, "GBP"),
    ReturnCancelled("ord-1", "ord-1-r1", "ada", "customer_request"),
]


CREATED = OrderCreated(
    "ord-1", "ada", "GBP", 4990, (), ShippingAddress("", "", "", "", ""), "", "standard", "", START, "ord-0"
)


@pytest.mark.parametrize("data", [CREATED, OrderDelivered("ord-1", "ada", "TRACK-1", START), *RETURNS])
async def test_each_step_that_concerns_the_customer_is_told_with_what_its_template_needs(data):
    clock = FakeClock()
    documents, bus = FakeDocuments(clock), FakeBus(clock)
    to = notifier(documents, bus, clock)
    await with_profile(documents, EMAIL_ONLY)
    await notify(to, event(data, 9))
    await drain(to, bus, clock)

    assert statuses(documents) == {"email": ["sent"]}
    [message] = to.channels["email"].sent
    assert "ord-1" in message.title + message.text
    for name in ("tracking_number", "return_id", "replaces"):
        assert getattr(data, name, "") in message.text
    if isinstance(data, ReturnRefunded):
        assert "£49.90" in message.title


@pytest.mark.parametrize(("reason", "told"), [("needs_action", True), ("processing", False)])
async def test_a_customer_is_told_of_a_payment_that_waits_for_him_at_any_hour_and_of_no_other(reason, told):
    clock = FakeClock()
    documents, bus = FakeDocuments(clock), FakeBus(clock)
    to = notifier(documents, bus, clock)
    await ordered(documents)
    quiet = QuietHours(START.time(), (START + timedelta(hours=8)).time())
    await with_profile(documents, ADA.__replace__(quiet_hours=quiet))
    await notify(to, event(PaymentPending("ord-1", reason, START + timedelta(minutes=15)), 3))
    await drain(to, bus, clock)

    assert statuses(documents) == ({"email": ["sent"], "push": ["sent"]} if told else {})
    assert clock.now() == START


async def test_the_operators_are_told_of_a_return_that_needs_attention(documents, bus):
    to = notifier(documents, bus, operators=("ops@shop.example",))
    await notify(to, event(ReturnNeedsAttention("ord-1", "ord-1-r1", "refund", "no_answer", 5), 9))
    assert statuses(documents) == {"email": ["queued"]}


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("carrier_not_reached", "it does not answer"),
        ("stray_not_cancelled", "exp-1 (TRK-1), and does not cancel it"),
        ("stray_moves", "moves a second parcel of it"),
        ("cancelled_moves", "which is cancelled"),
        ("no_news", "it may be lost"),
        ("returned_to_sender", "brings it back"),
    ],
)
async def test_the_operators_are_told_of_a_parcel_that_needs_attention(documents, bus, reason, said):
    clock = FakeClock()
    to = notifier(documents, bus, clock, operators=("ops@shop.example",))
    told = ParcelNeedsAttention("ord-1", "ord-1-r1", "sandbox-express", "exp-1", "TRK-1", reason)
    await notify(to, event(told, 9, "ord-1-r1:shipments:9"))
    await drain(to, bus, clock)
    [message] = to.channels["email"].sent
    assert said in message.text
    assert "the return ord-1-r1" in message.text


def test_the_subscriptions_take_exactly_what_is_told_but_for_the_confirmation_that_a_shop_may_want():
    [namespace] = json.loads((TOPOLOGY / "servicebus.json").read_text())["UserConfig"]["Namespaces"]
    labels = {
        topic["Name"]: {
            rule["Properties"]["CorrelationFilter"]["Label"]
            for subscription in topic["Subscriptions"]
            if subscription["Name"] == "notifications"
            for rule in subscription["Rules"]
        }
        for topic in namespace["Topics"]
    }
    assert labels == {"order-events": TOLD - {"orders.created"}, "service-events": TOLD_OF_SERVICES}


async def ordered(documents):
    """The order's snapshot, as placing it leaves it."""
    lines = (OrderLine("a", 1, 4990),)
    address = ShippingAddress("Ada", "1 Road", "Leeds", "LS1", "GB")
    place = Place("ord-1", "ada", "GBP", lines, address, "tok_ok", "standard", "digest")
    await execute(documents, ORDERS, "ord-1", place, Cause("k", "ord-1", "k"), START)


async def test_a_refund_is_told_to_the_customer_whom_the_order_names(to, documents):
    await ordered(documents)
    await with_profile(documents, EMAIL_ONLY)
    await notify(to, event(PaymentRefunded("ord-1", 4990, "GBP"), 8))

    [item] = [each for each in documents.items("notifications") if each["type"] == "notification"]
    assert (item["kind"], item["customer_id"]) == ("order_refunded", "ada")
    assert item["parameters"] == {"order_id": "ord-1", "amount": 4990, "currency": "GBP"}


@pytest.mark.parametrize(
    ("reason", "locale", "said"),
    [
        ("replaced", "en", "was cancelled, as you asked: your order ord-2 takes its place."),
        ("replaced", "de", "wie gewünscht: an ihre Stelle tritt Ihre Bestellung ord-2."),
        ("customer_request", "en", "was cancelled, as you asked."),
        ("payment_failed:card_declined", "en", "was cancelled: the payment did not succeed."),
        ("payment_timed_out", "de", "storniert: die Zahlung war nicht erfolgreich."),
        ("inventory_failed:out_of_stock", "en", "was cancelled: we do not have all of it in stock."),
        ("shipping_failed:no_carrier", "de", "storniert: kein Zusteller übernimmt sie."),
        ("inventory_timed_out", "en", "was cancelled."),
    ],
)
async def test_a_customer_reads_why_and_which_order_takes_the_place_of_one_that_was_replaced(
    reason, locale, said
):
    clock = FakeClock()
    documents, bus = FakeDocuments(clock), FakeBus(clock)
    to = notifier(documents, bus, clock)
    await ordered(documents)
    instead = RequestReplacement("ord-2", (OrderLine("a", 2, 4990),), "digest-2")
    await execute(documents, ORDERS, "ord-1", instead, Cause("r", "ord-1", "r"), START)
    await with_profile(documents, EMAIL_ONLY.__replace__(locale=locale))
    documents.requests.clear()
    await notify(to, event(OrderCancelled("ord-1", "ada", reason), 9))
    assert documents.requests.count("read orders") == (reason == "replaced")
    await drain(to, bus, clock)
    [message] = to.channels["email"].sent
    assert said in message.text
    assert said in message.html


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (OutForDelivery("ord-1", "shp-1", "TRACK-1", START), "order_out_for_delivery"),
        (
            DeliveryException("ord-1", "", "shp-1", "TRACK-1", START, "address incomplete"),
            "order_delivery_exception",
        ),
        (DeliveryException("ord-1", "", "shp-1", "TRACK-1", START, "no_news"), "order_delivery_exception"),
        (
            OrderReturnedToSender("ord-1", "ada", "TRACK-1", START, "refused"),
            "order_returned_to_sender",
        ),
    ],
)
async def test_what_happens_to_the_parcel_is_told_to_the_customer_whom_the_order_names(data, kind):
    clock = FakeClock()
    documents, bus = FakeDocuments(clock), FakeBus(clock)
    to = notifier(documents, bus, clock)
    await ordered(documents)
    await with_profile(documents, EMAIL_ONLY)
    await notify(to, event(data, 3, "ord-1:shipments:3"))
    await drain(to, bus, clock)

    [message] = to.channels["email"].sent
    assert message.key == "ord-1:shipments:3:email"
    assert "TRACK-1" in message.text
    detail = getattr(data, "detail", "")
    assert (detail in message.text) == (detail != "no_news")
    [item] = [each for each in documents.items("notifications") if each["type"] == "notification"]
    assert item["kind"] == kind


async def test_what_keeps_the_parcel_of_a_return_is_not_told(to, documents):
    data = DeliveryException("ord-1", "ord-1-r1", "shp-2", "TRACK-2", START, "no_news")
    await notify(to, event(data, 3))
    assert documents.requests == []


async def test_a_refund_of_nothing_is_not_told_and_one_of_no_order_is_refused(to, documents):
    await notify(to, event(PaymentRefunded("ord-1", 0, ""), 8))
    assert documents.requests == []
    with pytest.raises(InvalidContract, match="there is no such order"):
        await notify(to, event(PaymentRefunded("ord-1", 4990, "GBP"), 8))
