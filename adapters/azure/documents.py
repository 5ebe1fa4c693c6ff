"""The documents port on Azure Cosmos DB."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, overload

from azure.cosmos.aio import ContainerProxy, CosmosClient
from azure.cosmos.exceptions import CosmosBatchOperationError, CosmosHttpResponseError

from adapters.azure import cosmos_queries
from adapters.azure.charges import RecordCharge
from adapters.azure.cosmos_errors import errors_of_the_port
from adapters.azure.cosmos_writes import batch_operation, check_id, check_item, match_condition, patch_steps
from core.documents import (
    MAX_BATCH_OPERATIONS,
    BadDocumentRequest,
    Delete,
    DocumentError,
    DocumentNotFound,
    Documents,
    Page,
    Patch,
    PatchOperation,
    Query,
    Replace,
    Stored,
    TooManyRequests,
    Where,
    WriteOperation,
)
from core.json import JsonObject

BRIEF_WAIT_S: Final = 0.5
"""A 429 that asks for no more is waited out here, once. Any other surfaces."""

_LOST_IN_URLS = frozenset({".", ".."})
"""Ids that every HTTP library takes out of a path: such an item is reached by a query or a batch alone."""

type _Hook = Callable[[Mapping[str, str], object], None]


@dataclass(frozen=True, slots=True)
class _Container:
    name: str
    proxy: ContainerProxy
    key_field: str
    """The top-level field that holds the partition key."""


class AzureDocuments(Documents):
    """`client` comes from `cosmos_client`, and whoever made it closes it."""

    def __init__(self, client: CosmosClient, database: str, record_charge: RecordCharge) -> None:
        self._client = client
        self._database = client.get_database_client(database)
        self._record_charge = record_charge
        self._containers: dict[str, _Container] = {}

    async def create(self, container: str, partition: str, item: JsonObject) -> Stored:
        target = await self._container(container)
        check_item(target.key_field, partition, item)
        return await self._stored(
            target, "create", lambda hook: target.proxy.create_item(item, response_hook=hook)
        )

    async def read(self, container: str, partition: str, id: str) -> Stored:
        target = await self._container(container)
        if check_id(id) in _LOST_IN_URLS:
            found = await self.query(container, Query((Where("id", "=", id),), partition))
            if not found.items:
                raise DocumentNotFound(f"there is no item {id!r} in the partition {partition!r}")
            return Stored(found.items[0])
        return await self._stored(
            target, "read", lambda hook: target.proxy.read_item(id, partition, response_hook=hook)
        )

    async def upsert(self, container: str, partition: str, item: JsonObject) -> Stored:
        target = await self._container(container)
        check_item(target.key_field, partition, item)
        return await self._stored(
            target, "upsert", lambda hook: target.proxy.upsert_item(item, response_hook=hook)
        )

    async def replace(
        self, container: str, partition: str, item: JsonObject, etag: str | None = None
    ) -> Stored:
        target = await self._container(container)
        id = check_item(target.key_field, partition, item)
        if id in _LOST_IN_URLS:
            return await self._alone(
                target,
                partition,
                "replace",
                Replace(item, etag),
            )
        return await self._stored(
            target,
            "replace",
            lambda hook: target.proxy.replace_item(
                id, item, etag=etag, match_condition=match_condition(etag), response_hook=hook
            ),
        )

    async def delete(self, container: str, partition: str, id: str, etag: str | None = None) -> None:
        target = await self._container(container)
        if check_id(id) in _LOST_IN_URLS:
            await self._alone(
                target,
                partition,
                "delete",
                Delete(id, etag),
            )
            return
        await self._request(
            target,
            "delete",
            lambda hook: target.proxy.delete_item(
                id,
                partition,
                etag=etag,
                match_condition=match_condition(etag),
                response_hook=hook,
            ),
        )

    async def patch(
        self,
        container: str,
        partition: str,
        id: str,
        operations: Sequence[PatchOperation],
        conditions: Sequence[Where] = (),
        etag: str | None = None,
    ) -> Stored:
        target = await self._container(container)
        steps = patch_steps(operations)
        predicate = cosmos_queries.predicate(conditions)
        if check_id(id) in _LOST_IN_URLS:
            patch = Patch(id, tuple(operations), tuple(conditions), etag)
            return await self._alone(target, partition, "patch", patch)
        return await self._stored(
            target,
            "patch",
            lambda hook: target.proxy.patch_item(
                id,
                partition,
                steps,
                filter_predicate=predicate,
                etag=etag,
                match_condition=match_condition(etag),
                response_hook=hook,
            ),
        )

    async def batch(
        self, container: str, partition: str, operations: Sequence[WriteOperation]
    ) -> Sequence[Stored | None]:
        target = await self._container(container)
        if not 1 <= len(operations) <= MAX_BATCH_OPERATIONS:
            raise BadDocumentRequest(
                f"a batch has 1 to {MAX_BATCH_OPERATIONS} operations, this one has {len(operations)}"
            )
        wanted = []
        for index, operation in enumerate(operations):
            try:
                wanted.append(batch_operation(target.key_field, partition, operation))
            except BadDocumentRequest as error:
                raise BadDocumentRequest(f"operation {index} of the batch: {error}", index) from error
        answers = await self._request(
            target,
            "batch",
            lambda hook: target.proxy.execute_item_batch(wanted, partition, response_hook=hook),
        )
        return _Written(operations, answers)

    async def query(self, container: str, query: Query) -> Page:
        target = await self._container(container)
        cosmos_queries.check_limit(query.limit)
        if query.partition is None and query.order_by is not None:
            return await self._ordered_across(target, query)
        sql, parameters = cosmos_queries.statement(query, None)
        token = cosmos_queries.server_token(container, query)
        rest: str | None = None

        async def first_page(hook: _Hook) -> list[JsonObject]:
            nonlocal rest
            rest = None

            def note(headers: Mapping[str, str], body: object) -> None:
                nonlocal rest
                rest = headers.get("x-ms-continuation")
                hook(headers, body)

            found = target.proxy.query_items(
                sql,
                parameters=parameters,
                max_item_count=query.limit,
                response_hook=note,
                partition_key=query.partition,
            )
            async for page in found.by_page(token):
                return [item async for item in page]
            return []

        items = await self._request(target, "query", first_page)
        return Page(items, None if not rest else cosmos_queries.encode(container, query, rest))

    async def _ordered_across(self, target: _Container, query: Query) -> Page:
        """The SDK merges such a query from the partitions and cannot continue it in a later request.

        So a page starts at the last value of the ordered field and leaves out what was given already. Of
        each page only items of the type (string or number) of that value follow.
        """
        before = cosmos_queries.boundary(target.name, query)
        seen = frozenset(before.seen) if before is not None else frozenset()
        sql, parameters = cosmos_queries.statement(query, before)

        async def one_more_than_a_page(hook: _Hook) -> list[JsonObject]:
            found: list[JsonObject] = []
            wanted = query.limit + 1
            async for item in target.proxy.query_items(
                sql, parameters=parameters, max_item_count=wanted + len(seen), response_hook=hook
            ):
                if (item[target.key_field], item["id"]) not in seen:
                    found.append(item)
                if len(found) == wanted:
                    break
            return found

        found = await self._request(target, "query", one_more_than_a_page)
        items = found[: query.limit]
        if len(found) == len(items):
            return Page(items, None)
        place = cosmos_queries.boundary_after(items, query, target.key_field, before)
        return Page(items, cosmos_queries.encode(target.name, query, place))

    async def _container(self, name: str) -> _Container:
        found = self._containers.get(name)
        if found is not None:
            return found
        proxy = self._database.get_container_client(name)
        with errors_of_the_port():
            if not self._containers:
                # Without it the SDK keeps no session, and a read may miss what was just written.
                await self._client.__aenter__()
            try:
                properties = await proxy.read()
            except CosmosHttpResponseError as error:
                if error.status_code != 404:
                    raise
                raise BadDocumentRequest(
                    f"there is no container {name!r} in the database {self._database.id!r}"
                ) from error
        paths = properties["partitionKey"]["paths"]
        if len(paths) != 1 or paths[0].count("/") != 1:
            raise BadDocumentRequest(
                f"the partition key of {name!r} must be one top-level field, not {paths}"
            )
        self._containers[name] = _Container(name, proxy, paths[0].removeprefix("/"))
        return self._containers[name]

    async def _stored(
        self, target: _Container, name: str, request: Callable[[_Hook], Awaitable[JsonObject]]
    ) -> Stored:
        return Stored(await self._request(target, name, request))

    async def _alone(
        self, target: _Container, partition: str, name: str, operation: WriteOperation
    ) -> Stored:
        """As a batch of one. Raises what the operation raises outside a batch."""
        wanted = [batch_operation(target.key_field, partition, operation)]
        try:
            answers = await self._request(
                target,
                name,
                lambda hook: target.proxy.execute_item_batch(wanted, partition, response_hook=hook),
            )
        except DocumentError as error:
            error.operation = None
            raise
        return Stored(answers[0].get("resourceBody") or {})

    async def _request[R](self, target: _Container, name: str, request: Callable[[_Hook], Awaitable[R]]) -> R:
        """Every request passes here: its charge is recorded, its error is the port's."""

        def charge(headers: Mapping[str, Any], _: object = None) -> None:
            self._record_charge(name, target.name, float(headers.get("x-ms-request-charge", 0.0)))

        async def once() -> R:
            with errors_of_the_port():
                try:
                    return await request(charge)
                except (CosmosHttpResponseError, CosmosBatchOperationError) as error:
                    charge(error.headers or {})
                    raise

        try:
            return await once()
        except TooManyRequests as error:
            if error.retry_after_s > BRIEF_WAIT_S:
                raise
            await asyncio.sleep(error.retry_after_s)
        return await once()


class _Written(Sequence[Stored | None]):
    """What a batch has written."""

    def __init__(self, operations: Sequence[WriteOperation], answers: Sequence[JsonObject]) -> None:
        self._operations = operations
        self._answers = answers

    @overload
    def __getitem__(self, index: int) -> Stored | None: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Stored | None]: ...
    def __getitem__(self, index: int | slice) -> Stored | Sequence[Stored | None] | None:
        if isinstance(index, slice):
            return _Written(self._operations[index], self._answers[index])
        if isinstance(self._operations[index], Delete):
            return None
        body = self._answers[index]["resourceBody"]
        assert isinstance(body, dict)  # noqa: S101  (the service's own answer)
        return Stored(body)

    def __len__(self) -> int:
        return len(self._answers)
