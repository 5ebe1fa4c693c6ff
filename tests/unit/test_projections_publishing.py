import dataclasses

import orjson
import pytest

from core.bus import MAX_MESSAGE_BYTES, BusUnreachable
from core.envelope import from_json
from emulator.simulation import run_simulated
from services.orders.events import PUBLISHED, OrderCompleted
from tests.fakes import FakeBus, FakeDocuments
from tests.order_support import COMPLETION, append, events, feed, place
from triggers.change_feed.orders import TOPIC, publish_changes


@pytest.fixture
async def documents():
    documents = FakeDocuments()
    await append(documents, "ord-1", place("ord-1"), *COMPLETION)
    return documents


class CountingBus(FakeBus):
    def __init__(self):
        super().__init__()
        self.sends = []

    async def send(self, entity, messages):
        await super().send(entity, messages)
        self.sends.append((entity, messages))


async def test_a_completed_order_is_five_events_in_one_send(documents):
    bus = CountingBus()

    await publish_changes(bus, feed(documents, "ord-1"))

    ((entity, messages),) = bus.sends
    assert entity == TOPIC
    assert [message.subject for message in messages] == [
        "orders.created",
        "orders.inventory_reserved",
        "orders.payment_processed",
        "orders.shipping_created",
        "orders.completed",
    ]
    assert [message.message_id for message in messages] == [f"ord-1:orders:{n}" for n in (1, 2, 3, 5, 6)]
    assert {message.correlation_id for message in messages} == {"ord-1"}


async def test_a_published_event_is_the_envelope_of_the_event(documents):
    bus = FakeBus()
    await publish_changes(bus, events(documents, "ord-1")[-1:])

    (message,) = bus.sent[TOPIC]
    envelope = from_json(message.body)
    assert envelope.data == OrderCompleted("ord-1")
    assert (envelope.id, envelope.source, envelope.subject) == ("ord-1:orders:6", "orders", "ord-1")


async def test_the_payment_token_is_not_published(documents):
    bus = FakeBus()
    await publish_changes(bus, events(documents, "ord-1")[:1])

    (message,) = bus.sent[TOPIC]
    assert b"tok_ok" not in message.body
    assert orjson.loads(message.body)["data"]["customer_id"] == "ada"


async def test_what_nobody_else_needs_to_know_is_not_published(documents):
    bus = FakeBus()
    await publish_changes(
        bus, [item for item in feed(documents, "ord-1") if item.get("type") not in PUBLISHED]
    )

    assert bus.sent == {}


async def test_a_batch_beyond_the_limits_is_sent_in_parts_in_order(documents):
    await append(documents, "ord-2", place("ord-2", lines=900))
    (large,) = events(documents, "ord-2")
    changes = [{**large, "event_id": f"ord-2:orders:{n}"} for n in range(12)]
    changes += [{**events(documents, "ord-1")[1], "event_id": f"ord-1:orders:{n}"} for n in range(250)]
    bus = CountingBus()

    await publish_changes(bus, changes)

    for _, messages in bus.sends:
        assert sum(len(message.body) for message in messages) < MAX_MESSAGE_BYTES
        assert len(messages) <= 100
    assert [message.message_id for message in bus.sent[TOPIC]] == [change["event_id"] for change in changes]
    assert len(bus.sends) < 10


async def test_an_event_that_no_message_can_carry_and_one_that_cannot_be_read_are_parked(documents):
    await append(documents, "ord-2", place("ord-2", lines=1000))
    (huge,) = events(documents, "ord-2")
    for line in huge["data"]["lines"]:
        line["sku"] *= 40
    unreadable = {**events(documents, "ord-1")[1], "data": {"order": "ord-1"}}
    bus = FakeBus()

    await publish_changes(bus, [huge, unreadable, events(documents, "ord-1")[-1]])

    assert [message.subject for message in bus.sent[TOPIC]] == ["orders.completed"]
    too_large, not_read = sorted(bus.sent["parked"], key=lambda message: message.properties["reason"])
    assert "too many for a message" in too_large.properties["reason"]
    assert orjson.loads(too_large.body) == {"id": "1", "stream": "ord-2"}
    assert "inventory_reserved" in not_read.properties["reason"]
    assert not_read.properties["source"] == "orders, change feed of publish_order_events"


def test_a_bus_that_is_away_for_a_moment_gets_each_event_once():
    async def run():
        documents = FakeDocuments()
        await append(documents, "ord-1", place("ord-1"), *COMPLETION)
        failures = [BusUnreachable("away")] * 3

        async def away(request):
            if failures:
                raise failures.pop()

        bus = FakeBus(before=away)
        await publish_changes(bus, feed(documents, "ord-1"))
        assert len(bus.sent[TOPIC]) == 5

    run_simulated(run())


async def test_the_published_events_carry_the_trace(documents):
    event = {**events(documents, "ord-1")[1], "traceparent": f"00-{'1' * 32}-{'2' * 16}-01"}
    bus = FakeBus()
    await publish_changes(bus, [event])

    (message,) = bus.sent[TOPIC]
    assert message.properties == {"traceparent": event["traceparent"]}
    assert dataclasses.asdict(from_json(message.body))["traceparent"] == event["traceparent"]
