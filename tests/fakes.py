"""In-memory fakes of the ports, small but right: a unit test needs no emulator.

They subclass the real ports and pass the same suites as the adapters (tests/contract/).
"""

import asyncio
import json
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from core.bus import (
    MAX_MESSAGE_BYTES,
    Bus,
    DeadLetter,
    EntityNotFound,
    MessageLockLost,
    MessageTooLarge,
    OutgoingMessage,
)
from core.clock import Clock
from core.documents import (
    MAX_BATCH_OPERATIONS,
    MAX_ITEM_BYTES,
    MAX_PATCH_OPERATIONS,
    BadDocumentRequest,
    Create,
    Delete,
    DocumentConflict,
    DocumentError,
    DocumentNotFound,
    Documents,
    DocumentTooLarge,
    Increment,
    Page,
    Patch,
    PatchOperation,
    PreconditionFailed,
    Query,
    Replace,
    SetField,
    Stored,
    Upsert,
    Where,
    WriteOperation,
)
from core.json import JsonObject

TOPOLOGY = Path(__file__).parent.parent / "topology"
START = datetime(2027, 1, 15, 8, 0, tzinfo=UTC)

type Hook = Callable[[str], Awaitable[None]]
"""Awaited before and after the effect of each request, with its name (`batch orders`, `send payments`). It
raises to make the request fail, or takes its time."""


async def _at_once(request: str) -> None:
    """Lets other tasks run, as any I/O does."""
    await asyncio.sleep(0)


class FakeClock(Clock):
    """Stands still until told otherwise."""

    def __init__(self, start: datetime = START) -> None:
        self.current = start

    def now(self) -> datetime:
        return self.current

    def advance(self, seconds: float) -> None:
        self.current += timedelta(seconds=seconds)


class FakeLoopClock(Clock):
    """The running event loop's own time; on a simulated loop it jumps with it."""

    def __init__(self, start: datetime = START) -> None:
        self.start = start

    def now(self) -> datetime:
        return self.start + timedelta(seconds=asyncio.get_running_loop().time())


class FakeDocuments(Documents):
    """Containers and keys of `topology/cosmos.json`. `requests` are the names of the calls so far."""

    def __init__(self, clock: Clock | None = None, before: Hook = _at_once, after: Hook = _at_once) -> None:
        topology = json.loads((TOPOLOGY / "cosmos.json").read_text())
        self._keys = {one["name"]: one["partitionKey"].removeprefix("/") for one in topology["containers"]}
        self._partitions: dict[tuple[str, str], dict[str, bytes]] = {}
        self._clock = clock or FakeClock()
        self._writes = 0
        self.before = before
        self.after = after
        self.requests: list[str] = []

    def items(self, container: str, partition: str | None = None) -> list[dict[str, Any]]:
        """What is stored, without going through the port."""
        return [
            item
            for (name, key), items in self._partitions.items()
            if name == container and partition in (None, key)
            for item in map(orjson.loads, items.values())
            if self._alive(item)
        ]

    async def create(self, container: str, partition: str, item: JsonObject) -> Stored:
        return (await self._write("create", container, partition, [Create(item)]))[0]

    async def upsert(self, container: str, partition: str, item: JsonObject) -> Stored:
        return (await self._write("upsert", container, partition, [Upsert(item)]))[0]

    async def replace(
        self, container: str, partition: str, item: JsonObject, etag: str | None = None
    ) -> Stored:
        return (await self._write("replace", container, partition, [Replace(item, etag)]))[0]

    async def delete(self, container: str, partition: str, id: str, etag: str | None = None) -> None:
        await self._write("delete", container, partition, [Delete(id, etag)])

    async def patch(
        self,
        container: str,
        partition: str,
        id: str,
        operations: Sequence[PatchOperation],
        conditions: Sequence[Where] = (),
        etag: str | None = None,
    ) -> Stored:
        patch = Patch(id, tuple(operations), tuple(conditions), etag)
        return (await self._write("patch", container, partition, [patch]))[0]

    async def batch(
        self, container: str, partition: str, operations: Sequence[WriteOperation]
    ) -> Sequence[Stored | None]:
        if not 1 <= len(operations) <= MAX_BATCH_OPERATIONS:
            raise BadDocumentRequest(f"a batch has 1 to {MAX_BATCH_OPERATIONS} operations")
        return await self._write("batch", container, partition, operations)

    async def read(self, container: str, partition: str, id: str) -> Stored:
        await self._request("read", container)
        item = self._find(self._partitions.get((container, partition), {}), id)
        await self.after(f"read {container}")
        if item is None:
            raise DocumentNotFound(f"{container}: no item {id}")
        return Stored(item)

    async def query(self, container: str, query: Query) -> Page:
        await self._request("query", container)
        page = self._query(container, query)
        await self.after(f"query {container}")
        return page

    def _query(self, container: str, query: Query) -> Page:
        found = [
            item
            for item in self.items(container, query.partition)
            if all(_holds(item, where) for where in query.where)
        ]
        if query.order_by is not None:
            field = query.order_by
            found.sort(key=lambda item: (_rank(_get(item, field)), item["id"]), reverse=query.descending)
        asked = [str(query.where), query.partition, query.order_by, query.descending]
        start = 0
        if query.continuation is not None:
            try:
                token = json.loads(query.continuation)
                if token["query"] != asked:
                    raise BadDocumentRequest("continuation: belongs to another query")
                start = token["start"]
            except (ValueError, KeyError, TypeError) as error:
                raise BadDocumentRequest("continuation: not one of this store's") from error
        end = start + query.limit
        more = json.dumps({"query": asked, "start": end}) if end < len(found) else None
        return Page(found[start:end], more)

    async def _request(self, operation: str, container: str) -> None:
        if container not in self._keys:
            raise DocumentNotFound(f"no container {container}")
        self.requests.append(f"{operation} {container}")
        await self.before(f"{operation} {container}")

    async def _write(
        self, name: str, container: str, partition: str, operations: Sequence[WriteOperation]
    ) -> list[Any]:
        await self._request(name, container)
        items = dict(self._partitions.get((container, partition), {}))
        results = []
        for index, operation in enumerate(operations):
            try:
                results.append(self._apply(container, partition, items, operation))
            except DocumentError as error:
                error.operation = index if name == "batch" else None
                raise
        if len(results) > 1 and sum(len(orjson.dumps(one.item)) for one in results if one) > MAX_ITEM_BYTES:
            raise DocumentTooLarge(f"{container}: the items have more than {MAX_ITEM_BYTES} bytes")
        self._partitions[container, partition] = items
        await self.after(f"{name} {container}")
        return results

    def _apply(
        self, container: str, partition: str, items: dict[str, bytes], operation: WriteOperation
    ) -> Stored | None:
        id = operation.id if isinstance(operation, Delete | Patch) else operation.item.get("id")
        if not isinstance(id, str) or not 0 < len(id.encode()) <= 1023 or not set(id).isdisjoint("/\\#?"):
            raise BadDocumentRequest("id: must be a string of 1 to 1023 bytes without / \\ # ?")
        present = self._find(items, id)
        _check_precondition(f"{container}: {id}", operation, present)
        if isinstance(operation, Delete):
            del items[id]
            return None
        if isinstance(operation, Patch):
            assert present is not None
            if not all(_holds(present, where) for where in operation.conditions):
                raise PreconditionFailed(f"{container}: the condition on {id} does not hold")
            item = _patched(present, operation.operations)
        else:
            item = dict(operation.item)
        if item["id"] != id or item.get(self._keys[container]) != partition:
            raise BadDocumentRequest(f"{self._keys[container]}: is not the partition key {partition!r}")
        self._writes += 1
        item |= {"_etag": f'"{self._writes}"', "_ts": int(self._clock.now().timestamp())}
        body = orjson.dumps(item)
        if len(body) > MAX_ITEM_BYTES:
            raise DocumentTooLarge(f"{container}: {id} has {len(body)} bytes")
        items[id] = body
        return Stored(orjson.loads(body))

    def _find(self, items: dict[str, bytes], id: str) -> JsonObject | None:
        item = orjson.loads(items[id]) if id in items else None
        return item if item is not None and self._alive(item) else None

    def _alive(self, item: dict[str, Any]) -> bool:
        ttl = item.get("ttl")
        return ttl is None or ttl == -1 or self._clock.now().timestamp() < item["_ts"] + ttl


def _check_precondition(name: str, operation: WriteOperation, present: JsonObject | None) -> None:
    if isinstance(operation, Create):
        if present is not None:
            raise DocumentConflict(f"{name} exists")
    elif isinstance(operation, Replace | Delete | Patch):
        if present is None:
            raise DocumentNotFound(f"{name} does not exist")
        if operation.etag is not None and operation.etag != present["_etag"]:
            raise PreconditionFailed(f"{name} has another ETag")


_MISSING = object()


def _get(item: Any, path: str) -> Any:
    for part in path.split("."):
        if not isinstance(item, dict) or part not in item:
            return _MISSING
        item = item[part]
    return item


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    return "number" if isinstance(value, int | float) else type(value).__name__


def _rank(value: Any) -> tuple[int, Any]:
    """As Cosmos DB orders values of different types; a missing one comes first."""
    kind = "missing" if value is _MISSING else _kind(value)
    rank = ("missing", "NoneType", "boolean", "number", "str", "list", "dict").index(kind)
    return rank, value if kind in ("boolean", "number", "str") else 0


def _holds(item: Any, where: Where) -> bool:
    value = _get(item, where.field)
    if value is _MISSING or _kind(value) != _kind(where.value):
        return False
    if where.comparison == "=":
        return bool(value == where.value)
    if where.comparison == "!=":
        return bool(value != where.value)
    if _kind(value) not in ("number", "str", "boolean"):
        return False
    asked: Any = where.value
    return bool(
        {"<": value < asked, "<=": value <= asked, ">": value > asked, ">=": value >= asked}[where.comparison]
    )


def _patched(present: JsonObject, operations: Sequence[PatchOperation]) -> dict[str, Any]:
    if not 1 <= len(operations) <= MAX_PATCH_OPERATIONS:
        raise BadDocumentRequest(f"a patch has 1 to {MAX_PATCH_OPERATIONS} operations")
    item: dict[str, Any] = orjson.loads(orjson.dumps(present))
    for operation in operations:
        *parents, last = operation.path.split(".")
        target = _get(item, ".".join(parents)) if parents else item
        if not isinstance(target, dict):
            raise BadDocumentRequest(f"{operation.path}: its parent does not exist")
        match operation:
            case SetField(value=value):
                target[last] = value
            case Increment(by=by):
                if _kind(target.get(last, 0)) != "number":
                    raise BadDocumentRequest(f"{operation.path}: is not a number")
                target[last] = target.get(last, 0) + by
            case _:
                if last not in target:
                    raise BadDocumentRequest(f"{operation.path}: does not exist")
                del target[last]
    return item


class FakeBus(Bus):
    """Entities of `topology/servicebus.json`. `sent` is what each got, in order; nothing is delivered."""

    def __init__(self, clock: Clock | None = None, before: Hook = _at_once, after: Hook = _at_once) -> None:
        namespace = json.loads((TOPOLOGY / "servicebus.json").read_text())["UserConfig"]["Namespaces"][0]
        self._entities = {queue["Name"] for queue in namespace["Queues"]}
        self._sources = set(self._entities)
        for topic in namespace["Topics"]:
            self._entities.add(topic["Name"])
            self._sources |= {
                f"{topic['Name']}/Subscriptions/{one['Name']}" for one in topic["Subscriptions"]
            }
        self._clock = clock or FakeClock()
        self._locks = 0
        self._dead: dict[str, list[DeadLetter]] = defaultdict(list)
        self._locked: dict[tuple[str, str], DeadLetter] = {}
        self.before = before
        self.after = after
        self.sent: dict[str, list[OutgoingMessage]] = defaultdict(list)

    async def send(self, entity: str, messages: Sequence[OutgoingMessage]) -> None:
        await self._request(f"send {entity}", entity in self._entities)
        size = sum(
            len(message.body) + sum(len(k) + len(v) for k, v in message.properties.items())
            for message in messages
        )
        if size > MAX_MESSAGE_BYTES:
            raise MessageTooLarge(f"{entity}: one send takes at most {MAX_MESSAGE_BYTES} bytes")
        self.sent[entity].extend(messages)
        await self.after(f"send {entity}")

    def dead_letter(self, entity: str, message: OutgoingMessage, reason: str, description: str = "") -> None:
        """Put a message into the dead-letter queue of `entity`."""
        self._locks += 1
        self._dead[entity].append(
            DeadLetter(
                body=message.body,
                message_id=message.message_id,
                subject=message.subject,
                correlation_id=message.correlation_id,
                content_type=message.content_type,
                properties=message.properties,
                reason=reason,
                description=description,
                enqueued_at=self._clock.now(),
                lock=f"lock-{self._locks}",
            )
        )

    def dead(self, entity: str) -> list[DeadLetter]:
        """What the dead-letter queue holds, locked or not."""
        return [*self._dead[entity], *(one for (name, _), one in self._locked.items() if name == entity)]

    async def receive_dead_letters(self, entity: str, limit: int) -> Sequence[DeadLetter]:
        await self._request(f"receive {entity}", entity in self._sources)
        taken, self._dead[entity] = self._dead[entity][:limit], self._dead[entity][limit:]
        self._locked |= {(entity, one.lock): one for one in taken}
        return taken

    async def complete_dead_letter(self, entity: str, lock: str) -> None:
        await self._request(f"complete {entity}", entity in self._sources)
        self._unlock(entity, lock)

    async def abandon_dead_letter(self, entity: str, lock: str) -> None:
        await self._request(f"abandon {entity}", entity in self._sources)
        self._locks += 1
        self._dead[entity].append(replace(self._unlock(entity, lock), lock=f"lock-{self._locks}"))

    def _unlock(self, entity: str, lock: str) -> DeadLetter:
        if (entity, lock) not in self._locked:
            raise MessageLockLost(f"{entity}: {lock} is not held")
        return self._locked.pop((entity, lock))

    async def _request(self, name: str, known: bool) -> None:
        if not known:
            raise EntityNotFound(f"no such entity: {name}")
        await self.before(name)
