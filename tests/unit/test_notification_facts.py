"""The invariants of what was told find what is wrong, and only that."""

from typing import Any

import pytest

from core.contracts import contract_name
from services.notifications.alerts import close, open_for
from services.notifications.channels import SendRefused, SendUnavailable
from services.notifications.kinds import KINDS as APP_KINDS
from services.notifications.telling import tell
from tests.fakes import START, FakeBus, FakeClock, FakeDocuments
from tests.notification_support import NOTICE, FakeChannel, drain, notifier, with_profile
from tools import return_facts
from tools.evidence import Evidence
from tools.invariants import check
from tools.notification_facts import KINDS, open_alerts, untold, violations
from tools.return_facts import ReturnFacts
from triggers.service_bus.notifications import KIND_OF

EVENT = NOTICE.event_id
EMAIL, SMS, PUSH = (f"{EVENT}:{channel}" for channel in ("email", "sms", "push"))

type Items = dict[str, dict[str, Any]]


def refused(message: Any) -> None:
    raise SendRefused("550")


def unavailable(message: Any) -> None:
    raise SendUnavailable("503")


@pytest.fixture
async def told() -> Items:
    """E-mail and push failed, one at once and one at last, so an SMS was sent."""
    clock = FakeClock()
    documents, bus = FakeDocuments(clock), FakeBus(clock)
    email, push = FakeChannel(), FakeChannel()
    email.outcome, push.outcome = unavailable, refused
    to = notifier(documents, bus, clock, {"email": email, "sms": FakeChannel(), "push": push})
    await with_profile(documents)
    await tell(to, NOTICE)
    await drain(to, bus, clock)
    return {item["id"]: item for item in documents.items("notifications")}


def found(items: Items, *outbox: str, faults_ended: bool = True) -> list[tuple[str, str]]:
    messages = [{"notification_id": id} for id in outbox]
    return list(violations(items.values(), messages, faults_ended=faults_ended))


def test_what_was_told_as_it_should_be_violates_nothing(told: Items) -> None:
    assert [len(told[id]["attempts"]) for id in (EMAIL, SMS, PUSH)] == [6, 1, 1]
    assert found(told, SMS, EMAIL) == []


async def test_an_attempt_that_was_given_up_for_no_outcome_violates_nothing(told: Items) -> None:
    told[EMAIL]["attempts"][2]["reason"] = "no_outcome"
    assert found(told) == []


def test_what_was_not_noted_is_found(told: Items) -> None:
    del told[EVENT]
    assert found(told) == [(EVENT, "was told, and it is not noted on which channels")]


def test_a_channel_too_many_or_too_few_is_found(told: Items) -> None:
    told[EVENT]["channels"] = ["email"]
    assert found(told) == [(EVENT, "was told on ['email', 'push'], ['email'] is noted")]
    told[EVENT]["channels"] = ["email", "push"]
    del told[PUSH]
    assert (EVENT, "was told on ['email'], ['email', 'push'] is noted") in found(told)


def test_one_told_twice_on_a_channel_is_found(told: Items) -> None:
    told["other"] = {**told[SMS], "id": "other"}
    assert found(told) == [(EVENT, "was told twice on one of ['email', 'push', 'sms']")]


def test_a_stand_in_for_one_that_did_not_fail_is_found(told: Items) -> None:
    other = told[SMS]["stands_in_for"]
    last = told[f"{EVENT}:{other}"]
    last["status"] = last["attempts"][-1]["status"] = "sent"
    last["attempts"][-1]["provider"] = "fake"
    assert found(told) == [(EVENT, "was told on sms in the stead of one that did not fail")]


def test_an_attempt_after_one_that_did_not_fail_is_found(told: Items) -> None:
    told[EMAIL]["attempts"][1]["status"] = "sent"
    [(id, text)] = found(told)
    assert (id, text[:50]) == (EMAIL, "was sent again after an attempt that did not fail:")


def test_attempts_that_are_not_counted_are_found(told: Items) -> None:
    del told[EMAIL]["attempts"][1]
    assert found(told) == [(EMAIL, "has attempts that are not counted: [1, 3, 4, 5, 6]")]


def test_a_send_of_nobody_is_found(told: Items) -> None:
    told[SMS]["attempts"][-1]["provider"] = ""
    assert found(told) == [(SMS, "is sent, by no provider")]


def test_an_attempt_that_never_ends_is_found_when_nothing_is_broken_any_more(told: Items) -> None:
    told[SMS]["attempts"][-1]["status"] = "sending"
    assert found(told, faults_ended=False) == []
    assert found(told) == [(SMS, "rests as sending")]


def test_a_message_of_no_notification_is_found(told: Items) -> None:
    assert found(told, "ord-2:orders:1:email") == [
        ("ord-2:orders:1:email", "is no notification, and was sent")
    ]


def test_they_are_among_the_invariants(told: Items) -> None:
    del told[EVENT]
    found = check(Evidence({"notifications": tuple(told.values())}, {}))
    assert [str(violation) for violation in found] == [
        f"invariant 10: {EVENT}: was told, and it is not noted on which channels"
    ]


ADA = {"customer_id": "ada", "email": ["ada@example.com"], "switches": {}, "_sequence": 5}
SHIPPED = "good:orders:5"


def order_of_ada(**shipped: Any) -> dict[str, list[dict[str, Any]]]:
    created = {"type": "orders.created", "data": {"customer_id": "ada"}, "version": 1}
    later = {"type": "orders.shipping_created", "data": {}, "version": 5, "_sequence": 6}
    return {"good": [created, later | shipped]}


@pytest.mark.parametrize(
    ("streams", "notices", "preferences", "wrong"),
    [
        (order_of_ada(), {SHIPPED}, [ADA], []),
        (order_of_ada(), set(), [ADA], [(SHIPPED, "orders.shipping_created was told to nobody")]),
        (order_of_ada(), set(), [], []),
        (order_of_ada(), set(), [ADA | {"email": []}], []),
        (order_of_ada(), set(), [ADA | {"_sequence": 7}], []),
        (order_of_ada(), set(), [ADA | {"switches": {"email": {"order_shipped": "off"}}}], []),
        (order_of_ada(type="orders.completed"), set(), [ADA], []),
        (order_of_ada(type="orders.payment_refunded", data={"amount": 0}), set(), [ADA], []),
    ],
)
def test_an_event_that_was_told_to_nobody_who_wanted_it_is_found(
    streams: Any, notices: set[str], preferences: list[Any], wrong: list[tuple[str, str]]
) -> None:
    assert list(untold(streams, frozenset(notices), preferences)) == wrong


@pytest.mark.parametrize(
    ("status", "attention", "alerted", "wrong"),
    [
        ("received", True, True, []),
        ("received", True, False, ["needs attention and there is no open alert"]),
        ("received", False, True, []),
        ("settled", False, True, ["is settled and has an open alert"]),
        ("settled", False, False, []),
    ],
)
def test_a_return_has_an_open_alert_while_it_needs_attention_and_none_when_it_has_ended(
    status: str, attention: bool, alerted: bool, wrong: list[str]
) -> None:
    facts = ReturnFacts("ord-1-r1", "ord-1", status, attention=attention)
    found = return_facts.violations(
        facts, moved={}, given_back=0, live_labels=0, alerted=alerted, faults_ended=True
    )
    assert list(found) == wrong


async def test_alerts_are_of_orders_or_of_returns() -> None:
    documents = FakeDocuments()
    await open_for(documents, order_id="ord-1", about="order", details={}, version=7, now=START)
    for number in (1, 2):
        await open_for(
            documents,
            order_id="ord-2",
            about="return",
            key=f"ord-2-r{number}",
            details={},
            version=9,
            now=START,
        )
    await close(documents, order_id="ord-2", about="return", key="ord-2-r1", version=10, now=START)
    items = documents.items("notifications")
    assert open_alerts(items, "order") == {"ord-1"}
    assert open_alerts(items, "return") == {"ord-2-r2"}


def test_the_events_of_which_customers_are_told_are_those_of_the_app() -> None:
    told = {
        contract_name(cls): kind for cls, kind in KIND_OF.items() if APP_KINDS[kind].audience == "customer"
    }
    rare = {"orders.created": "order_confirmed", "orders.payment_pending": "order_payment_pending"}
    assert {**KINDS, **rare} == told
