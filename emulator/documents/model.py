"""What a request to the documents engine is made of, and how it fails.

Limits: https://learn.microsoft.com/azure/cosmos-db/concepts-limits
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import orjson

type Json = str | int | float | bool | list[Json] | dict[str, Json] | None
type JsonObject = dict[str, Json]

MAX_BATCH_OPERATIONS = 100
MAX_ITEM_BYTES = 2 * 1024 * 1024
MAX_ID_BYTES = 1023
MAX_PARTITION_KEY_BYTES = 2048
MAX_PATCH_OPERATIONS = 10

SYSTEM_FIELDS = frozenset({"_etag", "_ts", "_rid", "_self", "_attachments"})
"""Set by the engine at each write, or by the endpoint at each answer; a caller's values are dropped."""


class RequestFailed(Exception):
    """A refused or failed request, with its HTTP status. Nothing was written.

    `operation` is the index of the batch operation that failed. `retry_after_s` comes with a 429.
    """

    def __init__(
        self, status: int, message: str, operation: int | None = None, retry_after_s: float = 0.0
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.operation = operation
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Container:
    """`partition_key` is the name of a top-level string field.

    `default_ttl` in seconds: None switches expiry off (an item's own `ttl` is then ignored), -1 leaves it to
    the items. `name` is unique among all databases: see `catalog.py`.
    """

    name: str
    partition_key: str
    default_ttl: int | None = None
    database: str = "default"

    def wake_name(self, feed_range: int) -> str:
        """What a change in that part of the feed wakes."""
        return f"feed:{self.name}:{feed_range}"


type Comparison = Literal["=", "!=", "<", "<=", ">", ">=", "defined"]


class Condition(NamedTuple):
    """`field comparison value`; the field is a dotted path. Not true if it is missing or of another type.

    `defined` compares with True or False: whether the item has the field.
    """

    field: str
    comparison: Comparison
    value: Json


class PatchStep(NamedTuple):
    """`set` adds or overwrites, `increment` adds to a number or creates it, the others want it to exist."""

    kind: Literal["set", "increment", "remove", "replace"]
    path: str
    value: Json = None


class Write(NamedTuple):
    kind: Literal["create", "upsert", "replace"]
    item: Mapping[str, Json]
    etag: str | None = None


class Remove(NamedTuple):
    id: str
    etag: str | None = None


class Patch(NamedTuple):
    id: str
    steps: Sequence[PatchStep]
    conditions: Sequence[Condition] = ()
    etag: str | None = None


type Operation = Write | Remove | Patch


class Change(NamedTuple):
    """An item in the change feed, as it now is. `sequence` grows with each write to any container."""

    sequence: int
    text: str
    """The item's JSON: who reads the feed passes it on."""

    @property
    def item(self) -> JsonObject:
        item: JsonObject = orjson.loads(self.text)
        return item


class Row(NamedTuple):
    """An item as stored: `body` is JSON without the system fields, `ts` epoch seconds."""

    sequence: int
    ts: int
    body: str
    created: bool = False
    """By the write that gave this row: an upsert creates or replaces."""


class Found(NamedTuple):
    """A row and where it is."""

    row: Row
    partition: str
    id: str


@dataclass(frozen=True, slots=True)
class Query:
    """All `where` hold. Without `partition` and `feed_range` it goes across the container's partitions."""

    where: Sequence[Condition] = ()
    partition: str | None = None
    feed_range: int | None = None
    order_by: str | None = None
    descending: bool = False
    limit: int = 100
    offset: int = 0
    """Rows to leave out before the first page."""
    continuation: str | None = None
