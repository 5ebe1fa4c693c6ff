"""The change feed of the Cosmos endpoint, by the real SDK, and the ranges it is read by."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from azure.cosmos.aio import ContainerProxy, CosmosClient
from azure.cosmos.partition_key import PartitionKey
from hypothesis import given
from hypothesis import strategies as st

from emulator.documents.partitions import FEED_RANGES, bounds, effective_key, feed_range_of
from tests.wire.cosmos_endpoint import CosmosTests, Endpoint, container_of, failed, listed, send


async def changed(orders: ContainerProxy, **options: Any) -> tuple[list[dict[str, Any]], str]:
    """Everything up to now, and the token to go on from."""
    headers: list[Any] = []
    feed = orders.query_items_change_feed(response_hook=lambda seen, _: headers.append(seen), **options)
    items = await listed(feed)
    return items, headers[-1]["etag"]


async def _nothing() -> AsyncIterator[Any]:
    for item in ():
        yield item


class TestChangeFeed(CosmosTests):
    async def test_it_begins_at_the_first_item_and_shows_the_latest_version_of_each(
        self, orders: ContainerProxy
    ) -> None:
        for n in range(12):
            await orders.create_item({"id": str(n), "stream": f"s{n}", "n": 0})
        await orders.upsert_item({"id": "3", "stream": "s3", "n": 1})
        await orders.delete_item("4", "s4")
        items, _ = await changed(orders, start_time="Beginning")
        assert {item["id"]: item["n"] for item in items} == {str(n): int(n == 3) for n in range(12) if n != 4}
        (three,) = [item for item in items if item["id"] == "3"]
        lsn = three.pop("_lsn")
        assert three == await orders.read_item("3", "s3")
        assert isinstance(lsn, int)

    async def test_within_a_partition_it_keeps_the_order_of_writes(self, orders: ContainerProxy) -> None:
        await orders.execute_item_batch(
            [("create", ({"id": f"event:{n}", "stream": "s"},)) for n in range(20)], "s"
        )
        await orders.upsert_item({"id": "event:0", "stream": "s"})
        items, _ = await changed(orders, start_time="Beginning", max_item_count=3)
        assert [item["id"] for item in items] == [f"event:{n}" for n in [*range(1, 20), 0]]

    @pytest.mark.parametrize("page", [1, 4, 100])
    async def test_a_token_goes_on_in_another_client_where_the_last_page_ended(
        self, endpoint: Endpoint, orders: ContainerProxy, page: int
    ) -> None:
        for n in range(9):
            await orders.create_item({"id": str(n), "stream": f"s{n}"})
        seen: list[str] = []
        tokens = []
        # By range, because the SDK cannot read its own token before it has asked every range once.
        async for each in orders.read_feed_ranges():
            items, token = await self._page(endpoint, page, start_time="Beginning", feed_range=each)
            while items:
                assert len(items) <= page
                seen += [item["id"] for item in items]
                items, token = await self._page(endpoint, page, continuation=token)
            tokens.append(token)
        assert sorted(seen) == [str(n) for n in range(9)]
        await orders.create_item({"id": "new", "stream": "s3"})
        found = [item["id"] for token in tokens for item in (await changed(orders, continuation=token))[0]]
        assert found == ["new"]

    async def test_from_now_on_it_shows_what_is_written_later(self, orders: ContainerProxy) -> None:
        await orders.create_item({"id": "old", "stream": "s"})
        items, token = await changed(orders)
        assert items == []
        await orders.create_item({"id": "new", "stream": "s"})
        await orders.create_item({"id": "other", "stream": "s3"})
        items, token = await changed(orders, continuation=token)
        assert {item["id"] for item in items} == {"new", "other"}
        items, token = await changed(orders, continuation=token)
        assert items == []

    async def test_it_can_be_read_range_by_range_and_by_partition(self, orders: ContainerProxy) -> None:
        for n in range(16):
            await orders.create_item({"id": str(n), "stream": f"s{n}"})
        by_range = []
        async for each in orders.read_feed_ranges():
            items, _ = await changed(orders, feed_range=each, start_time="Beginning")
            by_range.append([item["id"] for item in items])
        assert len(by_range) == FEED_RANGES
        assert sorted((id for ids in by_range for id in ids), key=int) == [str(n) for n in range(16)]
        await orders.create_item({"id": "again", "stream": "s7"})
        items, token = await changed(orders, partition_key="s7", start_time="Beginning", max_item_count=1)
        assert [item["id"] for item in items] == ["7", "again"]
        await orders.create_item({"id": "x", "stream": "s6"})
        assert (await changed(orders, continuation=token))[0] == []

    async def test_it_shows_nothing_of_other_containers_and_nothing_expired(
        self, endpoint: Endpoint, client: CosmosClient, orders: ContainerProxy
    ) -> None:
        await container_of(client, "stock").create_item({"id": "1", "sku": "s"})
        await orders.create_item({"id": "1", "stream": "s", "ttl": 1})
        endpoint.clock.ahead_s += 2
        assert (await changed(orders, start_time="Beginning"))[0] == []

    async def test_all_versions_and_points_in_time_are_refused(self, orders: ContainerProxy) -> None:
        feed = orders.query_items_change_feed(mode="AllVersionsAndDeletes")
        assert "Full-Fidelity" in str(await failed(listed(feed), 400))
        properties = await orders.create_item({"id": "1", "stream": "s"})
        moment = datetime.fromtimestamp(properties["_ts"], UTC)
        feed = orders.query_items_change_feed(start_time=moment)
        assert "If-Modified-Since" in str(await failed(listed(feed), 400))

    async def test_without_news_it_answers_304_and_where_it_stands(self, endpoint: Endpoint) -> None:
        first = await self._read(endpoint)
        assert (first.status, first.body, first.headers["etag"]) == (304, b"", '"0"')
        stream = next(f"s{n}" for n in range(99) if feed_range_of(f"s{n}") == 0)
        await endpoint.engine.create("orders", stream, {"id": "1", "stream": stream})
        second = await self._read(endpoint, if_none_match=first.headers["etag"])
        assert (second.status, second.json["_count"]) == (200, 1)
        third = await self._read(endpoint, if_none_match=second.headers["etag"])
        assert (third.status, third.headers["etag"]) == (304, second.headers["etag"])

    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({"if_none_match": "nonsense"}, 400),
            ({"x_ms_documentdb_partitionkeyrangeid": "9"}, 410),
            ({"x_ms_max_item_count": "0"}, 400),
            ({"x_ms_max_item_count": "x"}, 400),
        ],
    )
    async def test_headers_that_make_no_sense_are_refused(
        self, endpoint: Endpoint, headers: dict[str, str], status: int
    ) -> None:
        assert (await self._read(endpoint, **headers)).status == status

    async def test_a_feed_of_no_range_is_refused(self, endpoint: Endpoint) -> None:
        reply = await send(endpoint, "GET", "/dbs/shop/colls/orders/docs", a_im="Incremental Feed")
        assert reply.status == 400

    async def _page(self, endpoint: Endpoint, size: int, **start: Any) -> tuple[list[Any], str]:
        """The next page by a client of its own; none when there is nothing more."""
        async with endpoint.client() as client:
            pages = container_of(client).query_items_change_feed(max_item_count=size, **start).by_page()
            items = [item async for item in await anext(pages, _nothing())]
            return items, client.client_connection.last_response_headers["etag"]

    async def _read(self, endpoint: Endpoint, **headers: str) -> Any:
        wanted = {"a_im": "Incremental Feed", "x_ms_documentdb_partitionkeyrangeid": "0"} | headers
        return await send(endpoint, "GET", "/dbs/shop/colls/orders/docs", **wanted)


@given(st.text(st.characters(codec="utf-8"), max_size=70))
def test_partition_keys_are_hashed_as_the_sdk_does(key: str) -> None:
    assert effective_key(key) == PartitionKey("/any")._get_epk_range_for_partition_key(key).min


@given(st.text(st.characters(codec="utf-8"), max_size=20))
def test_a_partition_key_lies_within_the_bounds_of_its_range(key: str) -> None:
    low, high = bounds(feed_range_of(key))
    assert low <= effective_key(key) < high


def test_the_ranges_cover_all_hashes_without_a_gap() -> None:
    ranges = [bounds(number) for number in range(FEED_RANGES)]
    assert ranges[0][0] == ""
    assert ranges[-1][1] == "FF"
    assert [high for _, high in ranges[:-1]] == [low for low, _ in ranges[1:]]
