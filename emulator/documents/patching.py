"""Partial changes of one item, and the conditions on which they depend."""

import operator
from collections.abc import Callable, Sequence
from typing import Any

from emulator.documents.checks import check_field, serialise
from emulator.documents.model import (
    MAX_PATCH_OPERATIONS,
    SYSTEM_FIELDS,
    Condition,
    Container,
    Json,
    JsonObject,
    PatchStep,
    RequestFailed,
)

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_MISSING = object()


def kind_of(value: Json) -> str:
    """Values are comparable within one kind: null, boolean, number, text."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "text" if isinstance(value, str) else "other"


def check_condition(condition: Condition) -> None:
    """Raises RequestFailed 400."""
    check_field(condition.field)
    if condition.comparison == "defined" and isinstance(condition.value, bool):
        return
    if condition.comparison not in _COMPARE:
        raise RequestFailed(400, f"{condition.comparison!r} is not a comparison")
    serialise(condition.value)
    kind = kind_of(condition.value)
    if kind == "other":
        raise RequestFailed(
            400, f"`{condition.field}`: only null, booleans, numbers and strings are compared"
        )
    if kind in {"null", "boolean"} and condition.comparison not in {"=", "!="}:
        raise RequestFailed(400, f"`{condition.field}`: a {kind} is compared by = and != alone")


def holds(item: JsonObject, condition: Condition) -> bool:
    found: Json | object = item
    for name in condition.field.split("."):
        found = found.get(name, _MISSING) if isinstance(found, dict) else _MISSING
    if condition.comparison == "defined":
        return (found is not _MISSING) is condition.value
    if found is _MISSING or kind_of(found) != kind_of(condition.value):  # type: ignore[arg-type]
        return False
    return _COMPARE[condition.comparison](found, condition.value)


def check_patch(container: Container, steps: Sequence[PatchStep], conditions: Sequence[Condition]) -> None:
    """Raises RequestFailed 400."""
    if not 1 <= len(steps) <= MAX_PATCH_OPERATIONS:
        raise RequestFailed(
            400, f"a patch has 1 to {MAX_PATCH_OPERATIONS} operations, this one has {len(steps)}"
        )
    for step in steps:
        check_field(step.path)
        if step.path in SYSTEM_FIELDS or step.path in {"id", container.partition_key}:
            raise RequestFailed(400, f"`{step.path}` cannot be patched")
        if step.kind == "increment" and (not isinstance(step.value, int) or isinstance(step.value, bool)):
            raise RequestFailed(400, f"`{step.path}` can be incremented by an integer only")
    for condition in conditions:
        check_condition(condition)


def apply(item: JsonObject, steps: Sequence[PatchStep]) -> None:
    """Change `item` in place. Raises RequestFailed 400 for a path that is not there."""
    for step in steps:
        parents, _, name = step.path.rpartition(".")
        target: Json = item
        if parents:
            for parent in parents.split("."):
                target = target.get(parent) if isinstance(target, dict) else None
        if not isinstance(target, dict):
            raise RequestFailed(400, f"`{step.path}`: its parent is not an object of the item")
        if step.kind in {"remove", "replace"} and name not in target:
            raise RequestFailed(400, f"`{step.path}` cannot be {step.kind}d, it does not exist")
        if step.kind in {"set", "replace"}:
            target[name] = step.value
        elif step.kind == "remove":
            del target[name]
        else:
            number = target.get(name, 0)
            if not isinstance(number, int | float) or isinstance(number, bool):
                raise RequestFailed(400, f"`{step.path}` cannot be incremented, it is not a number")
            assert isinstance(step.value, int)  # noqa: S101  (check_patch saw to it)
            target[name] = number + step.value
