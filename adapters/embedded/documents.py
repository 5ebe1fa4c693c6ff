"""The documents port on the emulator's documents engine."""

from collections.abc import Callable, Sequence
from typing import overload

from core.documents import (
    BadDocumentRequest,
    Create,
    Delete,
    DocumentConflict,
    DocumentError,
    DocumentNotFound,
    Documents,
    DocumentsUnavailable,
    DocumentTimeout,
    DocumentTooLarge,
    Increment,
    Page,
    Patch,
    PatchOperation,
    PreconditionFailed,
    Query,
    Replace,
    RetryWith,
    SetField,
    Stored,
    TooManyRequests,
    Upsert,
    Where,
    WriteOperation,
)
from core.json import JsonObject
from emulator import engines
from emulator.documents import model
from emulator.documents.engine import DocumentsEngine
from emulator.documents.writes import as_item

_ERRORS: dict[int, type[DocumentError]] = {
    error.status: error
    for error in (
        BadDocumentRequest,
        DocumentNotFound,
        DocumentTimeout,
        DocumentConflict,
        PreconditionFailed,
        DocumentTooLarge,
        RetryWith,
        DocumentsUnavailable,
    )
}


def _current() -> DocumentsEngine:
    return engines.current().documents


class EmbeddedDocuments(Documents):
    """`engine` gives the engine to talk to, by default the one of this emulator process."""

    def __init__(self, engine: Callable[[], DocumentsEngine] = _current) -> None:
        self._engine = engine

    async def create(self, container: str, partition: str, item: JsonObject) -> Stored:
        try:
            return Stored(await self._engine().create(container, partition, item))
        except model.RequestFailed as failure:
            raise _error(failure) from failure

    async def read(self, container: str, partition: str, id: str) -> Stored:
        try:
            return Stored(await self._engine().read(container, partition, id))
        except model.RequestFailed as failure:
            raise _error(failure) from failure

    async def upsert(self, container: str, partition: str, item: JsonObject) -> Stored:
        try:
            return Stored(await self._engine().upsert(container, partition, item))
        except model.RequestFailed as failure:
            raise _error(failure) from failure

    async def replace(
        self, container: str, partition: str, item: JsonObject, etag: str | None = None
    ) -> Stored:
        try:
            return Stored(await self._engine().replace(container, partition, item, etag))
        except model.RequestFailed as failure:
            raise _error(failure) from failure

    async def delete(self, container: str, partition: str, id: str, etag: str | None = None) -> None:
        try:
            await self._engine().delete(container, partition, id, etag)
        except model.RequestFailed as failure:
            raise _error(failure) from failure

    async def patch(
        self,
        container: str,
        partition: str,
        id: str,
        operations: Sequence[PatchOperation],
        conditions: Sequence[Where] = (),
        etag: str | None = None,
    ) -> Stored:
        try:
            return Stored(
                await self._engine().patch(
                    container,
                    partition,
                    id,
                    [_step(operation) for operation in operations],
                    _conditions(conditions),
                    etag,
                )
            )
        except model.RequestFailed as failure:
            raise _error(failure) from failure

    async def batch(
        self, container: str, partition: str, operations: Sequence[WriteOperation]
    ) -> Sequence[Stored | None]:
        try:
            written = await self._engine().batch(
                container, partition, [_operation(operation) for operation in operations]
            )
        except model.RequestFailed as failure:
            raise _error(failure) from failure
        return _Written(written)

    async def query(self, container: str, query: Query) -> Page:
        try:
            items, continuation = await self._engine().query(
                container,
                where=_conditions(query.where),
                partition=query.partition,
                order_by=query.order_by,
                descending=query.descending,
                limit=query.limit,
                continuation=query.continuation,
            )
        except model.RequestFailed as failure:
            raise _error(failure) from failure
        return Page(items, continuation)


class _Written(Sequence[Stored | None]):
    """What a batch has written, decoded when asked for: hardly any caller does, and it is 2 us an item."""

    def __init__(self, rows: Sequence[model.Row | None]) -> None:
        self._rows = rows

    @overload
    def __getitem__(self, index: int) -> Stored | None: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Stored | None]: ...
    def __getitem__(self, index: int | slice) -> Stored | Sequence[Stored | None] | None:
        if isinstance(index, slice):
            return _Written(self._rows[index])
        row = self._rows[index]
        return None if row is None else Stored(as_item(row))

    def __len__(self) -> int:
        return len(self._rows)


def _error(failure: model.RequestFailed) -> DocumentError:
    if failure.status == TooManyRequests.status:
        return TooManyRequests(failure.message, failure.retry_after_s)
    return _ERRORS[failure.status](failure.message, failure.operation)


def _conditions(conditions: Sequence[Where]) -> list[model.Condition]:
    return [
        model.Condition(condition.field, condition.comparison, condition.value) for condition in conditions
    ]


def _step(operation: PatchOperation) -> model.PatchStep:
    match operation:
        case SetField(path, value):
            return model.PatchStep("set", path, value)
        case Increment(path, by):
            return model.PatchStep("increment", path, by)
        case _:
            return model.PatchStep("remove", operation.path)


def _operation(operation: WriteOperation) -> model.Operation:
    match operation:
        case Create(item):
            return model.Write("create", item)
        case Upsert(item):
            return model.Write("upsert", item)
        case Replace(item, etag):
            return model.Write("replace", item, etag)
        case Delete(id, etag):
            return model.Remove(id, etag)
        case Patch(id, operations, conditions, etag):
            return model.Patch(id, [_step(step) for step in operations], _conditions(conditions), etag)
