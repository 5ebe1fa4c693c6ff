"""The documents port: what Cosmos DB can really do, and no more.

Containers, their partition key paths and TTLs are in `topology/cosmos.json`. An item is a JSON object with
a string `id`, unique within its partition. The store adds `_etag` and `_ts` (epoch seconds of the last
write) to what it returns.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from core.json import Json, JsonObject

MAX_BATCH_OPERATIONS = 100
"""Operations in one transactional batch (a Cosmos DB limit)."""

MAX_ITEM_BYTES = 2 * 1024 * 1024
"""Size of one item, and of one batch, as JSON (a Cosmos DB limit)."""

MAX_PATCH_OPERATIONS = 10
"""Operations in one patch (a Cosmos DB limit)."""


class DocumentError(Exception):
    """A refused or failed request. `operation` is the index of the batch operation that failed, else None."""

    status = 500

    def __init__(self, message: str, operation: int | None = None) -> None:
        super().__init__(message)
        self.operation = operation


class BadDocumentRequest(DocumentError):
    """400: no id, more than 100 operations in a batch, a patch path that does not exist ..."""

    status = 400


class DocumentNotFound(DocumentError):
    status = 404


class DocumentConflict(DocumentError):
    """409: an item with this id exists in the partition."""

    status = 409


class PreconditionFailed(DocumentError):
    """412: the ETag or the condition of a patch did not hold."""

    status = 412


class DocumentTooLarge(DocumentError):
    status = 413


class TransientDocumentError(DocumentError):
    """Worth repeating. Nothing was written, except that the outcome of a 408 is unknown."""


class DocumentTimeout(TransientDocumentError):
    status = 408


class TooManyRequests(TransientDocumentError):
    status = 429

    def __init__(self, message: str, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class RetryWith(TransientDocumentError):
    status = 449


class DocumentsUnavailable(TransientDocumentError):
    status = 503


@dataclass(frozen=True, slots=True)
class Create:
    item: JsonObject


@dataclass(frozen=True, slots=True)
class Upsert:
    item: JsonObject


@dataclass(frozen=True, slots=True)
class Replace:
    item: JsonObject
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class Delete:
    id: str
    etag: str | None = None


type Comparison = Literal["=", "!=", "<", "<=", ">", ">="]


@dataclass(frozen=True, slots=True)
class Where:
    """`field comparison value`; field is a dotted path without the leading `c.`, as in `stock.available`.

    As in Cosmos DB, a comparison with a missing field, or between values of different types, is never true.
    """

    field: str
    comparison: Comparison
    value: Json


@dataclass(frozen=True, slots=True)
class SetField:
    """Adds or overwrites. `path` is dotted; its parent must exist."""

    path: str
    value: Json


@dataclass(frozen=True, slots=True)
class Increment:
    """Adds to a number; creates it when missing."""

    path: str
    by: int


@dataclass(frozen=True, slots=True)
class RemoveField:
    """400 when missing."""

    path: str


type PatchOperation = SetField | Increment | RemoveField


@dataclass(frozen=True, slots=True)
class Patch:
    """`conditions` all hold on the stored item, else 412 (a Cosmos DB filter predicate)."""

    id: str
    operations: tuple[PatchOperation, ...]
    conditions: tuple[Where, ...] = ()
    etag: str | None = None


type WriteOperation = Create | Upsert | Replace | Delete | Patch


@dataclass(frozen=True, slots=True)
class Stored:
    """An item as it is now stored, its `_etag` and `_ts` included."""

    item: JsonObject

    @property
    def etag(self) -> str:
        etag = self.item["_etag"]
        assert isinstance(etag, str)  # noqa: S101  (the store's own field)
        return etag


@dataclass(frozen=True, slots=True)
class Query:
    """All `where` hold. Without `partition` the query goes across partitions. `order_by` is a dotted
    field.
    """

    where: tuple[Where, ...] = ()
    partition: str | None = None
    order_by: str | None = None
    descending: bool = False
    limit: int = 100
    continuation: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """`continuation` is None on the last page. A page may be short, even empty, and not the last."""

    items: Sequence[JsonObject]
    continuation: str | None


class Documents(Protocol):
    """Every call is one request. All raise `TransientDocumentError` for infrastructure faults."""

    async def create(self, container: str, partition: str, item: JsonObject) -> Stored:
        """Raises DocumentConflict, DocumentTooLarge."""
        ...

    async def read(self, container: str, partition: str, id: str) -> Stored:
        """Raises DocumentNotFound."""
        ...

    async def upsert(self, container: str, partition: str, item: JsonObject) -> Stored: ...

    async def replace(
        self, container: str, partition: str, item: JsonObject, etag: str | None = None
    ) -> Stored:
        """Raises DocumentNotFound, PreconditionFailed."""
        ...

    async def delete(self, container: str, partition: str, id: str, etag: str | None = None) -> None:
        """Raises DocumentNotFound, PreconditionFailed."""
        ...

    async def patch(
        self,
        container: str,
        partition: str,
        id: str,
        operations: Sequence[PatchOperation],
        conditions: Sequence[Where] = (),
        etag: str | None = None,
    ) -> Stored:
        """Raises DocumentNotFound, PreconditionFailed."""
        ...

    async def batch(
        self, container: str, partition: str, operations: Sequence[WriteOperation]
    ) -> Sequence[Stored | None]:
        """All or nothing within one partition; None stands for a deleted item.

        Raises what the failed operation raises alone, with its index in `operation`.
        """
        ...

    async def query(self, container: str, query: Query) -> Page:
        """Raises BadDocumentRequest for a continuation of another query."""
        ...


async def each_page(
    documents: Documents, container: str, query: Query, most: int | None = None
) -> AsyncIterator[Page]:
    """What a query finds, page by page, one request each; no more than `most` of them.

    A page may be short, even empty, and not the last.
    """
    taken = 0
    while most is None or taken < most:
        page = await documents.query(container, query)
        yield page
        taken += 1
        if page.continuation is None:
            return
        query = replace(query, continuation=page.continuation)
