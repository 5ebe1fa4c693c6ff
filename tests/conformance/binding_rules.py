"""What the Functions host and its extensions accept as a binding.

Names, values and what is required: the reference pages of the bindings, section "Configuration", as of the
extension bundle 4.x. Annotations: what azure-functions-runtime 1.3 converts to. The host compares values
without case.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.conformance.indexed import Indexed

MANY = "many"


@dataclass(frozen=True)
class Rule:
    """Of one type of binding.

    properties: the type, or the words, that each may have; besides `type`, `direction` and `name`.
    required: those that must be there.
    annotations: of the parameter, by cardinality.
    source: the page.
    """

    direction: str
    properties: Mapping[str, type | tuple[str, ...]]
    required: frozenset[str] = frozenset()
    annotations: Mapping[str, str] = field(default_factory=dict)
    needs_async: bool = False
    retry: bool = False
    """Whether a retry policy has an effect: functions-bindings-error-pages."""
    source: str = ""


LEARN = "https://learn.microsoft.com/azure/azure-functions/"
METHODS = ("get", "post", "put", "delete", "patch", "head", "options", "trace")

RULES: Mapping[str, Rule] = {
    "httpTrigger": Rule(
        direction="in",
        properties={"route": str, "methods": METHODS, "authLevel": ("anonymous", "function", "admin")},
        annotations={"one": "azure.functions._http.HttpRequest"},
        source=LEARN + "functions-bindings-http-webhook-trigger",
    ),
    "http": Rule(direction="out", properties={}, source=LEARN + "functions-bindings-http-webhook-output"),
    "serviceBusTrigger": Rule(
        direction="in",
        properties={
            "connection": str,
            "queueName": str,
            "topicName": str,
            "subscriptionName": str,
            "accessRights": ("manage", "listen"),
            "isSessionsEnabled": bool,
            "cardinality": ("one", MANY),
            "autoCompleteMessages": bool,
            "dataType": ("undefined", "string", "binary", "stream"),
        },
        required=frozenset({"connection"}),
        annotations={
            "one": "azure.functions._servicebus.ServiceBusMessage",
            MANY: "typing.List[azure.functions._servicebus.ServiceBusMessage]",
        },
        source=LEARN + "functions-bindings-service-bus-trigger",
    ),
    "cosmosDBTrigger": Rule(
        direction="in",
        properties={
            "connection": str,
            "databaseName": str,
            "containerName": str,
            "leaseConnection": str,
            "leaseDatabaseName": str,
            "leaseContainerName": str,
            "createLeaseContainerIfNotExists": bool,
            "leasesContainerThroughput": int,
            "leaseContainerPrefix": str,
            "feedPollDelay": int,
            "leaseAcquireInterval": int,
            "leaseExpirationInterval": int,
            "leaseRenewInterval": int,
            "maxItemsPerInvocation": int,
            "startFromBeginning": bool,
            "startFromTime": str,
            "preferredLocations": str,
            "dataType": ("undefined", "string", "binary", "stream"),
        },
        required=frozenset({"connection", "databaseName", "containerName"}),
        annotations={"one": "azure.functions._cosmosdb.DocumentList"},
        retry=True,
        source=LEARN + "functions-bindings-cosmosdb-v2-trigger",
    ),
    "timerTrigger": Rule(
        direction="in",
        properties={"schedule": str, "runOnStartup": bool, "useMonitor": bool},
        required=frozenset({"schedule"}),
        annotations={"one": "azure.functions._timer.TimerRequest"},
        retry=True,
        source=LEARN + "functions-bindings-timer",
    ),
    "orchestrationTrigger": Rule(
        direction="in",
        properties={"orchestration": str},
        source=LEARN + "durable/durable-functions-bindings#orchestration-trigger",
    ),
    "activityTrigger": Rule(
        direction="in",
        properties={"activity": str},
        source=LEARN + "durable/durable-functions-bindings#activity-trigger",
    ),
    "durableClient": Rule(
        direction="in",
        properties={"taskHub": str, "connectionName": str},
        # The worker gives the parameter a string, and the SDK makes a client of it in a coroutine.
        annotations={"one": "builtins.str"},
        needs_async=True,
        source=LEARN + "durable/durable-functions-bindings#orchestration-client",
    ),
}

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,126}")
_NCRONTAB = re.compile(r"(\S+ ){5}\S+|%\w+%|\d+(\.\d+)?:\d\d:\d\d")


def problems(function: Indexed) -> Iterator[str]:
    """What the host or an extension would refuse, or quietly do otherwise than the function says."""
    if not _NAME.fullmatch(function.name):
        yield f"{function.name}: not a function name"
    triggers = [each for each in function.bindings if str(each["type"]).lower().endswith("trigger")]
    if len(triggers) != 1:
        yield f"{function.name}: {len(triggers)} triggers"
    names = [each["name"] for each in function.bindings]
    if len(names) != len(set(names)):
        yield f"{function.name}: two bindings of one name"
    for binding in function.bindings:
        for problem in _of_binding(function, binding):
            yield f"{function.name}: {binding['type']} {binding['name']}: {problem}"


def _of_binding(function: Indexed, binding: Mapping[str, Any]) -> Iterator[str]:
    rule = RULES.get(binding["type"])
    if rule is None:
        yield "no such binding in the extension bundle"
        return
    if str(binding["direction"]).lower() != rule.direction:
        yield f"direction: must be {rule.direction}, not {binding['direction']}"
    given = {name: value for name, value in binding.items() if name not in {"type", "direction", "name"}}
    for name in sorted(rule.required - given.keys()):
        yield f"{name}: is required"
    for name, value in given.items():
        if name not in rule.properties:
            yield f"{name}: no such property"
        elif not _fits(value, rule.properties[name]):
            yield f"{name}: {value!r} is not allowed"
    cardinality = str(given.get("cardinality", "one")).lower()
    annotation = function.annotations.get(binding["name"])
    if rule.annotations and annotation != rule.annotations.get(cardinality):
        yield f"cardinality {cardinality} with the annotation {annotation}"
    if rule.needs_async and not function.is_async:
        yield "must be async def"
    if binding["type"].endswith("Trigger") and function.max_retry_count is not None and not rule.retry:
        yield "a retry policy does nothing here"
    yield from _between_properties(binding["type"], given)


def _fits(value: object, allowed: type | tuple[str, ...]) -> bool:
    if isinstance(allowed, tuple):
        words = value if isinstance(value, list) else [value]
        return all(str(word).lower() in allowed for word in words)
    if allowed is int and isinstance(value, bool):
        return False
    return isinstance(value, allowed) and value != ""


def _between_properties(type_: str, given: Mapping[str, Any]) -> Iterator[str]:
    if type_ == "serviceBusTrigger":
        subscribed = {"topicName", "subscriptionName"} & given.keys()
        if ("queueName" in given) == bool(subscribed) or len(subscribed) == 1:
            yield "either queueName, or topicName and subscriptionName"
    if type_ == "cosmosDBTrigger":
        if {"startFromBeginning", "startFromTime"} <= given.keys():
            yield "startFromBeginning and startFromTime exclude each other"
        if given.get("createLeaseContainerIfNotExists"):
            # An identity may not create containers: in Azure "the function will not start".
            yield "createLeaseContainerIfNotExists: does not work with an identity"
    if type_ == "timerTrigger" and not _NCRONTAB.fullmatch(str(given.get("schedule"))):
        yield "schedule: must be an NCRONTAB expression of six fields, or a time span"
    connection = given.get("connection")
    if isinstance(connection, str) and "%" in connection:
        yield "connection: the name of a setting, never %NAME%"
