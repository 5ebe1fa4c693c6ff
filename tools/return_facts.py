"""What the events of an order say of its returns, folded by other code than the app's own; and what must
hold of them.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

type Item = Mapping[str, Any]

PREFIX = "orders.return_"

RESTS = frozenset(
    {"requested", "awaiting_parcel", "received", "completed", "settled", "rejected", "cancelled"}
)
"""A return at rest has ended, or waits for people: for an approval, a parcel, an inspection."""

ENDED = frozenset({"completed", "settled", "rejected", "cancelled"})

_OPEN = ("requested", "approved", "awaiting_parcel")
_ATTENDED = (*_OPEN, "received", "inspected", "restocked", "cancelling")

# By event type: the statuses in which it may happen, and the status after it (None: the same).
MOVES: Mapping[str, tuple[tuple[str, ...], str | None]] = {
    "requested": (("none",), "requested"),
    "approved": (("requested",), "approved"),
    "rejected": (("requested",), "rejected"),
    "label_created": (("approved",), "awaiting_parcel"),
    "received": (("approved", "awaiting_parcel", "cancelled", "rejected"), "received"),
    "parcel_unexpected": (("cancelling", "cancelled", "rejected"), None),
    "inspected": (("received",), "inspected"),
    "restocked": (("inspected",), "restocked"),
    "refunded": (("restocked",), "refunded"),
    "completed": (("restocked", "refunded"), "completed"),
    "cancel_requested": (_OPEN, None),
    "cancellation_started": (_OPEN, "cancelling"),
    "label_cancelled": (("cancelling",), None),
    "cancelled": (("cancelling",), "cancelled"),
    "needs_attention": (_ATTENDED, None),
    "settled": (_ATTENDED, "settled"),
}


@dataclass(frozen=True, slots=True)
class ReturnFacts:
    """`pieces` by SKU: restocked and written off. `refund`: what the inspection says is given back.

    attention: since its last step the return needs attention.
    """

    id: str
    order_id: str
    status: str = "none"
    labelled: bool = False
    label_cancelled: bool = False
    pieces: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    refund: int = 0
    refunded: int = 0
    attention: bool = False
    problems: tuple[str, ...] = ()


def return_facts(order_id: str, events: Iterable[Item]) -> list[ReturnFacts]:
    """Of all returns of an order; `events` are those of its stream, in the order of their versions."""
    found: dict[str, ReturnFacts] = {}
    lines: list[Item] = []
    for event in events:
        data = event["data"]
        if event["type"] == "orders.created":
            lines = data["lines"]
        if event["type"].startswith(PREFIX):
            id = data["return_id"]
            found[id] = _after(found.get(id, ReturnFacts(id, order_id)), event, lines)
    return list(found.values())


def _after(facts: ReturnFacts, event: Item, lines: list[Item]) -> ReturnFacts:
    type_, data = event["type"].removeprefix(PREFIX), event["data"]
    allowed, status = MOVES[type_]
    problems = facts.problems
    if facts.status not in allowed:
        problems += (f"{event['type']} (version {event['version']}) after {facts.status}",)
    facts = replace(
        facts, status=status or facts.status, attention=type_ == "needs_attention", problems=problems
    )
    match type_:
        case "label_created":
            return replace(facts, labelled=True)
        case "label_cancelled":
            return replace(facts, label_cancelled=True)
        case "inspected":
            pieces: dict[str, tuple[int, int]] = {}
            for line in data["lines"]:
                sku = lines[line["line"] - 1]["sku"]
                restocked, written_off = pieces.get(sku, (0, 0))
                pieces[sku] = restocked + line["restocked"], written_off + line["written_off"]
            moved = {sku: counts for sku, counts in pieces.items() if any(counts)}
            return replace(facts, pieces=moved, refund=data["refund"])
        case "refunded":
            return replace(facts, refunded=data["amount"])
    return facts


def violations(
    facts: ReturnFacts,
    *,
    moved: Mapping[str, tuple[int, int]],
    given_back: int,
    live_labels: int,
    alerted: bool,
    faults_ended: bool,
) -> Iterator[str]:
    """Where what the services did of it is not what the order says. `moved` as `ReturnFacts.pieces`."""
    yield from facts.problems
    if facts.status not in RESTS and (faults_ended or not facts.attention):
        yield f"rests as {facts.status}"
    if facts.attention and not alerted:
        yield "needs attention and there is no open alert"
    if alerted and facts.status in ENDED:
        yield f"is {facts.status} and has an open alert"
    if facts.status == "completed":
        if moved != facts.pieces:
            yield f"took back {dict(moved)}, the inspection says {dict(facts.pieces)}"
        if not given_back == facts.refunded == facts.refund:
            yield f"gave back {given_back}, noted {facts.refunded}, the inspection says {facts.refund}"
    elif facts.status not in ("inspected", "restocked", "settled") and (moved or given_back):
        yield f"is {facts.status}, took back {dict(moved)} and gave back {given_back}"
    cancelled = facts.label_cancelled or facts.status in ("cancelled", "cancelling")
    due = 1 if facts.labelled and not cancelled else 0
    if facts.status in RESTS and live_labels != due:
        yield f"is {facts.status} and has {live_labels} live labels, {due} is due"


def pieces_by_return(items: Iterable[Item]) -> dict[str, dict[str, tuple[int, int]]]:
    """Of the ledger's items of kind `return`: what came back, by return and SKU."""
    found: dict[str, dict[str, tuple[int, int]]] = {}
    for item in items:
        counts = (item["restocked"], item["written_off"])
        found.setdefault(item["return_id"], {})[item["sku"]] = counts
    return found


def refunds_by_return(streams: Mapping[str, Iterable[Item]]) -> Counter[str]:
    """Of the payments' events: what was given back, by return."""
    refunds: Counter[str] = Counter()
    for events in streams.values():
        for event in events:
            if event["type"] == "payments.part_refunded":
                refunds[event["data"]["return_id"]] += event["data"]["amount"]
    return refunds
