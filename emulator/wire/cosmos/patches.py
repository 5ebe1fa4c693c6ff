"""The body of a patch: `{"condition": "FROM c WHERE ...", "operations": [{"op", "path", "value"}]}`."""

import re
from typing import Final, Literal

from emulator.documents.model import Json, Patch, PatchStep
from emulator.wire.cosmos import sql
from emulator.wire.cosmos.exchange import Refusal

_KINDS: Final[dict[Json, Literal["set", "increment", "remove", "replace"]]] = {
    "add": "set",  # into an object, where both are the same; places in lists are not served
    "set": "set",
    "replace": "replace",
    "incr": "increment",
    "remove": "remove",
}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


def read_patch(id: str, body: Json, etag: str | None) -> Patch:
    """The JavaScript SDK sends the operations alone, without a condition. Raises Refusal 400."""
    if isinstance(body, list):
        body = {"operations": body}
    if not isinstance(body, dict) or not isinstance(operations := body.get("operations"), list):
        raise Refusal(400, "A patch is a list of operations, or an object with a list `operations`.")
    condition = body.get("condition")
    if condition is not None and not isinstance(condition, str):
        raise Refusal(400, "The `condition` of a patch must be a string.")
    conditions = sql.parse_predicate(condition) if condition else ()
    return Patch(id, [_step(operation) for operation in operations], conditions, etag)


def _step(operation: Json) -> PatchStep:
    if not isinstance(operation, dict):
        raise Refusal(400, "An operation of a patch must be an object.")
    op = operation.get("op")
    kind = _KINDS.get(op) if isinstance(op, str) else None
    if kind is None:
        raise Refusal(
            400,
            f"The patch operation {op!r} is not served by the emulator, only {', '.join(map(str, _KINDS))}.",
        )
    path = operation.get("path")
    names = path.split("/") if isinstance(path, str) else []
    if len(names) < 2 or names[0] != "" or not all(map(_NAME.fullmatch, names[1:])):
        raise Refusal(
            400, f"The patch path {path!r} is not served: it is `/` and names of fields, no place in a list."
        )
    if kind != "remove" and "value" not in operation:
        raise Refusal(400, f"The patch operation {op!r} on {path!r} has no `value`.")
    return PatchStep(kind, ".".join(names[1:]), operation.get("value"))
