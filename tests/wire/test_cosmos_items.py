"""Point operations of the Cosmos endpoint, by the real SDK."""

import asyncio
from pathlib import Path

import pytest
from azure.core import MatchConditions
from azure.cosmos.aio import ContainerProxy

from emulator.documents.model import MAX_ITEM_BYTES
from tests.wire.cosmos_endpoint import CosmosTests, Endpoint, container_of, endpoint_at, failed, listed

UNCHANGED = MatchConditions.IfNotModified
LARGE = pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")  # aiohttp's, of the SDK


class TestItems(CosmosTests):
    async def test_an_item_comes_back_with_its_system_properties(self, orders: ContainerProxy) -> None:
        created = await orders.create_item({"id": "1", "stream": "s", "lines": [{"sku": "A", "n": 2}]})
        read = await orders.read_item("1", "s")
        assert read == created
        assert read["lines"] == [{"sku": "A", "n": 2}]
        assert {"_rid", "_self", "_etag", "_attachments", "_ts"} < read.keys()
        properties = await orders.read()
        assert read["_self"].startswith(properties["_self"])

    @pytest.mark.parametrize("id", ["a b", "ü😀", "100%25", "a:b@c+d&e=f", "a'\"b", "docs"])
    async def test_an_id_may_have_any_characters_that_the_service_allows(
        self, orders: ContainerProxy, id: str
    ) -> None:
        await orders.create_item({"id": id, "stream": id})
        assert (await orders.read_item(id, id))["id"] == id
        await orders.delete_item(id, id)
        await failed(orders.read_item(id, id), 404)

    async def test_a_second_create_of_an_id_is_a_conflict_in_its_partition_only(
        self, orders: ContainerProxy
    ) -> None:
        await orders.create_item({"id": "1", "stream": "s"})
        await failed(orders.create_item({"id": "1", "stream": "s"}), 409)
        await orders.create_item({"id": "1", "stream": "t"})

    async def test_an_upsert_creates_or_replaces_and_says_which(
        self, endpoint: Endpoint, orders: ContainerProxy
    ) -> None:
        statuses = []

        def note(pipeline_response) -> None:
            statuses.append(pipeline_response.http_response.status_code)

        await orders.upsert_item({"id": "1", "stream": "s", "n": 1}, raw_response_hook=note)
        await orders.upsert_item({"id": "1", "stream": "s", "n": 2}, raw_response_hook=note)
        assert statuses[-2:] == [201, 200]
        await orders.upsert_item({"id": "2", "stream": "s", "ttl": 1})
        endpoint.clock.ahead_s += 2
        await orders.upsert_item({"id": "2", "stream": "s"}, raw_response_hook=note)
        assert statuses[-1] == 201, "in the place of one that expired"

    async def test_what_is_missing_is_not_found(self, orders: ContainerProxy) -> None:
        item = {"id": "1", "stream": "s"}
        await failed(orders.read_item("1", "s"), 404)
        await failed(orders.replace_item("1", item), 404)
        await failed(orders.delete_item("1", "s"), 404)
        error = await failed(orders.patch_item("1", "s", [{"op": "set", "path": "/n", "value": 1}]), 404)
        assert error.sub_status in {None, 0}, "another substatus would speak of the container"

    async def test_of_two_replaces_with_one_etag_the_second_fails_and_changes_nothing(
        self, orders: ContainerProxy
    ) -> None:
        first = await orders.create_item({"id": "1", "stream": "s", "n": 0})

        async def replace(n: int) -> int:
            item = {"id": "1", "stream": "s", "n": n}
            await orders.replace_item("1", item, etag=first["_etag"], match_condition=UNCHANGED)
            return n

        results = await asyncio.gather(replace(1), replace(2), replace(3), return_exceptions=True)
        (won,) = [result for result in results if isinstance(result, int)]
        assert {getattr(result, "status_code", None) for result in results if result != won} == {412}
        assert (await orders.read_item("1", "s"))["n"] == won

    async def test_patch_and_delete_keep_to_an_etag(self, orders: ContainerProxy) -> None:
        old = await orders.create_item({"id": "1", "stream": "s", "n": 0})
        new = await orders.replace_item("1", {**old, "n": 1})
        add = [{"op": "incr", "path": "/n", "value": 1}]
        stale = {"etag": old["_etag"], "match_condition": UNCHANGED}
        await failed(orders.patch_item("1", "s", add, **stale), 412)
        await failed(orders.delete_item("1", "s", **stale), 412)
        patched = await orders.patch_item("1", "s", add, etag=new["_etag"], match_condition=UNCHANGED)
        assert patched["n"] == 2
        await orders.delete_item("1", "s", etag=patched["_etag"], match_condition=UNCHANGED)

    async def test_every_operation_of_a_patch_does_what_it_says(self, orders: ContainerProxy) -> None:
        await orders.create_item({"id": "1", "stream": "s", "n": 1, "deep": {"a": 1, "b": 2}, "x": 0})
        patched = await orders.patch_item(
            "1",
            "s",
            [
                {"op": "incr", "path": "/n", "value": 4},
                {"op": "incr", "path": "/fresh", "value": -1},
                {"op": "set", "path": "/deep/a", "value": [1, None]},
                {"op": "add", "path": "/deep/c", "value": {"d": True}},
                {"op": "replace", "path": "/x", "value": "y"},
                {"op": "remove", "path": "/deep/b"},
            ],
        )
        assert {name: patched[name] for name in ("n", "fresh", "deep", "x")} == {
            "n": 5,
            "fresh": -1,
            "deep": {"a": [1, None], "c": {"d": True}},
            "x": "y",
        }

    @pytest.mark.parametrize(
        "operation",
        [
            {"op": "replace", "path": "/missing", "value": 1},
            {"op": "remove", "path": "/missing"},
            {"op": "set", "path": "/missing/deeper", "value": 1},
            {"op": "incr", "path": "/text", "value": 1},
            {"op": "move", "from": "/n", "path": "/m"},
            {"op": "set", "path": "/list/0", "value": 1},
            {"op": "set", "path": "/id", "value": "2"},
            {"op": "set", "path": "/stream", "value": "t"},
            {"op": "set", "path": "/n"},
            {"op": "set", "path": "n", "value": 1},
            {"op": "set", "path": "/a.b", "value": 1},
        ],
    )
    async def test_a_patch_that_cannot_be_done_is_refused_and_changes_nothing(
        self, orders: ContainerProxy, operation: dict[str, object]
    ) -> None:
        before = await orders.create_item({"id": "1", "stream": "s", "n": 1, "text": "a", "list": [1]})
        await failed(orders.patch_item("1", "s", [{"op": "set", "path": "/n", "value": 9}, operation]), 400)
        assert await orders.read_item("1", "s") == before

    @pytest.mark.parametrize(
        ("predicate", "holds"),
        [
            ("FROM c WHERE c.available >= 3", True),
            ("FROM c WHERE c.available > 3", False),
            ('from c where c["available"] = 3 and c["sku"] = "A\\"1"', True),
            ("FROM c WHERE c.available = 3 AND c.sku = 'B'", False),
            ("FROM c WHERE c.missing != 1", False),
            ("FROM c WHERE c.sku > 1", False),
            ("FROM c WHERE IS_DEFINED(c.deep.flag) AND NOT IS_DEFINED(c.deep.other)", True),
            ("FROM c WHERE c.deep.flag = false", True),
            ("FROM c WHERE c.nothing = null", True),
        ],
    )
    async def test_a_patch_is_done_when_its_predicate_holds(
        self, orders: ContainerProxy, predicate: str, holds: bool
    ) -> None:
        item = {
            "id": "1",
            "stream": "s",
            "available": 3,
            "sku": 'A"1',
            "deep": {"flag": False},
            "nothing": None,
        }
        await orders.create_item(item)
        take = orders.patch_item(
            "1", "s", [{"op": "incr", "path": "/available", "value": -3}], filter_predicate=predicate
        )
        if holds:
            assert (await take)["available"] == 0
        else:
            await failed(take, 412)
            assert (await orders.read_item("1", "s"))["available"] == 3

    async def test_two_buyers_never_get_the_same_stock(self, orders: ContainerProxy) -> None:
        await orders.create_item({"id": "1", "stream": "s", "available": 5})
        results = await asyncio.gather(
            *(
                orders.patch_item(
                    "1",
                    "s",
                    [{"op": "incr", "path": "/available", "value": -1}],
                    filter_predicate="FROM c WHERE c.available >= 1",
                )
                for _ in range(8)
            ),
            return_exceptions=True,
        )
        assert sorted(getattr(result, "status_code", 200) for result in results) == [200] * 5 + [412] * 3

    async def test_a_minimal_answer_has_the_etag_and_no_body(self, orders: ContainerProxy) -> None:
        created = await orders.create_item({"id": "1", "stream": "s"}, no_response=True)
        assert dict(created) == {}
        replaced = await orders.replace_item("1", {"id": "1", "stream": "s"}, no_response=True)
        assert dict(replaced) == {}
        assert replaced.get_response_headers()["etag"] == (await orders.read_item("1", "s"))["_etag"]

    async def test_every_answer_names_its_charge_and_its_activity(self, orders: ContainerProxy) -> None:
        small = await orders.create_item({"id": "1", "stream": "s"})
        large = await orders.create_item({"id": "2", "stream": "s", "text": "x" * 50_000})
        charges = [float(each.get_response_headers()["x-ms-request-charge"]) for each in (small, large)]
        assert 0 < charges[0] < charges[1]
        error = await failed(orders.read_item("3", "s"), 404)
        assert len(error.headers["x-ms-activity-id"]) == 36
        assert float(error.headers["x-ms-request-charge"]) == 1, "what is not there was looked for"

    async def test_an_item_expires_by_its_ttl_and_by_that_of_its_container(
        self, endpoint: Endpoint, orders: ContainerProxy
    ) -> None:
        await orders.create_item({"id": "1", "stream": "s", "ttl": 5})
        await orders.create_item({"id": "2", "stream": "s"})
        endpoint.clock.ahead_s += 6
        await failed(orders.read_item("1", "s"), 404)
        assert [item["id"] for item in await listed(orders.query_items("SELECT * FROM c"))] == ["2"]

    @LARGE
    async def test_an_item_that_is_too_large_is_refused(self, orders: ContainerProxy) -> None:
        await failed(orders.create_item({"id": "1", "stream": "s", "text": "x" * MAX_ITEM_BYTES}), 413)
        await orders.create_item({"id": "1", "stream": "s", "text": "x" * (MAX_ITEM_BYTES - 100)})

    @LARGE
    async def test_a_large_item_of_escaped_text_is_taken(self, orders: ContainerProxy) -> None:
        text = "ü" * (MAX_ITEM_BYTES // 6)
        await orders.create_item({"id": "1", "stream": "s", "text": text})
        assert (await orders.read_item("1", "s"))["text"] == text

    async def test_only_strings_are_partition_keys(self, orders: ContainerProxy) -> None:
        for key in (1, None, True):
            await failed(orders.create_item({"id": "1", "stream": key}), 400)
        await failed(orders.create_item({"id": "1"}), 400)


async def test_a_client_survives_a_restart_of_the_endpoint_and_finds_everything(tmp_path: Path) -> None:
    async with endpoint_at(tmp_path / "store") as first:
        port = first.server.port
        client = first.client()
        orders = container_of(client)
        created = await orders.create_item({"id": "1", "stream": "s"})
    async with endpoint_at(tmp_path / "store", port):
        read = await orders.read_item("1", "s")
        await client.close()
    assert read == created


class TestFaults(CosmosTests):
    async def test_throttling_says_when_to_come_again_and_the_sdk_does(
        self, endpoint: Endpoint, orders: ContainerProxy
    ) -> None:
        await orders.create_item({"id": "1", "stream": "s"})
        endpoint.engine.fail_until(endpoint.clock.time() + 0.2, retry_after_s=0.1)
        assert (await orders.read_item("1", "s"))["id"] == "1"

    async def test_a_client_without_retries_sees_the_429(self, endpoint: Endpoint) -> None:
        async with endpoint.client(retry_throttle_total=-1) as client:
            orders = container_of(client)
            await orders.create_item({"id": "1", "stream": "s"})
            endpoint.engine.fail_until(endpoint.clock.time() + 60, retry_after_s=1.5)
            error = await failed(orders.read_item("1", "s"), 429)
            assert error.headers["x-ms-retry-after-ms"] == "1500"
            assert error.sub_status == 3200
            batch = orders.execute_item_batch([("delete", ("1",))], "s")
            await failed(batch, 429)
            await failed(listed(orders.query_items("SELECT * FROM c")), 429)
            await failed(listed(orders.query_items_change_feed(start_time="Beginning")), 429)

    async def test_a_449_and_a_503_are_shown_as_such(self, endpoint: Endpoint) -> None:
        async with endpoint.client(retry_total=0) as client:
            orders = container_of(client)
            await orders.create_item({"id": "1", "stream": "s"})
            for status in (449, 503):
                endpoint.engine.fail_until(endpoint.clock.time() + 60, status=status)
                await failed(orders.upsert_item({"id": "1", "stream": "s"}), status)
