"""The rules that a request must keep before anything is looked up or written."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Literal, NamedTuple

import orjson

from emulator.documents.model import (
    MAX_ID_BYTES,
    MAX_ITEM_BYTES,
    MAX_PARTITION_KEY_BYTES,
    SYSTEM_FIELDS,
    Container,
    Json,
    RequestFailed,
    Write,
)

_ID = re.compile(r"[^/\\#?]+")
_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(?:\.[A-Za-z_][A-Za-z0-9_-]*)*")

# Strict integers: JSON numbers are doubles in Cosmos DB, beyond 53 bits they would lose digits there.
_STRICT = orjson.OPT_STRICT_INTEGER | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME


class Prepared(NamedTuple):
    """A write whose item is checked and serialised. `ttl` is None when the item never expires."""

    kind: Literal["create", "upsert", "replace"]
    etag: str | None
    id: str
    body: str
    ttl: int | None


def prepare(container: Container, partition: str, write: Write) -> Prepared:
    """Raises RequestFailed 400, 413."""
    item = write.item
    identity = check_id(item.get("id"))
    if item.get(container.partition_key) != partition:
        raise RequestFailed(
            400,
            f"the item's `{container.partition_key}` must be the partition key of the request, {partition!r}",
        )
    if not SYSTEM_FIELDS.isdisjoint(item):
        item = {name: value for name, value in item.items() if name not in SYSTEM_FIELDS}
    return Prepared(write.kind, write.etag, identity, item_text(item), time_to_live(container, item))


def item_text(item: Mapping[str, Json]) -> str:
    """Raises RequestFailed 400, 413."""
    body = serialise(item)
    if len(body) > MAX_ITEM_BYTES:
        raise RequestFailed(413, f"the item has {len(body)} bytes, {MAX_ITEM_BYTES} are allowed")
    return body.decode()


def serialise(value: object) -> bytes:
    try:
        return orjson.dumps(value, option=_STRICT)
    except TypeError as error:
        raise RequestFailed(400, f"not a JSON value: {error}") from error


def time_to_live(container: Container, item: Mapping[str, Json]) -> int | None:
    """Seconds that the item lives from its write on. Raises RequestFailed 400."""
    ttl = item.get("ttl", container.default_ttl)
    if container.default_ttl is None or ttl == -1:
        return None
    if not isinstance(ttl, int) or isinstance(ttl, bool) or not 0 < ttl < 2**31:
        raise RequestFailed(400, "`ttl` must be a number of seconds above 0 and below 2^31, or -1 for ever")
    return ttl


def check_id(identity: object) -> str:
    if not isinstance(identity, str) or _ID.fullmatch(identity) is None:
        raise RequestFailed(400, "`id` must be a non-empty string without / \\ # ?")
    _check_size("`id`", identity, MAX_ID_BYTES)
    return identity


def check_partition(partition: object) -> str:
    if not isinstance(partition, str):
        raise RequestFailed(400, "the partition key must be a string")
    _check_size("the partition key", partition, MAX_PARTITION_KEY_BYTES)
    return partition


@lru_cache(maxsize=1024)
def check_field(field: str) -> str:
    """The same few names are asked for again and again: an app's code has them, not its data."""
    if _FIELD.fullmatch(field) is None:
        raise RequestFailed(400, f"{field!r} is not a dotted field path")
    return field


def _check_size(what: str, text: str, limit: int) -> None:
    try:
        size = len(text) if text.isascii() else len(text.encode())
    except UnicodeEncodeError as error:
        raise RequestFailed(400, f"{what} is not valid Unicode: {error}") from error
    if size > limit:
        raise RequestFailed(400, f"{what} has {size} bytes, {limit} are allowed")
