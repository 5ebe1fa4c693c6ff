import json
from datetime import timedelta

import pytest

from core.bus import BusUnreachable, OutgoingMessage
from core.documents import DocumentsUnavailable
from core.envelope import to_message
from core.redrive import MAX_REDRIVES, Redriven, redrive_queue, redrive_subscription
from services.inventory import handlers
from tests.fakes import START, TOPOLOGY, FakeBus, FakeClock, FakeDocuments
from tests.inventory_support import figures, reserve, stocked
from tests.notification_support import EMAIL_ONLY, SHIPPED, event, notifier, statuses, with_profile
from triggers.service_bus import service_events
from triggers.timers.dead_letters import QUEUES, SUBSCRIPTIONS, redrive_all

MESSAGE = to_message(reserve("ord-1", {"a": 1}), attempt=2)
COUNTED = "MaxDeliveryCountExceeded"
EXPIRED = "TTLExpiredException"
SUBSCRIPTION = "order-events/Subscriptions/inventory"


@pytest.fixture
def bus():
    return FakeBus()


@pytest.mark.parametrize("reason", [COUNTED, EXPIRED])
async def test_what_a_fault_dead_lettered_is_sent_again_later(bus, reason):
    bus.dead_letter("inventory", MESSAGE, reason)

    assert await redrive_queue(bus, "inventory", START) == Redriven(1, 0)

    (again,) = bus.sent["inventory"]
    assert again.body == MESSAGE.body
    assert (again.subject, again.correlation_id) == ("inventory.reserve", "ord-1")
    assert again.properties["redrive"] == "1"
    assert again.scheduled_for == START + timedelta(minutes=1)
    assert again.message_id == f"{MESSAGE.message_id}/redrive-1"
    assert bus.dead("inventory") == []


async def test_each_time_it_waits_longer_and_at_last_it_stays(bus):
    message, delays = MESSAGE, []
    for _ in range(MAX_REDRIVES):
        bus.dead_letter("inventory", message, COUNTED)
        await redrive_queue(bus, "inventory", START)
        message = bus.sent["inventory"][-1]
        delays.append((message.scheduled_for - START) / timedelta(minutes=1))
    bus.dead_letter("inventory", message, COUNTED)

    assert delays == [1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60, 60]
    assert await redrive_queue(bus, "inventory", START) == Redriven(0, 1)
    assert [letter.message_id for letter in bus.dead("inventory")] == [f"{MESSAGE.message_id}/redrive-12"]
    assert len(bus.sent["inventory"]) == MAX_REDRIVES


async def test_other_reasons_are_left_for_an_operator(bus):
    bus.dead_letter("inventory", MESSAGE, "HeaderSizeExceeded")

    assert await redrive_queue(bus, "inventory", START) == Redriven(0, 1)
    assert bus.sent == {}


async def test_what_stays_does_not_keep_the_others(bus):
    for _ in range(120):
        bus.dead_letter("inventory", MESSAGE, "HeaderSizeExceeded")
    bus.dead_letter("inventory", MESSAGE, COUNTED)

    assert await redrive_queue(bus, "inventory", START) == Redriven(1, 120)
    assert len(bus.dead("inventory")) == 120
    assert len(await bus.receive_dead_letters("inventory", 200)) == 120


async def test_properties_go_along_and_the_brokers_own_do_not(bus):
    properties = {"traceparent": "00-1", "DeadLetterReason": COUNTED, "redrive": "not a number"}
    bus.dead_letter(
        "payments", OutgoingMessage(b"{}", "m", "payments.charge", properties=properties), COUNTED
    )

    await redrive_queue(bus, "payments", START)

    assert bus.sent["payments"][0].properties == {"traceparent": "00-1", "redrive": "1"}


async def test_a_send_that_fails_leaves_the_dead_letters_where_they_are(bus):
    for _ in range(3):
        bus.dead_letter("inventory", MESSAGE, COUNTED)

    async def fail(request):
        if request == "send inventory":
            raise BusUnreachable("away")

    bus.before = fail
    with pytest.raises(BusUnreachable):
        await redrive_queue(bus, "inventory", START)
    assert len(await bus.receive_dead_letters("inventory", 10)) == 3


async def test_a_lock_that_was_lost_only_means_that_the_letter_comes_again(bus):
    bus.dead_letter("inventory", MESSAGE, COUNTED)

    async def lose(request):
        if request == "complete inventory":
            bus.before = _free
            for one in list(bus._locked):
                await bus.abandon_dead_letter("inventory", one[1])

    bus.before = lose
    assert await redrive_queue(bus, "inventory", START) == Redriven(2, 0)
    assert len(bus.sent["inventory"]) == 2


async def test_a_subscriptions_letter_goes_to_its_own_handler_and_to_no_other_subscription(bus):
    handled = []

    async def handle(envelope):
        handled.append(envelope.id)

    bus.dead_letter(SUBSCRIPTION, to_message(event(SHIPPED, 5)), COUNTED)

    assert await redrive_subscription(bus, SUBSCRIPTION, handle) == Redriven(1, 0)
    assert handled == ["ord-1:orders:5"]
    assert bus.sent == {}
    assert bus.dead(SUBSCRIPTION) == []


async def test_a_subscriptions_letter_that_still_fails_stays_and_the_others_are_handled(bus):
    async def handle(envelope):
        if envelope.id.endswith(":5"):
            raise RuntimeError("still broken")

    bus.dead_letter(SUBSCRIPTION, to_message(event(SHIPPED, 5)), COUNTED)
    bus.dead_letter(SUBSCRIPTION, OutgoingMessage(b"not JSON", "m", "x"), EXPIRED)
    bus.dead_letter(SUBSCRIPTION, to_message(event(SHIPPED, 6)), EXPIRED)

    assert await redrive_subscription(bus, SUBSCRIPTION, handle) == Redriven(1, 2)
    assert len(bus.dead(SUBSCRIPTION)) == 2


async def test_an_outage_ends_the_run_and_everything_stays(bus):
    async def handle(envelope):
        calls.append(envelope.id)
        raise DocumentsUnavailable("down")

    calls: list[str] = []
    for version in (5, 6, 7):
        bus.dead_letter(SUBSCRIPTION, to_message(event(SHIPPED, version)), COUNTED)

    with pytest.raises(DocumentsUnavailable):
        await redrive_subscription(bus, SUBSCRIPTION, handle)
    assert calls == ["ord-1:orders:5"]
    assert len(await bus.receive_dead_letters(SUBSCRIPTION, 10)) == 3


def test_every_queue_and_subscription_is_redriven_but_what_was_parked():
    namespace = json.loads((TOPOLOGY / "servicebus.json").read_text())["UserConfig"]["Namespaces"][0]
    entities = {queue["Name"] for queue in namespace["Queues"]} | {
        f"{topic['Name']}/Subscriptions/{subscription['Name']}"
        for topic in namespace["Topics"]
        for subscription in topic["Subscriptions"]
    }
    assert {*QUEUES, *SUBSCRIPTIONS} == entities - {"parked"}


async def test_the_timer_redrives_each_entity_although_one_fails(bus):
    documents = await stocked(FakeDocuments(), {"a": 5})
    await handlers.execute(documents, reserve("ord-1", {"a": 1}), START)
    await with_profile(documents, EMAIL_ONLY)
    for entity in ("inventory", "order-replies"):
        bus.dead_letter(entity, MESSAGE, COUNTED)
    for subscription in set(SUBSCRIPTIONS) - {service_events.SUBSCRIPTION}:
        bus.dead_letter(subscription, to_message(event(SHIPPED, 5)), EXPIRED)

    async def fail(request):
        if request == "send inventory":
            raise BusUnreachable("away")

    bus.before = fail
    with pytest.raises(BusUnreachable):
        await redrive_all(documents, bus, FakeClock(), notifier(documents, bus))

    assert len(bus.sent["order-replies"]) == 1
    assert figures(documents, "a")["shipped"] == 1
    assert statuses(documents) == {"email": ["queued"]}
    assert [entity for entity in (*QUEUES, *SUBSCRIPTIONS) if bus.dead(entity)] == ["inventory"]


async def _free(request):
    return
