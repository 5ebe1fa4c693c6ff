"""What can never be handled is parked, with the reason; everything else goes on."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from emulator.documents.writes import feed_range_of
from emulator.host.simulated import Simulated
from emulator.servicebus.messages import Message, StoredMessage
from emulator.simulation import run_simulated
from tests.simulated import evidence, load_stock, orders_of, running, settle, submit
from tools.api import Line, NewOrder
from tools.evidence import Evidence
from tools.invariants import check

ORDER = NewOrder("C-1", (Line("GLASS", 2, 250), Line("VASE", 1, 1000)))
STOCK = {"GLASS": 100, "VASE": 100}
NOBODY = "ord-nobody"


def envelope(type_: str, data: object, order_id: str = NOBODY, **changes: object) -> bytes:
    return orjson.dumps(
        {
            "specversion": "1.0",
            "id": f"{order_id}:{type_}",
            "type": type_,
            "dataschema": f"{type_}/1",
            "source": "orders",
            "subject": order_id,
            "time": "2027-01-15T08:00:00+00:00",
            "correlationid": order_id,
            "causationid": f"{order_id}:orders:1",
            "traceparent": "",
            "data": data,
        }
        | changes
    )


def reserve(order_id: str = NOBODY, *lines: dict[str, object]) -> bytes:
    data = {"order_id": order_id, "lines": lines, "expires_at": "2027-01-16T08:00:00+00:00"}
    return envelope("inventory.reserve", data, order_id)


def charge(**changes: object) -> bytes:
    data = {
        "order_id": NOBODY,
        "customer_id": "C-1",
        "amount": 1,
        "currency": "GBP",
        "payment_method": "tok_ok",
    }
    return envelope("payments.charge", data | changes)


QUEUES = ("inventory", "payments", "shipping", "order-replies")
TOPIC = "order-events"
NO_MESSAGES: Mapping[str, bytes] = {
    "body: not JSON": b"\xff\xfe not JSON",
    "body: not JSON: Input is a zero-length": b"",
    "body: must be a JSON object": b"[1, 2]",
    "body: not JSON: depth limit exceeded": b"[" * 5000,
    "id: must be a non-empty string": b"{}",
    "unknown type 'payments.steal' version 1": envelope("payments.steal", {}),
    "unknown type 'payments.charge' version 7": envelope(
        "payments.charge", {}, dataschema="payments.charge/7"
    ),
    "time: must have an offset": envelope("payments.charge", {}, time="2027-01-15T08:00:00"),
    "dataschema: must be payments.charge/VERSION": envelope("payments.charge", {}, dataschema="other/1"),
    "customer_id: ": charge(customer_id=None),
    "tip: Unexpected": charge(tip=100),
}
"""Not valid on any queue, by what the reason says."""

WRONG_HERE: tuple[tuple[str, str, bytes], ...] = (
    ("inventory", "'payments.charge' is not taken by 'inventory'", charge()),
    (
        "payments",
        "'inventory.reserve' is not taken by 'payments'",
        reserve(NOBODY, {"sku": "GLASS", "quantity": 1}),
    ),
    ("shipping", "'payments.charge' is not taken by 'shipping'", charge()),
    ("order-replies", "'payments.charge' is not taken by 'order-replies'", charge()),
    ("inventory", "lines: must not be empty", reserve()),
    ("inventory", "lines.0.quantity: must be at least 1", reserve(NOBODY, {"sku": "GLASS", "quantity": -1})),
    ("inventory", "order_id: ", reserve("a/b", {"sku": "GLASS", "quantity": 1})),
    ("inventory", "order_id: ", reserve("o" * 2000, {"sku": "GLASS", "quantity": 1})),
    ("inventory", "sku: ", reserve(NOBODY, {"sku": "s" * 3000, "quantity": 1})),
    ("inventory", "quantity: ", reserve(NOBODY, {"sku": "GLASS", "quantity": 2**62})),
    ("payments", "amount: ", charge(amount=-5)),
    ("payments", "amount: ", charge(amount=2**60)),
    ("payments", "currency: ", charge(currency="pounds")),
    ("payments", "order_id: ", charge(order_id="a/b")),
    ("payments", "subject: ", charge(order_id="ord-another")),
    (
        "order-replies",
        "subject: there is no such order",
        envelope(
            "payments.declined", {"order_id": NOBODY, "reason": "x"}, causationid=f"{NOBODY}:payments.charge"
        ),
    ),
    (
        "order-replies",
        f"causationid: must be '{NOBODY}:inventory.reserve'",
        envelope("inventory.reserved", {"order_id": NOBODY}, causationid=f"{NOBODY}:payments.charge"),
    ),
)
CASES = [
    *((queue, reason, body) for queue in QUEUES for reason, body in NO_MESSAGES.items()),
    *WRONG_HERE,
]


async def parked_of(run: Simulated, queue: str, body: bytes) -> list[StoredMessage]:
    """What is parked of a bad message, sent between two orders; those must be completed."""
    message = Message(body, "bad-1", subject="bad", correlation_id=NOBODY, content_type="text/plain")
    async with asyncio.TaskGroup() as senders:
        before = senders.create_task(submit(run, ORDER, "before"))
        senders.create_task(run.engines.bus.send(queue, [message]))
        after = senders.create_task(submit(run, ORDER, "after"))
    await settle(run, 120)
    found = evidence(run, run.engines.store.path.parent, [before.result(), after.result()])
    assert check(found) == []
    assert {order.status for order in orders_of(found).values()} == {"completed"}
    assert [path for path, account in found.messages.items() if account.dead_lettered] == []
    return run.engines.bus.peek("parked", 0, 10)


@pytest.mark.parametrize(("queue", "reason", "body"), CASES, ids=lambda value: repr(value)[:60])
def test_a_message_that_is_not_valid_is_parked_and_the_others_go_on(
    queue: str, reason: str, body: bytes, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as run:
            await load_stock(run, STOCK)
            (parked,) = await parked_of(run, queue, body)
        assert reason in str(parked.properties["reason"])
        assert parked.properties["source"] == queue
        assert parked.properties["original_message_id"] == "bad-1"
        assert (parked.body, parked.subject, parked.correlation_id) == (body, "bad", NOBODY)

    run_simulated(scenario())


@pytest.mark.parametrize(
    ("reason", "body"),
    [
        ("body: not JSON", b"nothing"),
        (
            "order_id: 'ord-nobody' has no reservation with lines",
            envelope(
                "orders.shipping_created",
                {"order_id": NOBODY, "customer_id": "C-1", "shipment_id": "s", "tracking_number": "t"},
            ),
        ),
    ],
)
def test_an_event_that_a_subscription_cannot_handle_is_parked(
    reason: str, body: bytes, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as run:
            message = Message(body, "bad-1", subject="orders.shipping_created")
            await run.engines.bus.send("order-events", [message])
            await settle(run, 60)
            parked = {str(each.properties["source"]): each for each in run.engines.bus.peek("parked", 0, 10)}
        found = parked["order-events/Subscriptions/inventory"]
        assert reason in str(found.properties["reason"])
        assert (found.properties["original_message_id"], found.body) == ("bad-1", body)

    run_simulated(scenario())


async def put(run: Simulated, container: str, partition: str, item: dict[str, Any]) -> None:
    await run.engines.documents.create(container, partition, item)


def broken_event(stream: str, type_: str) -> dict[str, Any]:
    """Of a type that is not known, or with data that is not of its type."""
    return {
        "id": "1",
        "stream": stream,
        "kind": "event",
        "version": 1,
        "type": type_,
        "schema": 1,
        "time": "2027-01-15T08:00:00+00:00",
        "event_id": f"{stream}:orders:1",
        "correlation_id": stream,
        "causation_id": stream,
        "traceparent": "",
        "actor": "nobody",
        "data": {"order_id": 17},
    }


def broken_stock(sku: str) -> dict[str, Any]:
    figures = dict.fromkeys(("received", "adjusted", "available", "held", "shipped"), 0)
    return {"id": "stock", "sku": sku, "kind": "stock", **figures, "version": "seven"}


def without_poison(found: Evidence) -> Evidence:
    documents = {
        container: tuple(
            item for item in items if not str(item.get("stream") or item.get("sku")).startswith("poison-")
        )
        for container, items in found.documents.items()
    }
    return replace(found, documents=documents)


def test_a_poison_document_amid_a_batch_of_the_feed_is_parked_and_the_others_are_projected(
    tmp_path: Path,
) -> None:
    orders, accepted = 12, []

    async def scenario() -> None:
        async with running(tmp_path) as run:
            await load_stock(run, STOCK)
            await settle(run)
            run.instance.host.stop()  # nobody reads the feed, so that all this becomes its next batches
            for number in range(orders):
                accepted.append(await submit(run, ORDER, f"key-{number}"))
                stream, sku = f"poison-{number}", f"poison-{number}"
                type_ = ("orders.created", "orders.nonsense")[number % 2]
                await put(run, "orders", stream, broken_event(stream, type_))
                await put(run, "inventory", sku, broken_stock(sku))
        async with running(tmp_path) as run:
            await settle(run, 600)
            found = without_poison(evidence(run, tmp_path, accepted))
            parked = run.engines.bus.peek("parked", 0, 100)
        assert check(found) == []
        assert {orders_of(found)[id].status for id in accepted} == {"completed"}
        assert [path for path, account in found.messages.items() if account.dead_lettered] == []
        assert {str(each.message_id) for each in parked} == {
            *(f"project_orders:poison-{number}:1" for number in range(orders)),
            *(f"publish_order_events:poison-{number}:1" for number in range(0, orders, 2)),
            *(f"project_stock:poison-{number}:stock" for number in range(orders)),
        }
        for each in parked:
            assert each.properties["reason"]
            assert "change feed of" in str(each.properties["source"])
            assert each.properties["original_message_id"] == orjson.loads(each.body)["id"]

    run_simulated(scenario())
    ranges = [feed_range_of(id) for id in accepted]
    poisoned = [feed_range_of(f"poison-{number}") for number in range(orders)]
    assert any(
        poisoned[number] in set(ranges[:number]) & set(ranges[number + 1 :]) for number in range(orders)
    )
