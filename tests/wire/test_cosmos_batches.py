"""Transactional batches of the Cosmos endpoint, by the real SDK."""

import asyncio
import copy
from typing import Any

import pytest
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosBatchOperationError

from emulator.documents.model import MAX_ITEM_BYTES
from tests.wire.cosmos_endpoint import CosmosTests, Endpoint, failed, listed, send
from tests.wire.test_cosmos_items import LARGE


def item(id: str, **fields: Any) -> dict[str, Any]:
    return {"id": id, "stream": "s", **fields}


async def refused(orders: ContainerProxy, operations: list[Any]) -> CosmosBatchOperationError:
    with pytest.raises(CosmosBatchOperationError) as caught:
        await orders.execute_item_batch(operations, "s")
    return caught.value


class TestBatches(CosmosTests):
    async def test_every_operation_answers_with_what_it_left(self, orders: ContainerProxy) -> None:
        old = await orders.create_item(item("1", n=1))
        await orders.create_item(item("2"))
        await orders.create_item(item("3", n=1))
        results = await orders.execute_item_batch(
            [
                ("create", (item("4"),)),
                ("upsert", (item("5"),)),
                ("upsert", (item("5", n=2),)),
                ("replace", ("1", item("1", n=2)), {"if_match_etag": old["_etag"]}),
                ("delete", ("2",)),
                (
                    "patch",
                    ("3", [{"op": "incr", "path": "/n", "value": 1}]),
                    {"filter_predicate": "FROM c WHERE c.n = 1"},
                ),
            ],
            "s",
        )
        assert [result["statusCode"] for result in results] == [201, 201, 200, 200, 204, 200]
        stored = {each["id"]: each for each in await listed(orders.read_all_items())}
        assert stored.keys() == {"1", "3", "4", "5"}
        assert [results[index]["resourceBody"] for index in (0, 2, 3, 5)] == [stored[i] for i in "4513"]
        assert [results[index]["eTag"] for index in (0, 2, 3, 5)] == [stored[i]["_etag"] for i in "4513"]
        assert all(result["requestCharge"] > 0 for result in results)
        total = float(results.get_response_headers()["x-ms-request-charge"])
        assert total == pytest.approx(sum(result["requestCharge"] for result in results))

    @pytest.mark.parametrize(
        ("operation", "status"),
        [
            (("create", (item("there"),)), 409),
            (("replace", ("gone", item("gone"))), 404),
            (("replace", ("there", item("there")), {"if_match_etag": '"0"'}), 412),
            (("delete", ("gone",)), 404),
            (("delete", ("there",), {"if_match_etag": '"0"'}), 412),
            (("patch", ("there", [{"op": "remove", "path": "/missing"}])), 400),
            (
                (
                    "patch",
                    ("there", [{"op": "incr", "path": "/n", "value": 1}]),
                    {"filter_predicate": "FROM c WHERE c.n > 1"},
                ),
                412,
            ),
            (("create", ({"id": "x", "stream": "another"},)), 400),
        ],
    )
    @pytest.mark.parametrize("place", [0, 1, 2])
    async def test_a_batch_with_a_refused_operation_names_it_and_does_nothing(
        self, orders: ContainerProxy, operation: Any, status: int, place: int
    ) -> None:
        before = await orders.create_item(item("there", n=1))
        operations: list[Any] = [("create", (item("a"),)), ("upsert", (item("b"),))]
        operations.insert(place, copy.deepcopy(operation))  # the SDK empties the options
        error = await refused(orders, operations)
        assert (error.error_index, error.status_code) == (place, status)
        expected = [424, 424, 424]
        expected[place] = status
        assert [each["statusCode"] for each in error.operation_responses] == expected
        assert await listed(orders.read_all_items()) == [before]

    async def test_a_batch_sees_its_own_earlier_operations(self, orders: ContainerProxy) -> None:
        await orders.execute_item_batch(
            [("create", (item("1", n=1),)), ("patch", ("1", [{"op": "incr", "path": "/n", "value": 1}]))], "s"
        )
        assert (await orders.read_item("1", "s"))["n"] == 2
        error = await refused(orders, [("create", (item("2"),)), ("create", (item("2"),))])
        assert error.error_index == 1
        await failed(orders.read_item("2", "s"), 404)

    async def test_of_batches_that_append_the_same_version_one_wins(self, orders: ContainerProxy) -> None:
        async def append(n: int) -> None:
            await orders.execute_item_batch(
                [("create", (item("event:1", by=n),)), ("upsert", (item("snapshot", by=n),))], "s"
            )

        results = await asyncio.gather(*map(append, range(5)), return_exceptions=True)
        assert [getattr(result, "status_code", None) for result in results].count(409) == 4
        event, snapshot = [await orders.read_item(id, "s") for id in ("event:1", "snapshot")]
        assert event["by"] == snapshot["by"]

    async def test_a_batch_of_a_hundred_is_done_and_one_more_is_refused(self, orders: ContainerProxy) -> None:
        many = [("create", (item(str(n)),)) for n in range(101)]
        await failed(orders.execute_item_batch(many, "s"), 400)
        results = await orders.execute_item_batch(many[:100], "s")
        assert {result["statusCode"] for result in results} == {201}
        await failed(orders.execute_item_batch([], "s"), 400)

    @LARGE
    async def test_a_batch_that_is_too_large_is_refused(self, orders: ContainerProxy) -> None:
        half = "x" * (MAX_ITEM_BYTES // 2)
        await failed(
            orders.execute_item_batch([("create", (item(str(n), text=half),)) for n in range(2)], "s"), 413
        )
        assert await listed(orders.read_all_items()) == []

    async def test_a_minimal_answer_has_no_items(self, orders: ContainerProxy) -> None:
        (result,) = await orders.execute_item_batch([("create", (item("1"),))], "s", no_response=True)
        assert result["statusCode"] == 201
        assert "resourceBody" not in result

    @pytest.mark.parametrize(
        "operation",
        [
            ("read", ("1",)),
            ("create", (item("2"),), {"if_none_match_etag": "*"}),
            ("upsert", (item("2"),), {"if_match_etag": '"1"'}),
            ("replace", ("1", item("2"))),
        ],
    )
    async def test_what_is_not_served_refuses_the_whole_batch(
        self, orders: ContainerProxy, operation: Any
    ) -> None:
        await failed(
            orders.execute_item_batch([("create", (item("1"),)), copy.deepcopy(operation)], "s"), 400
        )
        assert await listed(orders.read_all_items()) == []

    @pytest.mark.parametrize(
        "body",
        [
            b"nonsense",
            {"operationType": "Create"},
            ["text"],
            [{}],
            [{"operationType": 1, "resourceBody": {}}],
            [{"operationType": "Create", "resourceBody": []}],
            [{"operationType": ["Create"], "resourceBody": {}}],
            [{"operationType": "Delete", "id": 1}],
            [{"operationType": "Delete", "id": "1", "ifMatch": 1}],
            [{"operationType": "Patch", "id": "1", "resourceBody": None}],
        ],
    )
    async def test_a_body_that_is_no_batch_is_a_bad_request(self, endpoint: Endpoint, body: Any) -> None:
        reply = await send(
            endpoint,
            "POST",
            "/dbs/shop/colls/orders/docs",
            body=body,
            x_ms_cosmos_is_batch_request="True",
            x_ms_cosmos_batch_atomic="True",
            x_ms_documentdb_partitionkey='["s"]',
        )
        assert (reply.status, reply.json["code"]) == (400, "BadRequest")

    async def test_a_batch_that_need_not_be_atomic_is_refused(self, endpoint: Endpoint) -> None:
        reply = await send(
            endpoint,
            "POST",
            "/dbs/shop/colls/orders/docs",
            body=[{"operationType": "Create", "resourceBody": item("1")}],
            x_ms_cosmos_is_batch_request="True",
            x_ms_documentdb_partitionkey='["s"]',
        )
        assert reply.status == 400
        assert "atomic" in reply.json["message"]
