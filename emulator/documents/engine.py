"""The documents engine: what Cosmos DB does with items, on the emulator's store.

Every public call is one request and is counted as one. A request that fails raises `RequestFailed` and has
changed nothing. What can be is checked and serialised before the transaction, which holds up other writers.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from emulator.clock import Clock
from emulator.documents import queries
from emulator.documents.catalog import Catalog
from emulator.documents.checks import Prepared, check_id, check_partition
from emulator.documents.model import (
    MAX_BATCH_OPERATIONS,
    MAX_ITEM_BYTES,
    Change,
    Condition,
    Container,
    Found,
    Json,
    JsonObject,
    Operation,
    Patch,
    PatchStep,
    Query,
    Remove,
    RequestFailed,
    Row,
    Write,
)
from emulator.documents.partitions import FEED_RANGES
from emulator.documents.writes import FIND, as_item, as_text, make_ready, not_found, perform
from emulator.metrics import Metrics
from emulator.store import Store, Transaction

__all__ = ["FEED_RANGES", "PURGE_INTERVAL_S", "DocumentsEngine"]

PURGE_INTERVAL_S: Final = 60.0
_PURGE_ROWS = 1000
_CHANGED: Final = (
    "SELECT sequence, ts, body, partition, id FROM documents "
    "WHERE container = ? AND feed_range = ? AND sequence > ? "
    "AND (expires IS NULL OR expires > ?) ORDER BY sequence LIMIT ?"
)


@dataclass(frozen=True, slots=True)
class Fault:
    """See `DocumentsEngine.fail_until`."""

    until: float
    status: int
    retry_after_s: float
    one_in: int
    after_effect: bool


class DocumentsEngine:
    def __init__(
        self, store: Store, clock: Clock, containers: Mapping[str, Container], metrics: Metrics
    ) -> None:
        self._store = store
        self._clock = clock
        self.catalog = Catalog(store, clock, containers)
        self._metrics = metrics
        self._fault: Fault | None = None
        self._faulty_requests = 0
        self._purger: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Purge expired items from time to time. They are invisible without it, but take space."""
        self._purger = asyncio.get_running_loop().create_task(self._purge_regularly())

    def stop(self) -> None:
        if self._purger is not None:
            self._purger.cancel()
            self._purger = None

    def fail_until(
        self,
        epoch: float,
        *,
        retry_after_s: float | None = None,
        status: int | None = None,
        one_in: int = 1,
        after_effect: bool = False,
    ) -> None:
        """A fault for tests: until then requests fail, by `status`, else 429 with `retry_after_s`, else 503.

        Of `one_in` requests one fails; when all do, the change feed delivers nothing. `after_effect`: writes
        take effect and only their answers are lost, reads succeed.
        """
        if status is None:
            status = 503 if retry_after_s is None else 429
        self._fault = Fault(epoch, status, retry_after_s or 0.0, one_in, after_effect)

    async def create(self, container: str, partition: str, item: Mapping[str, Json]) -> JsonObject:
        """409 when an item of this id is in the partition."""
        return await self._write(container, partition, Write("create", item))

    async def read(self, container: str, partition: str, id: str) -> JsonObject:
        return as_item(self.find(container, partition, id))

    def find(self, container: str, partition: str, id: str) -> Row:
        """Raises RequestFailed 404."""
        target = self.request(container)
        rows = self._store.read(FIND, (container, check_partition(partition), check_id(id)))
        if not rows:
            raise not_found(target, partition, id)
        sequence, ts, body, expires = rows[0]
        if expires is not None and expires <= self._clock.time():
            raise not_found(target, partition, id)
        return Row(sequence, ts, body)

    async def upsert(self, container: str, partition: str, item: Mapping[str, Json]) -> JsonObject:
        return await self._write(container, partition, Write("upsert", item))

    async def replace(
        self, container: str, partition: str, item: Mapping[str, Json], etag: str | None = None
    ) -> JsonObject:
        """404; 412 when the item has another ETag."""
        return await self._write(container, partition, Write("replace", item, etag))

    async def delete(self, container: str, partition: str, id: str, etag: str | None = None) -> None:
        """404; 412 when the item has another ETag."""
        await self.write(container, partition, Remove(id, etag))

    async def patch(
        self,
        container: str,
        partition: str,
        id: str,
        steps: Sequence[PatchStep],
        conditions: Sequence[Condition] = (),
        etag: str | None = None,
    ) -> JsonObject:
        """404; 412 when the ETag or a condition does not hold; 400 for a path that is not there."""
        return await self._write(container, partition, Patch(id, steps, conditions, etag))

    async def batch(
        self, container: str, partition: str, operations: Sequence[Operation]
    ) -> list[Row | None]:
        """All or none, in order; None stands for a deleted item. A failure has the index of its operation.

        Rows, because most callers do not look at what they have written: see `writes.as_item`.
        """
        target = self.request(container)
        check_partition(partition)
        if not 1 <= len(operations) <= MAX_BATCH_OPERATIONS:
            raise RequestFailed(
                400, f"a batch has 1 to {MAX_BATCH_OPERATIONS} operations, this one has {len(operations)}"
            )
        ready = []
        size = 0
        for index, operation in enumerate(operations):
            try:
                prepared = make_ready(target, partition, operation)
            except RequestFailed as failure:
                failure.operation = index
                raise
            size += len(prepared.body) if isinstance(prepared, Prepared) else 0
            ready.append(prepared)
        if size > MAX_ITEM_BYTES:
            raise RequestFailed(413, f"the batch has {size} bytes, {MAX_ITEM_BYTES} are allowed")

        def work(transaction: Transaction) -> list[Row | None]:
            now = self._clock.time()
            rows = []
            for index, operation in enumerate(ready):
                try:
                    rows.append(perform(transaction, target, partition, operation, now))
                except RequestFailed as failure:
                    failure.operation = index
                    raise
            return rows

        written = await self._store.write(work)
        if self._fault is not None:
            self._fail(self._fault, after_effect=True)
        return written

    async def query(
        self,
        container: str,
        *,
        where: Sequence[Condition] = (),
        partition: str | None = None,
        order_by: str | None = None,
        descending: bool = False,
        limit: int = 100,
        continuation: str | None = None,
    ) -> tuple[list[JsonObject], str | None]:
        """A page and the token of the next one, None on the last. 400 for a token of another query."""
        query = Query(where, partition, None, order_by, descending, limit, 0, continuation)
        found, following = await self.query_rows(container, query)
        return [as_item(each.row) for each in found], following

    async def query_rows(self, container: str, query: Query) -> tuple[list[Found], str | None]:
        """As `query`, for who passes the text of the items on."""
        self.request(container)
        if query.partition is not None:
            check_partition(query.partition)
        statement = queries.build(container, self._clock.time(), query)
        if query.partition is None:
            rows = await self._store.scan(statement.sql, statement.parameters)
        else:
            rows = self._store.read(statement.sql, statement.parameters)
        found = [Found(Row(*row[:3]), row[-2], row[-1]) for row in rows[: query.limit]]
        return found, statement.continuation(rows)

    def changes(self, container: str, feed_range: int, after: int, limit: int) -> list[Change]:
        """Items of one range written after the sequence `after` (0: from the beginning), in that order.

        The latest version of each: of several writes only the last shows, a deleted or expired item never.
        Sequences are given under the write lock, so none below one already seen appears later, whichever
        process writes it. Not a counted request.
        """
        now = self._clock.time()
        fault = self._fault
        if fault is not None and now < fault.until and fault.one_in == 1 and not fault.after_effect:
            return []
        rows = self._store.read(_CHANGED, (container, feed_range, after, now, limit))
        return [Change(row[0], as_text(Row(*row[:3]))) for row in rows]

    def changed_rows(self, container: str, feed_range: int, after: int, limit: int) -> list[Found]:
        """As `changes`, but a counted request, which a fault fails."""
        self.request(container)
        rows = self._store.read(_CHANGED, (container, feed_range, after, self._clock.time(), limit))
        return [Found(Row(*row[:3]), row[3], row[4]) for row in rows]

    def position(self) -> int:
        """The sequence of the newest item: who reads `changes` after it sees what is written from now on."""
        newest: int | None = self._store.read("SELECT max(sequence) FROM documents")[0][0]
        return newest or 0

    async def purge(self) -> int:
        """Remove expired items for good; the number removed."""
        now = self._clock.time()
        expired = "SELECT sequence FROM documents WHERE expires <= ? LIMIT ?"
        if not self._store.read(expired, (now, 1)):
            return 0
        return await self._store.write(
            lambda transaction: (
                transaction.execute(
                    f"DELETE FROM documents WHERE sequence IN ({expired})", (now, _PURGE_ROWS)
                ).rowcount
            )
        )

    async def _purge_regularly(self) -> None:
        while True:
            await asyncio.sleep(PURGE_INTERVAL_S)
            while await self.purge() == _PURGE_ROWS:
                pass

    async def _write(self, container: str, partition: str, operation: Write | Patch) -> JsonObject:
        row = await self.write(container, partition, operation)
        assert row is not None  # noqa: S101  (only a delete leaves nothing)
        return as_item(row)

    async def write(self, container: str, partition: str, operation: Operation) -> Row | None:
        """The item as it is afterwards, None when deleted. What an operation alone raises."""
        target = self.request(container)
        check_partition(partition)
        ready = make_ready(target, partition, operation)
        row = await self._store.write(
            lambda transaction: perform(transaction, target, partition, ready, self._clock.time())
        )
        if self._fault is not None:
            self._fail(self._fault, after_effect=True)
        return row

    def request(self, container: str) -> Container:
        """Count a request, and fail it when a fault says so. Raises RequestFailed."""
        self._metrics.document_request(container)
        if self._fault is not None:
            self._fail(self._fault, after_effect=False)
        found = self.catalog.find(container)
        if found is None:
            raise RequestFailed(400, f"there is no container {container!r}, only {self.catalog.names()}")
        return found

    def _fail(self, fault: Fault, *, after_effect: bool) -> None:
        if after_effect is not fault.after_effect or self._clock.time() >= fault.until:
            return
        self._faulty_requests += 1
        if self._faulty_requests % fault.one_in == 0:
            message = "fault injected: the service is not available"
            raise RequestFailed(fault.status, message, None, fault.retry_after_s)
