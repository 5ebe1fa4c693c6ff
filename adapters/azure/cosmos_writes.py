"""Writes of the documents port as azure-cosmos takes them, checked before anything is sent."""

import re
from collections.abc import Sequence
from typing import Any, Final

from azure.core import MatchConditions

from adapters.azure import cosmos_queries
from core.documents import (
    MAX_PATCH_OPERATIONS,
    BadDocumentRequest,
    Create,
    Delete,
    Increment,
    Patch,
    PatchOperation,
    Replace,
    SetField,
    Upsert,
    WriteOperation,
)
from core.json import Json, JsonObject

_ID = re.compile(r"[^/\\#?\t\r\n]*[^/\\#?\t\r\n ]")
_MAX_ID_BYTES: Final = 1023

type BatchOperation = tuple[str, tuple[Any, ...], dict[str, Any]]
"""As `execute_item_batch` takes it: its kind, what it is done with, its options."""


def check_id(id: object) -> str:
    """The service's rules and one of the SDK's (no space at the end). Raises BadDocumentRequest."""
    if not isinstance(id, str) or _ID.fullmatch(id) is None:
        raise BadDocumentRequest(
            "`id` must be a non-empty string without / \\ # ?, tabs and line breaks, not ending in a space"
        )
    size = len(id) if id.isascii() else len(id.encode(errors="surrogatepass"))
    if size > _MAX_ID_BYTES:
        raise BadDocumentRequest(f"`id` has {size} bytes, {_MAX_ID_BYTES} are allowed")
    return id


def check_item(key_field: str, partition: str, item: JsonObject) -> str:
    """Its id. The SDK takes the partition key from the item: it must be that of the request.

    Raises BadDocumentRequest.
    """
    id = check_id(item.get("id"))
    if item.get(key_field) != partition:
        raise BadDocumentRequest(
            f"the item's `{key_field}` must be the partition key of the request, {partition!r}"
        )
    return id


def match_condition(etag: str | None) -> MatchConditions | None:
    return None if etag is None else MatchConditions.IfNotModified


def patch_steps(operations: Sequence[PatchOperation]) -> list[dict[str, Any]]:
    """Raises BadDocumentRequest."""
    if not 1 <= len(operations) <= MAX_PATCH_OPERATIONS:
        raise BadDocumentRequest(
            f"a patch has 1 to {MAX_PATCH_OPERATIONS} operations, this one has {len(operations)}"
        )
    return [_step(operation) for operation in operations]


def _step(operation: PatchOperation) -> dict[str, Json]:
    path = "/" + cosmos_queries.check_field(operation.path).replace(".", "/")
    match operation:
        case SetField(_, value):
            return {"op": "set", "path": path, "value": value}
        case Increment(_, by):
            return {"op": "incr", "path": path, "value": by}
        case _:
            return {"op": "remove", "path": path}


def batch_operation(key_field: str, partition: str, operation: WriteOperation) -> BatchOperation:
    """Raises BadDocumentRequest."""
    match operation:
        case Create(item):
            check_item(key_field, partition, item)
            return "create", (item,), {}
        case Upsert(item):
            check_item(key_field, partition, item)
            return "upsert", (item,), {}
        case Replace(item, etag):
            return "replace", (check_item(key_field, partition, item), item), _if_match(etag)
        case Delete(id, etag):
            return "delete", (check_id(id),), _if_match(etag)
        case Patch(id, operations, conditions, etag):
            options = _if_match(etag)
            predicate = cosmos_queries.predicate(conditions)
            if predicate is not None:
                options["filter_predicate"] = predicate
            return "patch", (check_id(id), patch_steps(operations)), options


def _if_match(etag: str | None) -> dict[str, Any]:
    return {} if etag is None else {"if_match_etag": etag}
