"""Reads `topology/servicebus.json`, which has the layout of the official Service Bus emulator's Config.json.

What the engine does not serve is refused by name, so that no entity is quietly something else than it says.
Defaults are those of Service Bus.
"""

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emulator.servicebus.filters import SYSTEM_PROPERTIES, TRUE_FILTER, CorrelationFilter

MAX_LOCK_S = 300
"""A Service Bus limit."""

_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")
_SECONDS = (86400, 3600, 60, 1)

_TOPIC_KEYS = {
    "DefaultMessageTimeToLive",
    "DuplicateDetectionHistoryTimeWindow",
    "RequiresDuplicateDetection",
}
_SUBSCRIPTION_KEYS = {
    "DeadLetteringOnMessageExpiration",
    "DefaultMessageTimeToLive",
    "ForwardDeadLetteredMessagesTo",
    "ForwardTo",
    "LockDuration",
    "MaxDeliveryCount",
    "RequiresSession",
}
_QUEUE_KEYS = _TOPIC_KEYS | _SUBSCRIPTION_KEYS


class TopologyError(ValueError):
    """The file is not valid, or asks for what is not served; the message names entity and property."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """How messages of a queue or subscription are held. Durations are seconds; no time to live is None."""

    lock_s: float
    max_delivery_count: int
    time_to_live_s: float | None
    dead_letter_expired: bool


@dataclass(frozen=True, slots=True)
class Queue:
    """`duplicate_window_s` is None when duplicate detection is off."""

    name: str
    settlement: Settlement
    duplicate_window_s: float | None


@dataclass(frozen=True, slots=True)
class Subscription:
    name: str
    settlement: Settlement
    rules: tuple[CorrelationFilter, ...]


@dataclass(frozen=True, slots=True)
class Topic:
    name: str
    time_to_live_s: float | None
    duplicate_window_s: float | None
    subscriptions: tuple[Subscription, ...]


@dataclass(frozen=True, slots=True)
class Topology:
    queues: tuple[Queue, ...] = ()
    topics: tuple[Topic, ...] = ()


def read_topology(path: Path) -> Topology:
    """Raises TopologyError."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TopologyError(f"{path}: {error}") from error
    return parse_topology(config, str(path))


def parse_topology(config: object, where: str) -> Topology:
    """`config` is the parsed JSON; `where` begins each error."""
    namespaces = _objects(_object(config, "UserConfig", where), "Namespaces", where)
    if len(namespaces) != 1:
        raise TopologyError(f"{where}: Namespaces: exactly one is served, found {len(namespaces)}")
    namespace = namespaces[0]
    queues = tuple(_queue(queue, where) for queue in _objects(namespace, "Queues", where))
    topics = tuple(_topic(topic, where) for topic in _objects(namespace, "Topics", where))
    _refuse_repeats([queue.name for queue in queues] + [topic.name for topic in topics], where)
    return Topology(queues, topics)


def seconds(text: object, where: str) -> float:
    """An ISO 8601 duration of days, hours, minutes and seconds, such as PT1M30S."""
    match = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if match is None or not any(match.groups()):
        raise TopologyError(f"{where}: must be an ISO 8601 duration such as PT30S, found {text!r}")
    return sum(float(part) * unit for part, unit in zip(match.groups(), _SECONDS, strict=True) if part)


def _queue(raw: dict[str, Any], where: str) -> Queue:
    name, properties, where = _entity(raw, "queue", _QUEUE_KEYS, where)
    return Queue(name, _settlement(properties, where), _duplicate_window(properties, where))


def _topic(raw: dict[str, Any], where: str) -> Topic:
    name, properties, where = _entity(raw, "topic", _TOPIC_KEYS, where)
    subscriptions = tuple(_subscription(item, where) for item in _objects(raw, "Subscriptions", where))
    _refuse_repeats([subscription.name for subscription in subscriptions], where)
    return Topic(name, _time_to_live(properties, where), _duplicate_window(properties, where), subscriptions)


def _subscription(raw: dict[str, Any], where: str) -> Subscription:
    name, properties, where = _entity(raw, "subscription", _SUBSCRIPTION_KEYS, where)
    rules = tuple(_rule(rule, where) for rule in _objects(raw, "Rules", where))
    return Subscription(name, _settlement(properties, where), rules or (TRUE_FILTER,))


def _rule(raw: dict[str, Any], where: str) -> CorrelationFilter:
    _, properties, where = _entity(
        raw, "rule", {"FilterType", "CorrelationFilter", "SqlFilter", "Action"}, where
    )
    if "SqlFilter" in properties or properties.get("FilterType") == "Sql":
        raise TopologyError(f"{where}: SQL filters are not served, only correlation filters")
    if properties.get("Action"):
        raise TopologyError(f"{where}: rule actions are not served")
    if properties.get("FilterType") != "Correlation":
        raise TopologyError(
            f"{where}: FilterType: must be Correlation, found {properties.get('FilterType')!r}"
        )
    conditions = dict(_object(properties, "CorrelationFilter", where))
    custom = conditions.pop("Properties", {})
    if not isinstance(custom, dict):
        raise TopologyError(f"{where}: CorrelationFilter.Properties: must be an object")
    _refuse_unknown(conditions, SYSTEM_PROPERTIES, f"{where}: CorrelationFilter")
    if not conditions and not custom:
        raise TopologyError(f"{where}: CorrelationFilter: needs at least one condition")
    for key, value in conditions.items():
        if not isinstance(value, str):
            raise TopologyError(f"{where}: CorrelationFilter.{key}: must be a string, found {value!r}")
    return CorrelationFilter(
        tuple((SYSTEM_PROPERTIES[key], value) for key, value in conditions.items()), tuple(custom.items())
    )


def _settlement(properties: dict[str, Any], where: str) -> Settlement:
    if _flag(properties, "RequiresSession", where):
        raise TopologyError(f"{where}: RequiresSession: sessions are not served")
    for key in ("ForwardTo", "ForwardDeadLetteredMessagesTo"):
        if properties.get(key):
            raise TopologyError(f"{where}: {key}: forwarding is not served")
    lock_s = seconds(properties.get("LockDuration", "PT1M"), f"{where}: LockDuration")
    if not 0 < lock_s <= MAX_LOCK_S:
        raise TopologyError(f"{where}: LockDuration: must be above zero and at most PT5M")
    max_delivery_count = properties.get("MaxDeliveryCount", 10)
    if type(max_delivery_count) is not int or not 1 <= max_delivery_count <= 2000:
        raise TopologyError(f"{where}: MaxDeliveryCount: must be 1 to 2000, found {max_delivery_count!r}")
    return Settlement(
        lock_s=lock_s,
        max_delivery_count=max_delivery_count,
        time_to_live_s=_time_to_live(properties, where),
        dead_letter_expired=_flag(properties, "DeadLetteringOnMessageExpiration", where),
    )


def _time_to_live(properties: dict[str, Any], where: str) -> float | None:
    key = "DefaultMessageTimeToLive"
    if key not in properties:
        return None
    time_to_live = seconds(properties[key], f"{where}: {key}")
    if time_to_live <= 0:
        raise TopologyError(f"{where}: {key}: must be above zero")
    return time_to_live


def _duplicate_window(properties: dict[str, Any], where: str) -> float | None:
    key = "DuplicateDetectionHistoryTimeWindow"
    window = seconds(properties.get(key, "PT10M"), f"{where}: {key}")
    return window if _flag(properties, "RequiresDuplicateDetection", where) else None


def _flag(properties: dict[str, Any], key: str, where: str) -> bool:
    value = properties.get(key, False)
    if not isinstance(value, bool):
        raise TopologyError(f"{where}: {key}: must be true or false, found {value!r}")
    return value


def _entity(
    raw: dict[str, Any], kind: str, known: Collection[str], where: str
) -> tuple[str, dict[str, Any], str]:
    name = raw.get("Name")
    if not isinstance(name, str) or not name:
        raise TopologyError(f"{where}: a {kind} has no Name")
    where = f"{where}: {kind} {name}"
    properties = raw.get("Properties", {})
    if not isinstance(properties, dict):
        raise TopologyError(f"{where}: Properties: must be an object")
    _refuse_unknown(properties, known, where)
    return name, properties, where


def _refuse_unknown(properties: dict[str, Any], known: Collection[str], where: str) -> None:
    for key in properties:
        if key not in known:
            raise TopologyError(f"{where}: {key}: no such property, known are {', '.join(sorted(known))}")


def _refuse_repeats(names: list[str], where: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name.lower() in seen:
            raise TopologyError(f"{where}: {name} is there twice (names ignore case)")
        seen.add(name.lower())


def _object(raw: object, key: str, where: str) -> dict[str, Any]:
    value = raw.get(key) if isinstance(raw, dict) else None
    if not isinstance(value, dict):
        raise TopologyError(f"{where}: {key}: must be an object")
    return value


def _objects(raw: dict[str, Any], key: str, where: str) -> list[dict[str, Any]]:
    value = raw.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise TopologyError(f"{where}: {key}: must be a list of objects")
    return value
