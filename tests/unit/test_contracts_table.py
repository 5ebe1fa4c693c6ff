"""docs/contracts.md says what the code does."""

import json
import re
from pathlib import Path
from typing import Any

import services.inventory.events
import services.inventory.messages
import services.payments.messages
import services.payments.reconciliation
import services.shipping.events
import services.shipping.messages  # noqa: F401  (registers the types)
from core.contracts import contract_name, contracts
from core.settings import Settings
from orchestrators.return_saga import CANCEL_LABEL, LABEL, REFUND, RESTOCK
from orchestrators.steps import ORDER_SAGA, Call, Step
from services.orders.events import PUBLISHED
from services.orders.policy import policy_of, wait_s
from services.orders.saga import QUEUES
from triggers.service_bus.orders import REPLIES

ROOT = Path(__file__).parents[2]
POLICY = policy_of(Settings())


def tables() -> list[list[list[str]]]:
    """The rows of each table, cells without back-ticks."""
    found: list[list[list[str]]] = []
    inside = False
    for line in (ROOT / "docs" / "contracts.md").read_text().splitlines():
        if not line.startswith("|"):
            inside = False
            continue
        if not inside:
            found.append([])
            inside = True
        found[-1].append([cell.strip().replace("`", "") for cell in line.strip("|").split("|")])
    return [rows[2:] for rows in found]


def row(step: Step, call: Call) -> list[str]:
    attempts = POLICY.step_attempts if call is step.do else POLICY.undo_attempts
    waits = ", ".join(f"{wait_s(POLICY, attempt):.0f}" for attempt in range(1, attempts + 1))
    undo = step.undo.command_type if call is step.do else "-"
    queue = QUEUES[call.command_type.partition(".")[0]]
    pending = "-" if call.pending is None else contract_name(call.pending)
    return [call.command_type, queue, call.success, call.refusal or "-", pending, undo, waits, str(attempts)]


def test_the_commands_are_those_of_the_saga() -> None:
    commands, *_ = tables()
    wanted = [row(step, step.do) for step in ORDER_SAGA] + [row(step, step.undo) for step in ORDER_SAGA]
    assert commands == wanted


def test_every_registered_message_is_in_a_table() -> None:
    commands, of_parts, *_ = tables()
    named = {cell for line in commands for cell in line[:1] + line[2:5]}
    named |= {name for command, _, replies in of_parts for name in (command, *replies.split(", "))}
    named -= {"-"}
    services = ("inventory.", "payments.", "shipping.")
    messages = {
        name
        for (name, _), cls in contracts().items()
        if name.startswith(services) and cls.__module__.endswith(".messages")
    }
    assert named == messages


def test_the_events_are_those_of_an_order() -> None:
    _, _, events, _ = tables()
    registered = {name for name, _ in contracts() if name.startswith("orders.")}
    assert {name for name, _ in events} == registered
    assert {name for name, published in events if published == "yes"} == PUBLISHED


def test_the_events_between_services_go_where_the_topology_says() -> None:
    *_, between = tables()
    [topic] = [each for each in _namespace()["Topics"] if each["Name"] == "service-events"]
    subscribed = sorted(
        (rule["Properties"]["CorrelationFilter"]["Label"], subscription["Name"])
        for subscription in topic["Subscriptions"]
        for rule in subscription["Rules"]
    )
    wanted = [(event, name) for event, _, names in between for name in names.split(", ") if name != "-"]
    assert sorted(wanted) == subscribed
    assert {event for event, _, _ in between} <= {name for name, _ in contracts()}


def test_the_replies_that_are_taken_are_those_that_a_saga_may_wait_for() -> None:
    calls = [call for step in ORDER_SAGA for call in (step.do, step.undo)]
    calls += [LABEL, CANCEL_LABEL, RESTOCK, REFUND]
    replies = [reply for call in calls for reply in (call.succeeded, call.refused, call.pending)]
    awaited = {contract_name(reply) for reply in replies if reply}
    assert awaited == REPLIES


def test_the_settings_that_the_text_names_are_there() -> None:
    text = (ROOT / "docs" / "contracts.md").read_text()
    source = (ROOT / "core" / "settings.py").read_text()
    names = re.findall(r"ORDERFLOW_\w+", text)
    assert names
    assert all(name in source for name in names)
    assert f"waiting {POLICY.attention_interval_s:.0f} s" in text


def test_each_queue_of_a_command_is_in_the_topology() -> None:
    _, of_parts, *_ = tables()
    assert all(queue == QUEUES[command.partition(".")[0]] for command, queue, _ in of_parts)
    assert set(QUEUES.values()) <= {queue["Name"] for queue in _namespace()["Queues"]}


def _namespace() -> dict[str, Any]:
    topology = json.loads((ROOT / "topology" / "servicebus.json").read_text())
    namespace: dict[str, Any] = topology["UserConfig"]["Namespaces"][0]
    return namespace
