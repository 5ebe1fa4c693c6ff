"""What a run left behind, read from the emulator's store: the input of `tools.invariants`."""

import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from emulator.servicebus.accounting import Account, accounting
from emulator.state_folder import STORE_FILE

type Item = Mapping[str, Any]

ORDERED = frozenset({"notification-preferences", "orders"})
"""Containers whose items say in which order they were last written (`_sequence`), across both."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """The state at rest: nothing under way, all retries done.

    documents: the items of each container, by its name.
    messages: what became of the copies of each queue and subscription, by its path.
    accepted: ids of the orders that were answered 202, where somebody noted them.
    faults_ended: whether nothing is broken on purpose any more; else an order may still need attention.
    """

    documents: Mapping[str, tuple[Item, ...]]
    messages: Mapping[str, Account]
    accepted: frozenset[str] = frozenset()
    faults_ended: bool = True

    def items(self, container: str, kind: str | None = None) -> Iterator[Item]:
        for item in self.documents.get(container, ()):
            if kind is None or item.get("kind") == kind:
                yield item

    def streams(self, container: str) -> dict[str, list[Item]]:
        """Events by stream, in the order of their versions."""
        streams: dict[str, list[Item]] = {}
        for event in self.items(container, "event"):
            streams.setdefault(event["stream"], []).append(event)
        for events in streams.values():
            events.sort(key=lambda event: event["version"])
        return streams


@dataclass(frozen=True, slots=True)
class OrderFacts:
    """What the events of one stream add up to, folded here, by other code than the app's own.

    problems: where the events are no possible history.
    reserved, charged, shipped: the step succeeded, as the order sees it.
    undo: the steps that the cancellation named; undone: those that were recorded as undone; both in order.
    """

    id: str
    status: str = "none"
    version: int = 0
    customer_id: str = ""
    currency: str = ""
    total: int = 0
    pieces: Mapping[str, int] = field(default_factory=dict)
    reason: str = ""
    reserved: bool = False
    charged: bool = False
    shipped: bool = False
    undo: tuple[str, ...] = ()
    undone: tuple[str, ...] = ()
    updated_at: str = ""
    problems: tuple[str, ...] = ()


_RETURN = "orders.return_"
"""Of a completed order; tools/return_facts.py looks at them one return at a time."""

_BEFORE_SHIPPING = ("created", "inventory_reserved", "payment_processed")
_UNDOING = ("cancelling", "needs_attention")

# By event type: the statuses in which it may happen, and the status after it (None: the same).
_MOVES: Mapping[str, tuple[tuple[str, ...], str | None]] = {
    "orders.created": (("none",), "created"),
    "orders.inventory_reserved": (("created",), "inventory_reserved"),
    "orders.payment_pending": (("inventory_reserved",), None),
    "orders.payment_processed": (("inventory_reserved",), "payment_processed"),
    "orders.shipping_requested": (("payment_processed",), "shipping_requested"),
    "orders.shipping_created": (("shipping_requested",), "shipping_created"),
    "orders.completed": (("shipping_created",), "completed"),
    "orders.delivered": (("completed",), None),
    "orders.returned_to_sender": (("completed",), None),
    "orders.address_changed": (_BEFORE_SHIPPING, None),
    "orders.replacement_requested": (_BEFORE_SHIPPING, None),
    "orders.cancel_requested": (_BEFORE_SHIPPING, None),
    "orders.cancellation_started": ((*_BEFORE_SHIPPING, "shipping_requested"), "cancelling"),
    "orders.shipping_cancelled": (_UNDOING, "cancelling"),
    "orders.payment_refunded": (_UNDOING, "cancelling"),
    "orders.inventory_released": (_UNDOING, "cancelling"),
    "orders.needs_attention": (_UNDOING, "needs_attention"),
    "orders.cancelled": (("cancelling",), "cancelled"),
    "orders.late_reply": (
        (*_BEFORE_SHIPPING, "shipping_requested", "completed", *_UNDOING, "cancelled"),
        None,
    ),
}

_CANCEL_REQUESTS = frozenset({"orders.cancel_requested", "orders.replacement_requested"})
"""After one there is no other, and the order is not shipped."""

UNDO_EVENTS: Mapping[str, str] = {
    "orders.shipping_cancelled": "shipping",
    "orders.payment_refunded": "payment",
    "orders.inventory_released": "inventory",
}


def order_facts(stream: str, events: Iterable[Item]) -> OrderFacts:
    """`events` in the order of their versions."""
    events = tuple(events)
    by_type = {event["type"]: event for event in events}
    created = by_type.get("orders.created", {"data": {}})["data"]
    started = by_type.get("orders.cancellation_started", {"data": {}})["data"]
    pieces: Counter[str] = Counter()
    for line in created.get("lines", ()):
        pieces[line["sku"]] += line["quantity"]
    status = "none"
    for event in events:
        status = _MOVES.get(event["type"], ((), None))[1] or status
    return OrderFacts(
        id=stream,
        status=status,
        version=len(events),
        customer_id=created.get("customer_id", ""),
        currency=created.get("currency", ""),
        total=sum(line["quantity"] * line["unit_price"] for line in created.get("lines", ())),
        pieces=pieces,
        reason=started.get("reason", ""),
        reserved="orders.inventory_reserved" in by_type,
        charged="orders.payment_processed" in by_type,
        shipped="orders.shipping_created" in by_type,
        undo=tuple(started.get("undo", ())),
        undone=tuple(UNDO_EVENTS[event["type"]] for event in events if event["type"] in UNDO_EVENTS),
        updated_at=events[-1]["time"] if events else "",
        problems=tuple(_impossible(events)),
    )


def _impossible(events: Iterable[Item]) -> Iterator[str]:
    status = "none"
    cancel_requested = False
    for expected, event in enumerate(events, start=1):
        type_ = event["type"]
        if event["version"] != expected:
            yield f"version {expected} is missing"
        allowed, after = _MOVES.get(type_, ((), None))
        if type_.startswith(_RETURN):
            allowed = ("completed",)
        if status not in allowed:
            yield f"{type_} (version {event['version']}) after {status}"
        if cancel_requested and type_ in {*_CANCEL_REQUESTS, "orders.shipping_requested"}:
            yield f"{type_} (version {event['version']}) after orders.cancel_requested"
        cancel_requested = cancel_requested or type_ in _CANCEL_REQUESTS
        if type_ == "orders.created":
            total = sum(line["quantity"] * line["unit_price"] for line in event["data"]["lines"])
            if total != event["data"]["total"]:
                yield f"a total of {event['data']['total']}, the lines add up to {total}"
        status = after or status


def store_path(state: Path) -> Path:
    """Of an emulator's state folder."""
    return state / STORE_FILE


def read_evidence(
    state: Path, *, accepted: Iterable[str] = (), faults_ended: bool = True, now: float | None = None
) -> Evidence:
    """Read the store of an emulator, running or stopped, as of one moment. Expired items are left out."""
    documents: dict[str, list[Item]] = {}
    with closing(open_store(state)) as store:
        store.execute("BEGIN")
        for container, body, sequence in store.execute(
            "SELECT container, body, sequence FROM documents WHERE expires IS NULL OR expires > ?",
            (time.time() if now is None else now,),
        ):
            item = orjson.loads(body)
            if container in ORDERED:
                item["_sequence"] = sequence
            documents.setdefault(container, []).append(item)
        messages = accounting(lambda sql: store.execute(sql).fetchall())
    return Evidence(
        {container: tuple(items) for container, items in documents.items()},
        messages,
        frozenset(accepted),
        faults_ended,
    )


def open_store(state: Path) -> sqlite3.Connection:
    """Read-only, from another process than the emulator's."""
    return sqlite3.connect(f"{store_path(state).resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)
