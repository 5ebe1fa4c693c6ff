"""Each invariant holds on evidence of a sound run, and reports when one document or count is false."""

from collections.abc import Callable
from typing import Any

import pytest

from emulator.servicebus.accounting import Account
from tests.evidence_support import (
    CREATED,
    Documents,
    audit_pages,
    came_back,
    cancelled_order,
    charge,
    completed_order,
    event,
    hold,
    inbox,
    listed,
    parcel,
    reservation,
    shipment,
    snapshot,
    sound,
)
from tools.evidence import Evidence, order_facts
from tools.invariants import INVARIANTS, Violation, check


def evidence(documents: Documents, **fields: Any) -> Evidence:
    """With the audit trail of these documents, unless they have one."""
    documents = {"audit": audit_pages(documents), **documents}
    messages = {"payments": Account(accepted=3, completed=2, held=1)}
    return Evidence(
        {container: tuple(items) for container, items in documents.items()},
        **{"messages": messages, "accepted": frozenset({"good", "bad"}), **fields},
    )


def violations(documents: Documents, **fields: Any) -> list[Violation]:
    return check(evidence(documents, **fields))


def item(documents: Documents, container: str, id: str, key: str | None = None) -> dict[str, Any]:
    [found] = [
        item
        for item in documents[container]
        if item["id"] == id and key in (None, item.get("sku"), item.get("stream"), item.get("order_id"))
    ]
    return found


def test_a_sound_run_violates_nothing() -> None:
    assert violations(sound()) == []


def test_a_stray_that_the_app_is_yet_to_cancel_violates_nothing() -> None:
    documents = sound()
    documents["sandbox"].append(shipment("good", "late"))
    documents["shipments"].append(parcel("good", 1, "carrier_failed", carrier="late", look_at="later"))
    assert [each for each in violations(documents) if each.invariant == 4] == []


def test_an_empty_store_violates_nothing() -> None:
    assert check(Evidence({}, {})) == []


def cancel_before_version_3(documents: Documents) -> None:
    """The rest of the history of `good` moves up by one."""
    for each in documents["orders"]:
        if each["stream"] == "good" and each["version"] >= 3:
            each["version"] += 1
    documents["orders"].append(event("good", 3, "cancel_requested"))


type Falsify = Callable[[Documents], object]


def chained_elsewhere(documents: Documents) -> None:
    documents["audit"] = audit_pages(documents)
    for event_item in documents["orders"]:
        event_item["hash"] = "0" * 64


FALSIFIED: dict[str, tuple[int, str, Falsify]] = {
    "an order that rests halfway": (1, "good", lambda d: d["orders"].remove(item(d, "orders", "6", "good"))),
    "a missing version": (1, "good", lambda d: d["orders"].remove(item(d, "orders", "3", "good"))),
    "an impossible history": (
        1,
        "good",
        lambda d: item(d, "orders", "2", "good").update(type="orders.completed"),
    ),
    "shipping requested after the customer cancelled": (
        1,
        "good",
        cancel_before_version_3,
    ),
    "an undo that is not recorded": (
        1,
        "bad",
        lambda d: item(d, "orders", "6", "bad").update(type="orders.late_reply"),
    ),
    "undos out of order": (
        1,
        "bad",
        lambda d: item(d, "orders", "5", "bad")["data"].update(undo=["inventory", "payment"]),
    ),
    "a charge that nobody undid": (
        1,
        "bad",
        lambda d: item(d, "orders", "5", "bad")["data"].update(undo=["inventory"]),
    ),
    "a total that is not the sum of the lines": (
        1,
        "good",
        lambda d: item(d, "orders", "1", "good").update(data={**CREATED, "total": 5}),
    ),
    "an alert that stays open": (
        1,
        "good",
        lambda d: d["notifications"].append(
            {"id": "a", "kind": "alert", "order_id": "good", "status": "open"}
        ),
    ),
    "figures that do not balance": (2, "A", lambda d: item(d, "inventory", "stock", "A").update(available=7)),
    "a figure below zero": (
        2,
        "A",
        lambda d: item(d, "inventory", "stock", "A").update(received=-1, adjusted=10),
    ),
    "shipped without a hold": (2, "A", lambda d: item(d, "inventory", "hold:good", "A").update(quantity=2)),
    "a receipt that is not recorded": (
        2,
        "B",
        lambda d: d["inventory"].remove(item(d, "inventory", "movement:1", "B")),
    ),
    "an adjustment without a reason": (
        2,
        "A",
        lambda d: item(d, "inventory", "movement:2", "A").update(reason=None),
    ),
    "a completed order whose hold was not committed": (
        2,
        "B",
        lambda d: item(d, "inventory", "hold:good", "B").update(state="held"),
    ),
    "a cancelled order that still holds": (
        2,
        "B",
        lambda d: item(d, "inventory", "hold:bad", "B").update(state="held"),
    ),
    "a hold of no order": (2, "A", lambda d: d["inventory"].append(hold("ghost", "A", 1, "released"))),
    "a return that is not in the figures": (
        2,
        "B",
        lambda d: item(d, "inventory", "stock", "B").update(available=7, returned=1),
    ),
    "goods that came back and were neither restocked nor written off": (
        2,
        "B",
        lambda d: item(d, "inventory", "stock", "B").update(available=7),
    ),
    "a write-off that no return asked for": (
        2,
        "B",
        lambda d: item(d, "inventory", "stock", "B").update(available=7, written_off=2),
    ),
    "more returned than was shipped": (
        2,
        "B",
        lambda d: item(d, "inventory", "hold:good", "B").update(quantity=1),
    ),
    "a return of an order that was not shipped": (
        2,
        "B",
        lambda d: item(d, "inventory", "return:good-r1").update(order_id="bad"),
    ),
    "a second charge": (3, "good", lambda d: d["sandbox"].append(charge("charge:again", "good", "refunded"))),
    "a refund that did not happen": (
        3,
        "bad",
        lambda d: item(d, "sandbox", "charge:bad").update(status="charged"),
    ),
    "a part that was given back and payments knows nothing of": (
        3,
        "good",
        lambda d: item(d, "sandbox", "charge:good").update(refunds=[{"part": "r1", "amount": 50}]),
    ),
    "a charge of another amount": (3, "good", lambda d: item(d, "sandbox", "charge:good").update(amount=1)),
    "a completed order that was never charged": (
        3,
        "good",
        lambda d: d["sandbox"].remove(item(d, "sandbox", "charge:good")),
    ),
    "a charge of no order": (
        3,
        "ghost",
        lambda d: d["sandbox"].append(charge("charge:ghost", "ghost", "charged")),
    ),
    "a completed order without a shipment": (
        4,
        "good",
        lambda d: item(d, "sandbox", "shipment:good").update(status="cancelled"),
    ),
    "a shipment of a cancelled order": (
        4,
        "bad",
        lambda d: d["sandbox"].append(shipment("bad")),
    ),
    "a shipment of no order": (
        4,
        "ghost",
        lambda d: d["sandbox"].append(shipment("ghost")),
    ),
    "a second booking of a return": (4, "good-r1", lambda d: d["sandbox"].append(shipment("good-r1"))),
    "a booking at a carrier that has none": (
        4,
        "good",
        lambda d: d["shipments"].append(parcel("good", 1, "created", carrier="post")),
    ),
    "a stray of which nothing was left to do": (
        4,
        "good",
        lambda d: (
            d["sandbox"].append(shipment("good", "late")),
            d["shipments"].append(parcel("good", 1, "stray_booking_cancelled", carrier="late")),
        ),
    ),
    "an event that is not as it was written": (
        9,
        "good",
        lambda d: item(d, "orders", "3", "good").update(hash="0" * 64),
    ),
    "an event that is not in the audit trail": (
        9,
        "bad",
        lambda d: d.update(audit=[page for page in audit_pages(d) if page["stream"] != "bad"]),
    ),
    "an event that the audit trail has with another hash": (9, "good", chained_elsewhere),
    "what became of a hold, not in the audit trail": (
        9,
        "good",
        lambda d: (d.update(audit=audit_pages(d)), d["reservations"][0].update(history=[{"version": 1}])),
    ),
    "an order that is not listed": (5, "bad", lambda d: d["order-list"].pop()),
    "a listed order that does not exist": (
        5,
        "ghost",
        lambda d: d["order-list"].append(listed("ghost", "created", 1)),
    ),
    "a stale list": (5, "good", lambda d: item(d, "order-list", "good").update(status="created")),
    "a stale snapshot": (5, "good", lambda d: item(d, "orders", "snapshot", "good").update(version=5)),
    "stock levels that know of no return": (
        5,
        "B",
        lambda d: item(d, "stock-levels", "B").pop("written_off"),
    ),
    "stale stock levels": (5, "A", lambda d: item(d, "stock-levels", "A").update(available=9)),
    "a SKU without a level": (5, "B", lambda d: d["stock-levels"].pop()),
    "a command without an outcome": (6, "good:payments.charge", lambda d: d["payments"].pop(0)),
    "a command with two outcomes": (
        6,
        "good:payments.charge",
        lambda d: d["payments"].append(inbox("good", "payments.charge", "payments.charged")),
    ),
    "an outcome that the order contradicts": (
        6,
        "good:payments.charge",
        lambda d: item(d, "payments", "inbox:good:payments.charge").update(
            reply={"type": "payments.declined"}
        ),
    ),
    "a reservation that never came to rest": (
        6,
        "bad:inventory.release",
        lambda d: d["reservations"][1].update(
            commands=reservation("bad", "releasing", reserve="reserved", release=None)["commands"]
        ),
    ),
    "a return that was not answered": (
        6,
        "good:inventory.restock:good-r1",
        lambda d: d["reservations"][0]["commands"].update(
            {"good:inventory.restock:good-r1": {"reply": None}}
        ),
    ),
    "goods that came back and the order does not know of": (
        8,
        "good-r9",
        lambda d: d["inventory"].append(came_back("good-r9", "good", "B", 0, 0)),
    ),
    "other goods than the inspection found": (
        8,
        "good-r1",
        lambda d: item(d, "inventory", "return:good-r1").update(restocked=2, written_off=0),
    ),
    "money for a return that gives none back": (
        8,
        "good-r1",
        lambda d: d["payments"].append(
            {
                **event("good", 1, "", return_id="good-r1", amount=50),
                "type": "payments.part_refunded",
            }
        ),
    ),
    "a return that rests half way": (
        8,
        "good-r1",
        lambda d: d["orders"].remove(item(d, "orders", "13", "good")),
    ),
    "a return that goes back": (
        8,
        "good-r1",
        lambda d: item(d, "orders", "12", "good").update(type="orders.return_approved"),
    ),
    "a return without its label": (
        8,
        "good-r1",
        lambda d: d["sandbox"].remove(item(d, "sandbox", "shipment:good-r1")),
    ),
    "an outcome of a command that no order sent": (
        6,
        "ghost:payments.charge",
        lambda d: d["payments"].append(inbox("ghost", "payments.charge", "payments.charged")),
    ),
}


@pytest.mark.parametrize("name", FALSIFIED)
def test_falsified_evidence_is_reported(name: str) -> None:
    invariant, subject, falsify = FALSIFIED[name]
    documents = sound()
    falsify(documents)
    assert (invariant, subject) in {(found.invariant, found.subject) for found in violations(documents)}


def test_an_accepted_order_without_events_is_reported() -> None:
    [found] = violations(sound(), accepted=frozenset({"good", "bad", "lost"}))
    assert str(found) == "invariant 1: lost: was accepted and has no events"


def needing_attention(alert: str) -> Documents:
    documents = sound()
    for container in documents:
        documents[container] = [
            item for item in documents[container] if "bad" not in (item.get("stream"), item["id"])
        ]
    documents["orders"] += [
        *cancelled_order("bad")[:5],
        event("bad", 6, "needs_attention", step="payment", attempts=5),
        snapshot("bad", "needs_attention", 6),
    ]
    documents["order-list"].append(listed("bad", "needs_attention", 6))
    documents["notifications"].append({"id": "a", "kind": "alert", "order_id": "bad", "status": alert})
    documents["shipments"].append(inbox("bad", "shipping.create", "shipping.refused"))
    documents["payments"].append(inbox("bad", "payments.charge", "payments.charged"))
    return documents


def test_while_faults_last_an_order_may_need_attention_with_an_open_alert() -> None:
    assert violations(needing_attention("open"), faults_ended=False) == []


def test_an_order_that_needs_attention_without_an_open_alert_is_reported() -> None:
    [found] = violations(needing_attention("closed"), faults_ended=False)
    assert (found.invariant, found.subject) == (1, "bad")


def test_once_faults_have_ended_no_order_may_need_attention() -> None:
    assert [(found.invariant, found.subject) for found in violations(needing_attention("open"))] == [
        (1, "bad")
    ]


@pytest.mark.parametrize("completed", [1, 3])
def test_a_lost_or_made_up_message_is_reported(completed: int) -> None:
    [found] = violations(sound(), messages={"payments": Account(accepted=3, completed=completed, held=1)})
    assert (found.invariant, found.subject) == (7, "payments")


def test_every_invariant_has_evidence_against_it() -> None:
    found = {invariant for invariant, _, _ in FALSIFIED.values()} | {7, 10}  # in test_notification_facts.py
    assert found == set(range(1, len(INVARIANTS) + 1))


def test_a_late_reply_changes_nothing_of_an_order() -> None:
    events = [*completed_order("good"), event("good", 7, "late_reply")]
    facts = order_facts("good", events)
    assert (facts.status, facts.version, facts.problems) == ("completed", 7, ())


def test_an_order_is_not_shipped_after_its_customer_cancelled() -> None:
    documents = sound()
    cancel_before_version_3(documents)
    [found] = [found for found in violations(documents) if found.invariant == 1]
    assert str(found) == (
        "invariant 1: good: orders.shipping_requested (version 5) after orders.cancel_requested"
    )
