"""What must always hold at rest, whatever happened before. The demo, replay, bench and tests check it.

1  every accepted order is completed or cancelled, its whole history on its stream; while faults last it may
   need attention, with an open alert
2  stock: received + adjusted = available + held + (shipped - returned) + written off for every SKU, nothing
   below zero, each hold in the state that its order's end asks for, and nothing returned that was not shipped
3  money: no order is charged twice; charged - refunded = the total of a completed order, less what was given
   back for returns, and nothing of another
4  a live shipment for each completed order and for no cancelled one; none at two carriers, but where the app
   is yet to see to it, and each at the carrier that its stream names
5  every read model equals the fold of its events
6  every command has exactly one recorded outcome, however often it was delivered
7  messages: accepted = completed + dead-lettered + expired + cancelled + still held, for every queue and
   subscription
8  returns: each has ended or waits for people; what came back and was given back is what its inspection said;
   a live label for each that was sent one, and for no cancelled one; an open alert while it needs attention
9  audit: every event, and what became of each hold, is in the container `audit` with the hash that it was
   written with, and every chain there is as it was written (core/chain.py)
10 notifications: every event of which a customer wants to be told is; once on each channel that is noted with
   it, and on another only when one failed; no attempt follows one that did not fail
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from services.audit.verification import first_break
from tools.evidence import Evidence, Item, OrderFacts, order_facts
from tools.notification_facts import open_alerts, untold
from tools.notification_facts import violations as wrongly_told
from tools.parcel_facts import booking_violations, live_bookings
from tools.return_facts import pieces_by_return, refunds_by_return, return_facts, violations


@dataclass(frozen=True, slots=True)
class Violation:
    """`subject` is an order, a SKU, a command or a queue."""

    invariant: int
    subject: str
    text: str

    def __str__(self) -> str:
        return f"invariant {self.invariant}: {self.subject}: {self.text}"


type Orders = Mapping[str, OrderFacts]


def check(evidence: Evidence) -> list[Violation]:
    """All violations, by invariant; none is how it must be."""
    orders = {stream: order_facts(stream, events) for stream, events in evidence.streams("orders").items()}
    return [
        Violation(number, subject, text)
        for number, invariant in enumerate(INVARIANTS, start=1)
        for subject, text in invariant(evidence, orders)
    ]


type Found = Iterator[tuple[str, str]]


def _orders_end(evidence: Evidence, orders: Orders) -> Found:
    for id in sorted(evidence.accepted - orders.keys()):
        yield id, "was accepted and has no events"
    alerts = open_alerts(evidence.items("notifications", "alert"), "order")
    for order in orders.values():
        for problem in order.problems:
            yield order.id, problem
        attention = order.status == "needs_attention"
        if order.status == "cancelled":
            yield from _undos(order)
        elif order.status != "completed" and (evidence.faults_ended or not attention):
            yield order.id, f"rests as {order.status}"
        if not attention and order.id in alerts:
            yield order.id, f"is {order.status} and has an open alert"
        elif attention and order.id not in alerts:
            yield order.id, "needs attention and there is no open alert"


def _undos(order: OrderFacts) -> Found:
    """What was done is undone once, in reverse."""
    if order.undone != order.undo:
        yield order.id, f"was to undo {list(order.undo)}, undid {list(order.undone)}"
    in_reverse = [step for step in ("shipping", "payment", "inventory") if step in order.undo]
    if list(order.undo) != in_reverse:
        yield order.id, f"undoes {list(order.undo)}, the reverse of what was done is {in_reverse}"
    for step, done in (
        ("inventory", order.reserved),
        ("payment", order.charged),
        ("shipping", order.shipped),
    ):
        if done and step not in order.undone:
            yield order.id, f"is cancelled and {step} was not undone"


def _stock(evidence: Evidence, orders: Orders) -> Found:
    held: Counter[str] = Counter()
    shipped: Counter[str] = Counter()
    moved: Counter[tuple[str, str]] = Counter()
    holds: dict[tuple[str, str], tuple[str, int]] = {}
    returned: Counter[tuple[str, str]] = Counter()
    for item in evidence.items("inventory"):
        sku = item["sku"]
        match item["kind"]:
            case "hold":
                holds[item["order_id"], sku] = (item["state"], item["quantity"])
                held[sku] += item["quantity"] if item["state"] == "held" else 0
                shipped[sku] += item["quantity"] if item["state"] == "committed" else 0
            case "movement":
                moved[sku, item["movement"]] += item["quantity"]
                if item["movement"] == "adjustment" and not item["reason"]:
                    yield sku, f"movement {item['number']} is an adjustment without a reason"
            case "return":
                moved[sku, "returned"] += item["restocked"] + item["written_off"]
                moved[sku, "written_off"] += item["written_off"]
                returned[item["order_id"], sku] += item["restocked"] + item["written_off"]
    for stock in evidence.items("inventory", "stock"):
        yield from _figures(stock, held, shipped, moved)
    yield from _holds(orders, holds)
    for (order_id, sku), pieces in sorted(returned.items()):
        state, quantity = holds.get((order_id, sku), ("none", 0))
        if state != "committed" or pieces > quantity:
            yield sku, f"{pieces} came back of {order_id}, of which {quantity} were {state}"


def _figures(
    stock: Item, held: Counter[str], shipped: Counter[str], moved: Counter[tuple[str, str]]
) -> Found:
    sku = stock["sku"]
    returned, written_off = stock.get("returned", 0), stock.get("written_off", 0)
    came = stock["received"] + stock["adjusted"]
    there = stock["available"] + stock["held"] + stock["shipped"] - returned + written_off
    if came != there:
        yield sku, f"received and adjusted {came}, available, held, shipped and written off {there}"
    for field in ("received", "available", "held", "shipped", "returned", "written_off"):
        if stock.get(field, 0) < 0:
            yield sku, f"{field} is {stock[field]}"
    expected = {
        "held": held[sku],
        "shipped": shipped[sku],
        "received": moved[sku, "receipt"],
        "adjusted": moved[sku, "adjustment"],
        "returned": moved[sku, "returned"],
        "written_off": moved[sku, "written_off"],
    }
    for field, total in expected.items():
        if stock.get(field, 0) != total:
            yield sku, f"{field} is {stock.get(field, 0)}, its documents add up to {total}"


def _holds(orders: Orders, holds: Mapping[tuple[str, str], tuple[str, int]]) -> Found:
    wanted = {
        (order.id, sku): ("committed", pieces)
        for order in orders.values()
        if order.status == "completed"
        for sku, pieces in order.pieces.items()
    }
    for key in sorted(wanted.keys() | holds.keys()):
        order_id, sku = key
        found = holds.get(key, ("none", 0))
        order = orders.get(order_id)
        if order is None:
            yield sku, f"there is a hold of {order_id}, which is no order"
        elif order.status == "completed" and found != wanted.get(key):
            yield sku, f"the hold of {order_id} is {found}, {wanted.get(key)} is due to a completed order"
        elif order.status == "cancelled" and found[0] != "released":
            yield sku, f"the hold of {order_id}, which is cancelled, is {found[0]}"


def _money(evidence: Evidence, orders: Orders) -> Found:
    """As the sandbox gateway knows it: what moved. Payments must know what was given back for returns."""
    charges: Counter[str] = Counter()
    paid: Counter[str] = Counter()
    for charge in evidence.items("sandbox", "charge"):
        if charge["status"] in {"charged", "refunded"}:
            charges[charge["order_id"]] += 1
        if charge["status"] == "charged":
            given_back = sum(refund["amount"] for refund in charge.get("refunds", ()))
            paid[charge["order_id"]] += charge["amount"] - given_back
    returned = Counter[str]()
    for stream, events in evidence.streams("payments").items():
        returned[stream] = sum(
            event["data"]["amount"] for event in events if event["type"] == "payments.part_refunded"
        )
    for id, number in sorted(charges.items()):
        if number > 1:
            yield id, f"was charged {number} times"
        if id not in orders:
            yield id, "was charged and is no order"
    for order in orders.values():
        due = order.total - returned[order.id] if order.status == "completed" else 0
        if order.status in {"completed", "cancelled"} and paid[order.id] != due:
            yield order.id, f"is {order.status} and paid {paid[order.id]}, {due} is due"


def _shipments(evidence: Evidence, orders: Orders) -> Found:
    """As the sandbox carrier knows it."""
    yield from booking_violations(evidence)
    live = live_bookings(evidence)
    returns = {
        facts.id for id, events in evidence.streams("orders").items() for facts in return_facts(id, events)
    }
    for id in sorted(live.keys() - orders.keys() - returns):
        yield id, "has a live shipment and is no order, nor a return"
    for order in orders.values():
        due = 1 if order.status == "completed" else 0
        if order.status in {"completed", "cancelled"} and live[order.id] != due:
            yield order.id, f"is {order.status} and has {live[order.id]} live shipments"


def _read_models(evidence: Evidence, orders: Orders) -> Found:
    snapshots = {item["stream"]: item for item in evidence.items("orders", "snapshot")}
    active = {item["id"]: item["active"] for item in evidence.items("read-models")}
    listed = {item["id"]: item for item in evidence.items(active.get("orders", "order-list"))}
    for id in sorted(listed.keys() - orders.keys()):
        yield id, "is in the order list and is no order"
    for order in orders.values():
        snapshot = snapshots.get(order.id, {"state": {}})
        yield from _differences(order.id, "the snapshot", {**snapshot["state"], **snapshot}, order)
        yield from _differences(order.id, "the order list", listed.get(order.id, {}), order)
    stocks = {item["sku"]: item for item in evidence.items("inventory", "stock")}
    levels = {item["sku"]: item for item in evidence.items(active.get("stock", "stock-levels"))}
    for sku in sorted(stocks.keys() | levels.keys()):
        stock, level = stocks.get(sku, {}), levels.get(sku, {})
        for field in ("available", "held", "shipped", "returned", "written_off"):
            if stock.get(field) != level.get(field):
                yield sku, f"{field} is {stock.get(field)}, the stock levels say {level.get(field)}"


def _differences(id: str, model: str, found: Item, order: OrderFacts) -> Found:
    for field in ("status", "version", "customer_id", "currency", "total", "updated_at"):
        expected = getattr(order, field)
        if found.get(field) != expected:
            yield id, f"{field} is {expected!r}, {model} says {found.get(field)!r}"


REPLIES: Mapping[str, tuple[str, ...]] = {
    "inventory.reserve": ("inventory.reserved", "inventory.rejected"),
    "inventory.release": ("inventory.released",),
    "inventory.restock": ("inventory.restocked", "inventory.restock_refused"),
    "payments.charge": ("payments.charged", "payments.declined"),
    "payments.refund": ("payments.refunded",),
    "payments.refund_part": ("payments.part_refunded", "payments.part_refund_refused"),
    "shipping.create": ("shipping.created", "shipping.refused"),
    "shipping.cancel": ("shipping.cancelled",),
    "shipping.create_return": ("shipping.return_created", "shipping.return_refused"),
    "shipping.cancel_return": ("shipping.return_cancelled",),
}
"""The outcomes that each command can have."""

_STEPS: Mapping[str, tuple[str, str]] = {
    "inventory": ("inventory.reserve", "inventory.release"),
    "payment": ("payments.charge", "payments.refund"),
    "shipping": ("shipping.create", "shipping.cancel"),
}


def _outcomes(evidence: Evidence, orders: Orders) -> Found:
    recorded: dict[str, list[str | None]] = {}
    for item in (*evidence.items("payments", "inbox"), *evidence.items("shipments", "inbox")):
        command = item["id"].removeprefix("inbox:")
        recorded.setdefault(command, []).append(item["reply"]["type"])
    for item in evidence.items("reservations"):
        for command, noted in item["commands"].items():
            recorded.setdefault(command, []).append(noted["reply"]["type"] if noted["reply"] else None)
    for command, outcomes in recorded.items():
        order_id, type_, *_ = command.split(
            ":", 2
        )  # the third, if any, is the part of the order that is meant
        if order_id not in orders or outcomes[0] not in (None, *REPLIES.get(type_, ())):
            yield command, f"has the outcome {outcomes[0]} and was never sent by an order"
        if len(outcomes) > 1 or outcomes[0] is None:
            yield command, f"has the outcomes {outcomes}"
    for order in orders.values():
        for type_, outcome in _expected_outcomes(order):
            found = recorded.get(f"{order.id}:{type_}", [None])
            if found != [outcome]:
                yield f"{order.id}:{type_}", f"has the outcomes {found}, its order says {outcome}"


def _expected_outcomes(order: OrderFacts) -> Iterator[tuple[str, str]]:
    """By command type, what the order's own history says was answered."""
    succeeded = {"inventory": order.reserved, "payment": order.charged, "shipping": order.shipped}
    for step, (do, undo) in _STEPS.items():
        if succeeded[step]:
            yield do, REPLIES[do][0]
        elif order.reason.startswith(f"{step}_failed:"):
            yield do, REPLIES[do][1]
        if step in order.undone:
            yield undo, REPLIES[undo][0]


def _returns(evidence: Evidence, orders: Orders) -> Found:
    """What came back and was given back is what the order says of each return."""
    moved = pieces_by_return(evidence.items("inventory", "return"))
    given_back = refunds_by_return(evidence.streams("payments"))
    live = live_bookings(evidence)
    alerts = open_alerts(evidence.items("notifications", "alert"), "return")
    known: set[str] = set()
    for order_id, events in evidence.streams("orders").items():
        for facts in return_facts(order_id, events):
            known.add(facts.id)
            for text in violations(
                facts,
                moved=moved.get(facts.id, {}),
                given_back=given_back[facts.id],
                live_labels=live[facts.id],
                alerted=facts.id in alerts,
                faults_ended=evidence.faults_ended,
            ):
                yield facts.id, text
    for id in sorted((moved.keys() | given_back.keys()) - known):
        yield id, "is no return of an order, and goods or money were given back for it"


def _messages(evidence: Evidence, _: Orders) -> Found:
    for path, account in sorted(evidence.messages.items()):
        if account.missing:
            yield path, f"{account.missing} messages are missing: {account}"


def _notifications(evidence: Evidence, _: Orders) -> Found:
    items, outbox = [*evidence.items("notifications")], evidence.items("outbox")
    yield from wrongly_told(items, outbox, faults_ended=evidence.faults_ended)
    notices = frozenset(item["id"] for item in items if item.get("type") == "notice")
    if notices and evidence.faults_ended:  # without any nobody is told by this app
        yield from untold(evidence.streams("orders"), notices, evidence.items("notification-preferences"))


def _audit(evidence: Evidence, _: Orders) -> Found:
    """As the chains are in the read container, against the streams that they are copied from."""
    chains: dict[tuple[str, str], list[Item]] = {}
    for page in sorted(evidence.items("audit", "page"), key=lambda page: page["first"]):
        chains.setdefault((page["chain"], page["stream"]), []).extend(page["entries"])
    for entry in sorted(evidence.items("audit", "entry"), key=lambda entry: entry["version"]):
        chains.setdefault(("record", entry["stream"]), []).append(entry)
    for (chain, stream), entries in sorted(chains.items()):
        found = first_break([dict(entry) for entry in entries])
        if found is not None:
            yield stream, f"entry {found.number} of its audit trail ({chain}) {found.reason}"
    for (chain, stream), entries in sorted(_audited(evidence).items()):
        copied = {entry["version"]: entry.get("hash") for entry in chains.get((chain, stream), ())}
        for entry in entries:
            if copied.get(entry["version"], "none") != entry.get("hash"):
                yield stream, f"entry {entry['version']} of {chain} is not in the audit container"


def _audited(evidence: Evidence) -> dict[tuple[str, str], list[Item]]:
    """By chain and stream."""
    found: dict[tuple[str, str], list[Item]] = {}
    for chain in ("orders", "payments", "shipments"):
        found |= {(chain, stream): events for stream, events in evidence.streams(chain).items()}
    for item in evidence.items("reservations"):
        found["reservations", item["order_id"]] = item.get("history", [])
    return found


INVARIANTS: tuple[Callable[[Evidence, Orders], Found], ...] = (
    _orders_end,
    _stock,
    _money,
    _shipments,
    _read_models,
    _outcomes,
    _messages,
    _returns,
    _audit,
    _notifications,
)
