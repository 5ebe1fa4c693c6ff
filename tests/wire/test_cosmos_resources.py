"""Databases and containers of the Cosmos endpoint, by the real SDK."""

from pathlib import Path
from typing import Any

import pytest
from azure.cosmos import PartitionKey
from azure.cosmos.aio import CosmosClient

from tests.wire.cosmos_endpoint import CosmosTests, Endpoint, endpoint_at, failed, listed, send


class TestResources(CosmosTests):
    async def test_the_account_points_back_to_where_the_client_came_from(self, endpoint: Endpoint) -> None:
        reply = await send(endpoint, "GET", "/", kind="", link="")
        for locations in ("writableLocations", "readableLocations"):
            assert [each["databaseAccountEndpoint"] for each in reply.json[locations]] == [endpoint.url]
        assert reply.json["userConsistencyPolicy"] == {"defaultConsistencyLevel": "Session"}

    async def test_the_containers_of_the_topology_are_there(self, client: CosmosClient) -> None:
        assert [each["id"] for each in await listed(client.list_databases())] == ["shop"]
        database = client.get_database_client("shop")
        containers = {each["id"]: each for each in await listed(database.list_containers())}
        assert containers.keys() == {"orders", "stock"}
        assert containers["orders"] == await database.get_container_client("orders").read()
        assert containers["orders"]["partitionKey"] == {"paths": ["/stream"], "kind": "Hash", "version": 2}
        assert containers["orders"]["defaultTtl"] == -1
        assert "defaultTtl" not in containers["stock"]

    async def test_setting_up_twice_changes_nothing(self, client: CosmosClient) -> None:
        for _ in range(2):
            database = await client.create_database_if_not_exists("shop", offer_throughput=400)
            leases = await database.create_container_if_not_exists(
                "leases", PartitionKey("/id"), default_ttl=60, indexing_policy={"indexingMode": "none"}
            )
            await leases.upsert_item({"id": "1"})
        assert len(await listed(database.list_containers())) == 3
        await failed(client.create_database("shop"), 409)
        for id in ("orders", "leases"):
            await failed(database.create_container(id, PartitionKey("/id")), 409)

    async def test_what_was_created_is_there_after_a_restart(self, tmp_path: Path) -> None:
        async with endpoint_at(tmp_path / "store") as endpoint, endpoint.client() as client:
            database = await client.create_database("other")
            created = await database.create_container("orders", PartitionKey("/customer"), default_ttl=60)
            before = await created.read()
            await created.create_item({"id": "1", "customer": "c"})
        async with endpoint_at(tmp_path / "store") as endpoint, endpoint.client() as client:
            assert [each["id"] for each in await listed(client.list_databases())] == ["other", "shop"]
            container = client.get_database_client("other").get_container_client("orders")
            assert await container.read() == before
            assert (before["defaultTtl"], before["partitionKey"]["paths"]) == (60, ["/customer"])
            assert (await container.read_item("1", "c"))["id"] == "1"
            endpoint.clock.ahead_s += 61
            await failed(container.read_item("1", "c"), 404)

    async def test_containers_of_one_name_in_two_databases_are_two(self, client: CosmosClient) -> None:
        database = await client.create_database("other")
        other = await database.create_container("orders", PartitionKey("/stream"))
        orders = client.get_database_client("shop").get_container_client("orders")
        item = {"id": "1", "stream": "s"}
        await other.create_item(item)
        await failed(orders.read_item("1", "s"), 404)
        await orders.create_item(item)
        assert (await other.read())["_rid"] != (await orders.read())["_rid"]

    async def test_what_is_missing_is_not_found(self, client: CosmosClient) -> None:
        await failed(client.get_database_client("none").read(), 404)
        await failed(client.get_database_client("shop").get_container_client("none").read(), 404)
        await failed(client.get_database_client("none").create_container("c", PartitionKey("/id")), 404)
        await failed(listed(client.get_database_client("none").list_containers()), 404)

    async def test_nothing_can_be_deleted(self, client: CosmosClient) -> None:
        await failed(client.delete_database("shop"), 405)
        error = await failed(client.get_database_client("shop").delete_container("orders"), 405)
        assert "DELETE" in str(error)

    @pytest.mark.parametrize(
        ("key", "options", "named"),
        [
            (PartitionKey(["/a", "/b"]), {}, "MultiHash"),
            (PartitionKey("/a/b"), {}, "/a/b"),
            (PartitionKey("/a", version=1), {}, "version 1"),
            (PartitionKey("/a"), {"default_ttl": 0}, "defaultTtl"),
            (
                PartitionKey("/a"),
                {"unique_key_policy": {"uniqueKeys": [{"paths": ["/b"]}]}},
                "uniqueKeyPolicy",
            ),
            (PartitionKey("/a"), {"analytical_storage_ttl": 5}, "analyticalStorageTtl"),
        ],
    )
    async def test_what_is_not_served_for_a_container_is_refused_by_name(
        self, client: CosmosClient, key: PartitionKey, options: dict[str, Any], named: str
    ) -> None:
        database = client.get_database_client("shop")
        assert named in str(await failed(database.create_container("new", key, **options), 400))
        assert len(await listed(database.list_containers())) == 2

    @pytest.mark.parametrize("body", [{}, {"id": 1}, {"id": ""}, {"id": "a/b"}, {"id": "a", "x": 1}, []])
    async def test_a_database_without_a_proper_id_is_refused(self, endpoint: Endpoint, body: Any) -> None:
        reply = await send(endpoint, "POST", "/dbs", kind="dbs", link="", body=body)
        assert (reply.status, reply.json["code"]) == (400, "BadRequest")

    async def test_queries_for_containers_are_refused(self, client: CosmosClient) -> None:
        database = client.get_database_client("shop")
        await failed(listed(database.query_containers("SELECT * FROM c")), 400)
        await failed(listed(client.query_databases("SELECT * FROM c")), 400)
