"""What was told of the events, what operators must look at, and what must hold of both at rest."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

type Item = Mapping[str, Any]

TAKEN = frozenset({"sent", "delivered", "bounced"})
"""The provider has had it; what it reports of one that it had may also be `failed`."""

FAILED = frozenset({"bounced", "failed", "withheld"})


KINDS: Mapping[str, str] = {
    "orders.shipping_created": "order_shipped",
    "orders.delivered": "order_delivered",
    "orders.returned_to_sender": "order_returned_to_sender",
    "orders.cancelled": "order_cancelled",
    "orders.payment_refunded": "order_refunded",
    "orders.return_approved": "return_approved",
    "orders.return_rejected": "return_rejected",
    "orders.return_label_created": "return_label_created",
    "orders.return_refunded": "return_refunded",
    "orders.return_cancelled": "return_cancelled",
}
"""By the event of an order of which its customer is told."""


def open_alerts(alerts: Iterable[Item], about: str) -> set[str]:
    """The orders, or the returns, of which one is open."""
    found = [item for item in alerts if item["status"] == "open" and item.get("about", "order") == about]
    return {item["id"].removeprefix("alert:") if about == "return" else item["order_id"] for item in found}


def violations(
    items: Iterable[Item], outbox: Iterable[Item], *, faults_ended: bool
) -> Iterator[tuple[str, str]]:
    """Where an event was told other than once on each channel that is noted with it, or on one in its stead.

    With the id of what is wrong. `items` are those of the container `notifications`.
    """
    channels: dict[str, list[str]] = {}
    told: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        if item.get("type") == "notice":
            channels[item["id"]] = item["channels"]
        elif item.get("type") == "notification":
            told[item["event_id"]].append(item)
    for event_id in sorted(channels.keys() | told.keys()):
        for text in _of_event(channels.get(event_id), told[event_id]):
            yield event_id, text
    for each in (item for items in told.values() for item in items):
        for text in _of_attempts(each["attempts"], faults_ended=faults_ended):
            yield each["id"], text
    known = {item["id"] for items in told.values() for item in items}
    for message in outbox:
        if message["notification_id"] not in known:
            yield message["notification_id"], "is no notification, and was sent"


def untold(
    streams: Mapping[str, Iterable[Item]], notices: frozenset[str], preferences: Iterable[Item]
) -> Iterator[tuple[str, str]]:
    """The events of orders whose customer was to be told by e-mail before they happened, and was not."""
    by_customer = {item["customer_id"]: item for item in preferences if item["email"]}
    for order_id, (first, *later) in streams.items():
        wanted = by_customer.get(first["data"].get("customer_id"))
        if wanted is None:
            continue
        off = {kind for kind, switch in wanted["switches"].get("email", {}).items() if switch == "off"}
        for event in later:
            kind = KINDS.get(event["type"])
            if kind is None or kind in off or event["data"].get("amount") == 0:
                continue
            id = f"{order_id}:orders:{event['version']}"
            if event["_sequence"] > wanted["_sequence"] and id not in notices:
                yield id, f"{event['type']} was told to nobody"


def _of_event(channels: list[str] | None, told: list[Item]) -> Iterator[str]:
    if channels is None:
        yield "was told, and it is not noted on which channels"
        return
    by_channel = {item["channel"]: item for item in told}
    if len(by_channel) < len(told):
        yield f"was told twice on one of {sorted(by_channel)}"
    at_first = sorted(item["channel"] for item in told if item["stands_in_for"] is None)
    if at_first != sorted(channels):
        yield f"was told on {at_first}, {sorted(channels)} is noted"
    for item in told:
        other = by_channel.get(item["stands_in_for"])
        if item["stands_in_for"] is not None and (other is None or other["status"] not in FAILED):
            yield f"was told on {item['channel']} in the stead of one that did not fail"


def _of_attempts(attempts: list[Item], *, faults_ended: bool) -> Iterator[str]:
    """Only the last can have succeeded: whoever makes another says of the one before that it failed."""
    statuses = [attempt["status"] for attempt in attempts]
    if [attempt["number"] for attempt in attempts] != [*range(1, len(attempts) + 1)]:
        yield f"has attempts that are not counted: {[attempt['number'] for attempt in attempts]}"
    if any(status != "failed" for status in statuses[:-1]):
        yield f"was sent again after an attempt that did not fail: {statuses}"
    if faults_ended and statuses[-1] == "sending":
        yield "rests as sending"
    if statuses[-1] in TAKEN and not attempts[-1]["provider"]:
        yield f"is {statuses[-1]}, by no provider"
