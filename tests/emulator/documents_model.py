"""The documents engine as a dictionary: what it should do, in the simplest words."""

from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from emulator.documents.model import Condition, Operation, Patch, Remove, Write

type Key = tuple[str, str]
"""Partition and id."""


class Refused(Exception):
    def __init__(self, status: int) -> None:
        self.status = status


@dataclass
class ModelItem:
    fields: dict[str, Any]
    etag: object
    ts: int

    def lives(self, now: float) -> bool:
        ttl = self.fields.get("ttl", -1)
        return ttl == -1 or self.ts + ttl > now


@dataclass
class Model:
    """One container with `default_ttl` -1."""

    now: float = 1_800_000_000.0
    items: dict[Key, ModelItem] = field(default_factory=dict)
    stale_etag: str = '"0"'

    def live(self) -> dict[Key, ModelItem]:
        return {key: item for key, item in self.items.items() if item.lives(self.now)}

    def etag(self, key: Key, which: str) -> str | None:
        """As a request would name it: none, the current one, or one that is not current."""
        current = self.live().get(key)
        return {"none": None, "stale": self.stale_etag}.get(which, current and current.etag)  # type: ignore[return-value]

    def perform(self, partition: str, operations: list[Operation]) -> list[Key | None]:
        """All or none; the keys of what was written. Refused's second argument is the operation's index."""
        items = dict(self.items)
        keys = []
        for index, operation in enumerate(operations):
            try:
                keys.append(self._perform(items, partition, operation))
            except Refused as refused:
                refused.args = (refused.status, index)
                raise
        self.items = items
        return keys

    def _perform(self, items: dict[Key, ModelItem], partition: str, operation: Operation) -> Key | None:
        id = str(operation.item["id"]) if isinstance(operation, Write) else operation.id
        key = partition, id
        found = items.get(key)
        if found is not None and not found.lives(self.now):
            found = None
        if isinstance(operation, Write) and operation.kind != "replace":
            if operation.kind == "create" and found is not None:
                raise Refused(409)
            fields = dict(operation.item)
        else:
            if found is None:
                raise Refused(404)
            if operation.etag is not None and operation.etag != found.etag:
                raise Refused(412)
            if isinstance(operation, Remove):
                del items[key]
                return None
            fields = (
                dict(operation.item) if isinstance(operation, Write) else _patched(found.fields, operation)
            )
        # The ETag of what this batch has written is not known before it is done.
        items[key] = ModelItem(fields, object(), int(self.now))
        return key


def _patched(fields: dict[str, Any], patch: Patch) -> dict[str, Any]:
    if not all(holds(fields, condition) for condition in patch.conditions):
        raise Refused(412)
    fields = deepcopy(fields)
    for step in patch.steps:
        *parents, name = step.path.split(".")
        target: Any = fields
        for parent in parents:
            target = target.get(parent) if isinstance(target, dict) else None
        if not isinstance(target, dict):
            raise Refused(400)
        if step.kind == "set":
            target[name] = step.value
        elif step.kind == "remove":
            if name not in target:
                raise Refused(400)
            del target[name]
        elif type(target.get(name, 0)) not in (int, float):
            raise Refused(400)
        else:
            target[name] = target.get(name, 0) + step.value
    ttl = fields.get("ttl", -1)
    if type(ttl) is not int or (ttl < 1 and ttl != -1):
        raise Refused(400)
    return fields


def value_at(fields: Any, path: str) -> tuple[Any, ...]:
    """Empty when missing."""
    for name in path.split("."):
        if not isinstance(fields, dict) or name not in fields:
            return ()
        fields = fields[name]
    return (fields,)


def holds(fields: dict[str, Any], condition: Condition) -> bool:
    found = value_at(fields, condition.field)
    if not found or _kind(found[0]) != _kind(condition.value):
        return False
    a, b = found[0], condition.value
    if condition.comparison in ("=", "!="):
        return (a == b) == (condition.comparison == "=")
    return bool({"<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}[condition.comparison])  # type: ignore[operator]


def rank(fields: dict[str, Any], path: str) -> tuple[int, Any]:
    """Sorts as Cosmos DB does across types: missing, null, false, true, numbers, strings, arrays, objects."""
    found = value_at(fields, path)
    if not found:
        return 0, 0
    value = found[0]
    order = ["NoneType", "bool", "number", "str", "list", "dict"]
    return 1 + order.index(_kind(value)), value if isinstance(value, bool | int | float | str) else 0


def _kind(value: Any) -> str:
    name = type(value).__name__
    return "number" if name in ("int", "float") else name
