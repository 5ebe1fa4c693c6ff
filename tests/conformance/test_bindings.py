"""The worker indexes every function, and the extensions accept every binding."""

from dataclasses import replace
from typing import Any

import pytest

from tests.conformance.binding_rules import RULES, problems
from tests.conformance.indexed import Indexed, indexed

FEEDS = {
    "project_orders": 1000,
    "publish_order_events": 300,
    "project_stock": 1000,
    "audit_orders": 5000,
    "audit_payments": 5000,
    "audit_shipments": 5000,
    "audit_reservations": 5000,
}
"""Milliseconds."""


def test_the_worker_indexes_every_function(functions: list[Indexed]) -> None:
    triggers = {each.trigger["type"] for each in functions}
    assert triggers == set(RULES) - {"http", "durableClient"}
    names = [each.name for each in functions]
    assert len(names) == len(set(names)) > 30


def test_the_same_functions_are_found_on_the_embedded_adapters(functions: list[Indexed]) -> None:
    assert indexed({"ORDERFLOW_ADAPTERS": "embedded"}) == functions


def test_every_binding_is_one_that_the_extensions_accept(functions: list[Indexed]) -> None:
    assert [problem for function in functions for problem in problems(function)] == []


def test_every_change_feed_is_retried_without_end(functions: list[Indexed]) -> None:
    """Without a policy the extension moves the checkpoint past a batch that failed, and the batch is lost:
    https://github.com/Azure/azure-webjobs-sdk-extensions/issues/716"""
    feeds = [each for each in functions if each.trigger["type"] == "cosmosDBTrigger"]
    assert {each.name: each.max_retry_count for each in feeds} == dict.fromkeys(FEEDS, -1)


def test_every_change_feed_says_how_often_it_is_polled(functions: list[Indexed]) -> None:
    """Else it is once in five seconds, and customers would be told of nothing sooner."""
    feeds = {each.name: each.trigger for each in functions if each.trigger["type"] == "cosmosDBTrigger"}
    assert {name: trigger["feedPollDelay"] for name, trigger in feeds.items()} == FEEDS
    assert len({trigger["leaseContainerPrefix"] for trigger in feeds.values()}) == len(FEEDS)


def test_every_rule_names_its_source() -> None:
    assert [type_ for type_, rule in RULES.items() if not rule.source.startswith("https://")] == []


MESSAGE = "azure.functions._servicebus.ServiceBusMessage"


def bus_function(annotation: str = MESSAGE, **changes: object) -> Indexed:
    binding = {"type": "serviceBusTrigger", "direction": "IN", "name": "m", "connection": "C"}
    binding["queueName"] = "q"
    changed = {name: value for name, value in (binding | changes).items() if value is not None}
    return Indexed("f", [changed], {"m": annotation}, is_async=True, max_retry_count=None)


def feed_function(**changes: object) -> Indexed:
    binding: dict[str, Any] = {
        "type": "cosmosDBTrigger",
        "direction": "IN",
        "name": "d",
        "connection": "C",
        "databaseName": "d",
        "containerName": "c",
    }
    annotations = {"d": "azure.functions._cosmosdb.DocumentList"}
    return Indexed("f", [binding | changes], annotations, is_async=True, max_retry_count=-1)


CLIENT = {"type": "durableClient", "direction": "IN", "name": "c"}


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (bus_function(direction="OUT"), "direction: must be in"),
        (bus_function(connection=None), "connection: is required"),
        (bus_function(connection="%C%"), "never %NAME%"),
        (bus_function(queueName=None), "either queueName, or topicName and subscriptionName"),
        (bus_function(topicName="t", subscriptionName="s"), "either queueName, or topicName"),
        (bus_function(queueName=None, topicName="t"), "either queueName, or topicName"),
        (bus_function(queueNam="q"), "queueNam: no such property"),
        (bus_function(cardinality="several"), "cardinality: 'several' is not allowed"),
        (bus_function(cardinality="MANY"), f"cardinality many with the annotation {MESSAGE}"),
        (bus_function(f"typing.List[{MESSAGE}]"), "cardinality one with the annotation typing.List"),
        (bus_function(isSessionsEnabled="yes"), "isSessionsEnabled: 'yes' is not allowed"),
        (bus_function(type="serviceBusQueueTrigger"), "no such binding"),
        (replace(bus_function(), max_retry_count=-1), "a retry policy does nothing here"),
        (replace(bus_function(), name="1f"), "not a function name"),
        (feed_function(createLeaseContainerIfNotExists=True), "does not work with an identity"),
        (feed_function(startFromBeginning=True, startFromTime="2026-01-01T00:00:00Z"), "exclude each other"),
        (feed_function(maxItemsPerInvocation="5"), "maxItemsPerInvocation: '5' is not allowed"),
        (
            Indexed("f", [CLIENT], {"c": "builtins.str"}, is_async=False, max_retry_count=None),
            "must be async",
        ),
        (Indexed("f", [CLIENT], {"c": "builtins.str"}, is_async=True, max_retry_count=None), "0 triggers"),
        (
            Indexed("f", [*bus_function().bindings] * 2, {"m": MESSAGE}, is_async=True, max_retry_count=None),
            "two bindings of one name",
        ),
    ],
)
def test_what_the_extensions_refuse_is_a_problem(function: Indexed, says: str) -> None:
    found = list(problems(function))
    assert any(says in problem for problem in found), found


@pytest.mark.parametrize("schedule", ["* * * * *", "", "every minute"])
def test_a_schedule_has_six_fields(schedule: str) -> None:
    binding = {"type": "timerTrigger", "direction": "IN", "name": "t", "schedule": schedule}
    timer = Indexed(
        "f", [binding], {"t": "azure.functions._timer.TimerRequest"}, is_async=True, max_retry_count=None
    )
    assert any("schedule" in problem for problem in problems(timer))
