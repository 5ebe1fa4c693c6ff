"""What every adapter of `core.documents.Documents` must do with a query: a part of its suite."""

from collections.abc import Sequence

import pytest

from core.documents import (
    BadDocumentRequest,
    Documents,
    Query,
    Where,
)
from tests.contract.documents_requests import STREAM, all_items, item, refused


class Queries:
    async def test_a_query_stays_in_its_partition_or_goes_across(self, documents: Documents) -> None:
        for stream in ("ord-1", "ord-2"):
            for id in ("1", "2"):
                await documents.create("orders", stream, item(id, stream))
        await documents.create("payments", "ord-1", item("3"))
        assert len(await all_items(documents, Query(partition="ord-1"))) == 2
        assert len(await all_items(documents, Query())) == 4
        assert len(await all_items(documents, Query((Where("id", "=", "2"),)))) == 2
        assert await all_items(documents, Query(partition="ord-3")) == []

    async def test_all_conditions_of_a_query_must_hold(self, documents: Documents) -> None:
        for n in range(6):
            await documents.create("orders", STREAM, item(str(n), n=n, even=n % 2 == 0))
        where = (Where("n", ">", 1), Where("n", "<=", 4), Where("even", "=", True))
        found = await all_items(documents, Query(where, STREAM))
        assert sorted(str(one["id"]) for one in found) == ["2", "4"]

    @pytest.mark.parametrize("descending", [False, True])
    @pytest.mark.parametrize("limit", [1, 2, 100])
    async def test_pages_in_order_give_every_item_once(
        self, documents: Documents, descending: bool, limit: int
    ) -> None:
        names = ["b", "ü", "a", "Z", "b", "😀", "b", ""]
        for n, name in enumerate(names):
            await documents.create(
                "orders", f"ord-{n % 3}", item(str(n), f"ord-{n % 3}", deep={"name": name})
            )
        query = Query(order_by="deep.name", descending=descending, limit=limit)
        found = await all_items(documents, query)
        assert [one["deep"]["name"] for one in found] == sorted(names, reverse=descending)  # type: ignore[index,call-overload]
        assert len({one["id"] for one in found}) == len(names)

    @pytest.mark.parametrize("limit", [1, 3, 100])
    async def test_pages_without_order_give_every_item_once(self, documents: Documents, limit: int) -> None:
        for n in range(7):
            await documents.create("orders", f"ord-{n % 3}", item(str(n), f"ord-{n % 3}"))
        found = await all_items(documents, Query(limit=limit))
        assert sorted(str(one["id"]) for one in found) == [str(n) for n in range(7)]

    async def test_numbers_are_ordered_as_numbers(self, documents: Documents) -> None:
        values: Sequence[int | float] = [10, 9, -1, 2.5, 100]
        for n, value in enumerate(values):
            await documents.create("orders", STREAM, item(str(n), value=value))
        found = await all_items(documents, Query(partition=STREAM, order_by="value", limit=2))
        assert [one["value"] for one in found] == [-1, 2.5, 9, 10, 100]

    async def test_a_continuation_of_another_query_is_refused(self, documents: Documents) -> None:
        for n in range(3):
            await documents.create("orders", STREAM, item(str(n), n=n))
        page = await documents.query("orders", Query(partition=STREAM, order_by="n", limit=1))
        assert page.continuation is not None
        for other in (
            Query(partition="ord-2", order_by="n", continuation=page.continuation),
            Query(partition=STREAM, order_by="id", continuation=page.continuation),
            Query(partition=STREAM, order_by="n", descending=True, continuation=page.continuation),
            Query((Where("n", ">", 0),), STREAM, order_by="n", continuation=page.continuation),
            Query(partition=STREAM, order_by="n", continuation="nonsense"),
            Query(partition=STREAM, order_by="n", continuation=page.continuation[:-5]),
        ):
            await refused(documents.query("orders", other), BadDocumentRequest)
