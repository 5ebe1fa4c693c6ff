"""Queries of the Cosmos endpoint, by the real SDK."""

from typing import Any

import pytest
from azure.cosmos.aio import ContainerProxy, CosmosClient

from tests.wire.cosmos_endpoint import CosmosTests, Endpoint, container_of, failed, listed, send

STREAMS = [f"s{n}" for n in (8, 1, 2, 3, 10, 5, 11, 7)]
"""They lie in all of the four ranges."""

ALL = list(range(24))


def numbers(items: list[dict[str, Any]]) -> list[int]:
    return [item["n"] for item in items]


class TestQueries(CosmosTests):
    @pytest.fixture
    async def orders(self, client: CosmosClient) -> ContainerProxy:
        """24 items, n from 0 to 23, three in each of the streams."""
        orders = container_of(client)
        for stream in STREAMS:
            mine = [n for n in ALL if STREAMS[n % 8] == stream]
            await orders.execute_item_batch(
                [
                    ("create", ({"id": str(n), "stream": stream, "n": n, "deep": {"text": f"{n:02}"}},))
                    for n in mine
                ],
                stream,
            )
        return orders

    @pytest.mark.parametrize(
        ("where", "expected"),
        [
            ("c.n = 9", [9]),
            ("c.n != 9", [1, 17]),
            ("c.n <> 9", [1, 17]),
            ("c.n < 9", [1]),
            ("c.n <= 9", [1, 9]),
            ("c.n > 9", [17]),
            ("9 < c.n", [17]),
            ("c.n >= 9.0", [9, 17]),
            ("c.n > -1e2", [1, 9, 17]),
            ("c.n > 1 AND c.n < 17", [9]),
            ("(c.n > 1) and (c.n < 17 and true)", [9]),
            ("c.deep.text = '09'", [9]),
            ('c["deep"]["text"] >= "09"', [9, 17]),
            ("c.n = '9'", []),
            ("c.missing != 1", []),
            ("c.missing = null", []),
            ("IS_DEFINED(c.deep.text)", [1, 9, 17]),
            ("NOT IS_DEFINED(c.deep.text)", []),
            ("c._ts > 0", [1, 9, 17]),
            ("c.stream = 's1'", [1, 9, 17]),
            ("c.stream = 's2'", []),
        ],
    )
    async def test_conditions_within_a_partition(
        self, orders: ContainerProxy, where: str, expected: list[int]
    ) -> None:
        query = f"SELECT * FROM c WHERE {where}"  # noqa: S608
        found = await listed(orders.query_items(query, partition_key="s1"))
        assert sorted(numbers(found)) == expected

    async def test_an_item_found_is_the_item_read(self, orders: ContainerProxy) -> None:
        found = await listed(orders.query_items("SELECT * FROM c WHERE c.n = 9", partition_key="s1"))
        assert found == [await orders.read_item("9", "s1")]

    async def test_parameters_are_values_and_never_text_of_the_query(self, orders: ContainerProxy) -> None:
        strange = "' OR 1 = 1 --"
        await orders.create_item({"id": "x", "stream": "s1", "n": 0, "name": strange})
        for value, expected in ((strange, [0]), ("' OR 2 = 2 --", [])):
            query = orders.query_items(
                "SELECT * FROM c WHERE c.name = @name AND c.n = @n",
                parameters=[{"name": "@name", "value": value}, {"name": "@n", "value": 0}],
                partition_key="s1",
            )
            assert numbers(await listed(query)) == expected

    async def test_another_name_of_the_container_may_be_used(self, orders: ContainerProxy) -> None:
        for text in (
            "select * from orders o where o.n = 9",
            "SELECT * FROM root AS r WHERE r.n = 9",
            "SELECT\n*\tFROM  c\r\nWHERE c . n=9",
        ):
            assert numbers(await listed(orders.query_items(text, partition_key="s1"))) == [9]

    @pytest.mark.parametrize("page", [1, 2, 3, 100])
    @pytest.mark.parametrize("order", ["", " ORDER BY c.n", " ORDER BY c.deep.text DESC"])
    async def test_pages_of_a_partition_go_on_from_their_token_in_another_client(
        self, endpoint: Endpoint, orders: ContainerProxy, page: int, order: str
    ) -> None:
        found: list[int] = []
        token = None
        while True:
            async with endpoint.client() as client:
                container = client.get_database_client("shop").get_container_client("orders")
                pages = container.query_items(
                    f"SELECT * FROM c{order}",  # noqa: S608
                    partition_key="s1",
                    max_item_count=page,
                ).by_page(token)
                these = numbers([item async for item in await anext(pages)])
                assert len(these) <= page
                found += these
                token = pages.continuation_token
            if token is None:
                break
        assert (
            found == ([17, 9, 1] if "DESC" in order else [1, 9, 17]) if order else sorted(found) == [1, 9, 17]
        )
        assert len(found) == 3

    @pytest.mark.parametrize("page", [1, 5, 24, 100])
    async def test_pages_across_partitions_give_every_item_once(
        self, orders: ContainerProxy, page: int
    ) -> None:
        found: list[int] = []
        token = None
        while True:
            pages = orders.query_items("SELECT * FROM c WHERE c.n >= 0", max_item_count=page).by_page(token)
            found += numbers([item async for item in await anext(pages)])
            token = pages.continuation_token
            if token is None:
                break
        assert sorted(found) == ALL

    async def test_a_page_is_right_although_items_come_and_go(self, orders: ContainerProxy) -> None:
        query = "SELECT * FROM c ORDER BY c.n"
        pages = orders.query_items(query, partition_key="s1", max_item_count=2).by_page()
        assert numbers([item async for item in await anext(pages)]) == [1, 9]
        await orders.delete_item("1", "s1")
        await orders.create_item({"id": "x", "stream": "s1", "n": 5})
        assert numbers([item async for item in await anext(pages)]) == [17]

    @pytest.mark.parametrize("page", [1, 7, 100])
    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("SELECT * FROM c ORDER BY c.n", ALL),
            ("SELECT * FROM c ORDER BY c.n DESC", ALL[::-1]),
            ("SELECT * FROM c ORDER BY c.deep.text", ALL),
            ('SELECT * FROM c WHERE c["n"] >= @least AND c.n != 20 ORDER BY c["n"]', [18, 19, 21, 22, 23]),
            ("SELECT TOP 4 * FROM c ORDER BY c.n DESC", [23, 22, 21, 20]),
            ("SELECT * FROM c ORDER BY c.n OFFSET 5 LIMIT 4", [5, 6, 7, 8]),
            ("SELECT * FROM c WHERE NOT IS_DEFINED(c.n) ORDER BY c.n", []),
        ],
    )
    async def test_the_sdk_merges_what_is_ordered_across_partitions(
        self, orders: ContainerProxy, query: str, expected: list[int], page: int
    ) -> None:
        found = await listed(
            orders.query_items(query, parameters=[{"name": "@least", "value": 18}], max_item_count=page)
        )
        assert numbers(found) == expected

    @pytest.mark.parametrize("page", [1, 2, 100])
    async def test_top_and_limit_hold_over_the_pages_of_a_partition(
        self, orders: ContainerProxy, page: int
    ) -> None:
        async def found(query: str) -> list[int]:
            return numbers(await listed(orders.query_items(query, partition_key="s1", max_item_count=page)))

        assert await found("SELECT TOP 2 * FROM c ORDER BY c.n DESC") == [17, 9]
        assert await found("SELECT TOP 0 * FROM c") == []
        assert await found("SELECT TOP 9 * FROM c ORDER BY c.n") == [1, 9, 17]
        assert await found("SELECT * FROM c ORDER BY c.n OFFSET 1 LIMIT 1") == [9]
        assert await found("SELECT * FROM c ORDER BY c.n OFFSET 1 LIMIT 9") == [9, 17]

    async def test_items_without_the_ordered_field_come_first(self, orders: ContainerProxy) -> None:
        await orders.create_item({"id": "x", "stream": "s1"})
        query = orders.query_items("SELECT * FROM c ORDER BY c.n", partition_key="s1", max_item_count=1)
        assert [item["id"] for item in await listed(query)] == ["x", "1", "9", "17"]

    async def test_ranges_can_be_queried_one_by_one(self, orders: ContainerProxy) -> None:
        ranges = await listed(orders.read_feed_ranges())
        assert len(ranges) == 4
        found = [
            numbers(await listed(orders.query_items("SELECT * FROM c", feed_range=each))) for each in ranges
        ]
        assert all(found), "each range has some"
        assert sorted(n for numbers_found in found for n in numbers_found) == ALL

    async def test_all_items_are_read_in_pages(self, orders: ContainerProxy) -> None:
        assert sorted(numbers(await listed(orders.read_all_items(max_item_count=5)))) == ALL
        of_one = orders.query_items("SELECT * FROM c", partition_key="s1")
        assert len(await listed(of_one)) == 3

    @pytest.mark.parametrize(
        ("query", "named"),
        [
            ("SELECT c.id FROM c", "SELECT *"),
            ("SELECT VALUE COUNT(1) FROM c", "SELECT *"),
            ("SELECT DISTINCT * FROM c", "SELECT *"),
            ("SELECT * FROM c JOIN l IN c.lines", "JOIN"),
            ("SELECT * FROM c WHERE c.n = 1 OR c.n = 2", "OR"),
            ("SELECT * FROM c WHERE c.n IN (1, 2)", "IN"),
            ("SELECT * FROM c WHERE c.n BETWEEN 1 AND 2", "BETWEEN"),
            ("SELECT * FROM c WHERE STARTSWITH(c.id, '1')", "STARTSWITH"),
            ("SELECT * FROM c WHERE NOT c.n = 1", "NOT"),
            ("SELECT * FROM c WHERE c.n + 1 = 2", "near"),
            ("SELECT * FROM c WHERE c.n = c.m", "value"),
            ("SELECT * FROM c WHERE c.a[0] = 1", "quotes"),
            ("SELECT * FROM c WHERE c = 1", "path"),
            ("SELECT * FROM c WHERE d.n = 1", "value"),
            ("SELECT * FROM c WHERE c._etag = '1'", "_etag"),
            ("SELECT * FROM c WHERE c.n = @missing", "@missing"),
            ("SELECT * FROM c WHERE c.n < true", "boolean"),
            ("SELECT * FROM c WHERE c.n = 1e999", "too large"),
            ("SELECT * FROM c ORDER BY c.n, c.m", "','"),
            ("SELECT * FROM c ORDER BY RANK c.n", "path"),
            ("SELECT * FROM c GROUP BY c.n", "GROUP"),
            ("SELECT TOP 1 * FROM c OFFSET 0 LIMIT 1", "TOP"),
            ("SELECT TOP 1.5 * FROM c", "whole number"),
            ("SELECT *", "FROM"),
            ("DELETE FROM c", "SELECT"),
            ("SELECT * FROM c; DROP", "near"),
            ("SELECT * FROM c WHERE c.n = 'open", "near"),
            ("SELECT * FROM c WHERE", "the end"),
            ("SELECT * FROM c WHERE " + "(" * 5000 + "c.n = 1", "deep"),
        ],
    )
    async def test_what_is_not_served_is_refused_by_name(
        self, orders: ContainerProxy, query: str, named: str
    ) -> None:
        error = await failed(listed(orders.query_items(query, partition_key="s1")), 400)
        assert "Code: BadRequest" in str(error)
        assert named in str(error)

    async def test_a_query_across_partitions_must_be_enabled(self, endpoint: Endpoint) -> None:
        reply = await send(
            endpoint,
            "POST",
            "/dbs/shop/colls/orders/docs",
            body={"query": "SELECT * FROM c"},
            x_ms_documentdb_isquery="True",
        )
        assert reply.status == 400
        assert "x-ms-documentdb-query-enablecrosspartition" in reply.json["message"]

    async def test_a_query_that_needs_a_plan_is_refused_with_it(self, endpoint: Endpoint) -> None:
        reply = await send(
            endpoint,
            "POST",
            "/dbs/shop/colls/orders/docs",
            body={"query": "SELECT * FROM c ORDER BY c.n"},
            x_ms_documentdb_isquery="True",
            x_ms_documentdb_query_enablecrosspartition="True",
        )
        assert (reply.status, reply.headers["x-ms-substatus"]) == (400, "1004")
        assert "orderBy" in reply.json["additionalErrorInfo"]

    async def test_a_token_of_another_query_is_refused(self, orders: ContainerProxy) -> None:
        pages = orders.query_items(
            "SELECT * FROM c ORDER BY c.n", partition_key="s1", max_item_count=1
        ).by_page()
        await anext(pages)
        token = pages.continuation_token
        for query, partition in (
            ("SELECT * FROM c ORDER BY c.n", "s2"),
            ("SELECT * FROM c ORDER BY c.n DESC", "s1"),
            ("SELECT TOP 2 * FROM c ORDER BY c.n", "s1"),
        ):
            await failed(anext(orders.query_items(query, partition_key=partition).by_page(token)), 400)

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"[]",
            {"query": 1},
            {"query": "SELECT * FROM c", "parameters": {}},
            {"query": "", "parameters": [1]},
        ],
    )
    async def test_a_body_that_is_no_query_is_a_bad_request(self, endpoint: Endpoint, body: Any) -> None:
        reply = await send(
            endpoint,
            "POST",
            "/dbs/shop/colls/orders/docs",
            body=body,
            x_ms_documentdb_isquery="True",
            x_ms_documentdb_partitionkey='["s"]',
        )
        assert (reply.status, reply.json["code"]) == (400, "BadRequest")

    @pytest.mark.parametrize("range_id", ["4", "x", ""])
    async def test_a_range_that_is_none_is_gone(self, endpoint: Endpoint, range_id: str) -> None:
        reply = await send(
            endpoint,
            "POST",
            "/dbs/shop/colls/orders/docs",
            body={"query": "SELECT * FROM c"},
            x_ms_documentdb_isquery="True",
            x_ms_documentdb_partitionkeyrangeid=range_id,
        )
        assert (reply.status, reply.headers["x-ms-substatus"]) == (410, "1002")
