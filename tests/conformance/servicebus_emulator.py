"""What the official Service Bus emulator accepts as its Config.json, which topology/servicebus.json is.

Shape and ranges: Config-schema.json of https://github.com/Azure/azure-service-bus-emulator-installer. Numbers
of entities: https://learn.microsoft.com/azure/service-bus-messaging/overview-emulator#usage-quotas. A file
that breaks a rule ends the emulator with "Out of memory" (issue 131 of that repository).

One range of the schema is outdated: a description in it wants subscriptions to lock for a minute at least.
Since 1.1.2 the emulator takes 5 s, as for queues:
https://learn.microsoft.com/azure/service-bus-messaging/service-bus-emulator-whats-new
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from emulator.servicebus.topology import seconds

NAMESPACE = "sbemulatorns"
MAX_ENTITIES = 50
MAX_SUBSCRIPTIONS = 50
MAX_CORRELATION_FILTERS = 1000
MAX_DELIVERIES = 10
MAX_CONNECTIONS = 10

_NAME = re.compile(r"[A-Za-z0-9]|[A-Za-z0-9][\w\-./]*[A-Za-z0-9]")
_DURATION = re.compile(r"P(?!$)(?:\d+Y)?(?:\d+M)?(?:\d+D)?(?:T(?:\d+H)?(?:\d+M)?(?:\d+S)?)?")
_RANGES = {
    "DefaultMessageTimeToLive": (300, 3600),
    "DuplicateDetectionHistoryTimeWindow": (5, 300),
    "LockDuration": (5, 300),
}
_FLAGS = {"DeadLetteringOnMessageExpiration", "RequiresDuplicateDetection", "RequiresSession"}
_FORWARDS = {"ForwardTo", "ForwardDeadLetteredMessagesTo"}
_TOPIC = {"DefaultMessageTimeToLive", "DuplicateDetectionHistoryTimeWindow", "RequiresDuplicateDetection"}
_SUBSCRIPTION = {
    "DeadLetteringOnMessageExpiration",
    "DefaultMessageTimeToLive",
    "LockDuration",
    "MaxDeliveryCount",
    "RequiresSession",
    *_FORWARDS,
}
_FILTER = {
    "ContentType",
    "CorrelationId",
    "Label",
    "MessageId",
    "ReplyTo",
    "ReplyToSessionId",
    "SessionId",
    "To",
    "Properties",
}


def refusals(config: Mapping[str, Any]) -> Iterator[str]:
    """Why the emulator would not start with this file, by entity."""
    user = config.get("UserConfig", {})
    if user.get("Logging", {}).get("Type") not in {"File", "Console", "File,Console", "Console,File"}:
        yield "Logging.Type: must be File, Console or both"
    namespaces = user.get("Namespaces", [])
    if [each.get("Name") for each in namespaces] != [NAMESPACE]:
        yield f"Namespaces: must be one, {NAMESPACE}"
        return
    [namespace] = namespaces
    for key in {"Queues", "Topics"} - namespace.keys():
        yield f"{key}: is required"
    queues, topics = namespace.get("Queues", []), namespace.get("Topics", [])
    if len(queues) + len(topics) > MAX_ENTITIES:
        yield f"{len(queues) + len(topics)} queues and topics: must be at most {MAX_ENTITIES}"
    for queue in queues:
        yield from _of_entity("queue", queue, _TOPIC | _SUBSCRIPTION)
    for topic in topics:
        yield from _of_topic(topic)


def _of_topic(topic: Mapping[str, Any]) -> Iterator[str]:
    yield from _of_entity("topic", topic, _TOPIC)
    where, subscriptions = f"topic {topic.get('Name')}", topic.get("Subscriptions", [])
    if not 1 <= len(subscriptions) <= MAX_SUBSCRIPTIONS:
        yield f"{where}: {len(subscriptions)} subscriptions: must be 1 to {MAX_SUBSCRIPTIONS}"
    rules = [rule for subscription in subscriptions for rule in subscription.get("Rules", [])]
    if len(rules) > MAX_CORRELATION_FILTERS:
        yield f"{where}: {len(rules)} correlation filters: must be at most {MAX_CORRELATION_FILTERS}"
    for subscription in subscriptions:
        yield from _of_entity("subscription", subscription, _SUBSCRIPTION)
    for rule in rules:
        yield from _of_rule(rule)


def _of_entity(kind: str, entity: Mapping[str, Any], known: set[str]) -> Iterator[str]:
    name, where = entity.get("Name"), f"{kind} {entity.get('Name')}"
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        yield f"{where}: not a name"
    for key, value in entity.get("Properties", {}).items():
        if key not in known:
            yield f"{where}: {key}: no such property"
        elif key in _FLAGS and not isinstance(value, bool):
            yield f"{where}: {key}: must be true or false"
        elif key in _FORWARDS and not (isinstance(value, str) and (not value or _NAME.fullmatch(value))):
            yield f"{where}: {key}: must be the name of an entity"
        elif key == "MaxDeliveryCount" and not (type(value) is int and 1 <= value <= MAX_DELIVERIES):
            yield f"{where}: MaxDeliveryCount: must be 1 to {MAX_DELIVERIES}, not {value!r}"
        elif key in _RANGES and not _is_within(value, *_RANGES[key]):
            least, most = _RANGES[key]
            yield f"{where}: {key}: must be a duration of {least} to {most} seconds, not {value!r}"


def _is_within(value: object, least: float, most: float) -> bool:
    return isinstance(value, str) and bool(_DURATION.fullmatch(value)) and least <= seconds(value, "") <= most


def _of_rule(rule: Mapping[str, Any]) -> Iterator[str]:
    where, properties = f"rule {rule.get('Name')}", rule.get("Properties", {})
    if not isinstance(rule.get("Name"), str) or not _NAME.fullmatch(rule["Name"]):
        yield f"{where}: not a name"
    if properties.get("FilterType") != "Correlation":
        # SQL filters exist; they have a quota of their own, and the embedded emulator does not serve them.
        yield f"{where}: FilterType: must be Correlation"
    filter_ = properties.get("CorrelationFilter", {})
    if not filter_:
        yield f"{where}: CorrelationFilter: needs at least one condition"
    for key in filter_.keys() - _FILTER:
        yield f"{where}: CorrelationFilter: {key}: no such property"
