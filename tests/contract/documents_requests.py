"""What the tests of documents ask, and how."""

from collections.abc import Awaitable

import pytest

from core.documents import (
    DocumentError,
    Documents,
    Query,
)
from core.json import Json, JsonObject

STREAM = "ord-1"


def item(id: str = "1", stream: str = STREAM, **fields: Json) -> JsonObject:
    return {"id": id, "stream": stream, **fields}


def without_system_fields(stored: JsonObject) -> JsonObject:
    """Cosmos DB adds more than the port promises (`_rid`, `_self`, `_attachments`)."""
    return {name: value for name, value in stored.items() if not name.startswith("_")}


async def refused[E: DocumentError](request: Awaitable[object], error: type[E]) -> E:
    with pytest.raises(error) as caught:
        await request
    return caught.value


async def all_items(documents: Documents, query: Query) -> list[JsonObject]:
    """Of all pages."""
    found: list[JsonObject] = []
    page = await documents.query("orders", query)
    found += page.items
    while page.continuation is not None:
        query = Query(
            query.where, query.partition, query.order_by, query.descending, query.limit, page.continuation
        )
        page = await documents.query("orders", query)
        assert len(page.items) <= query.limit
        found += page.items
    return found
