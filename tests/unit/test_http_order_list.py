"""The list of orders."""

from dataclasses import replace

import pytest

from services.orders.events import OrderLine
from services.orders.list_projection import Customers
from tests.order_support import append, feed, place
from tests.unit.http_support import Api, broken_rules, content
from triggers.change_feed.orders import project_changes

LISTED = {
    "kind": "order",
    "status": "completed",
    "version": 6,
    "currency": "GBP",
    "total": 200,
    "updated_at": "2027-01-15T08:00:09+00:00",
}


async def with_orders(api: Api, number: int) -> None:
    for n in range(number):
        item = {
            **LISTED,
            "id": f"ord-{n}",
            "customer_id": "c-1",
            "created_at": f"2027-01-15T08:00:0{n}+00:00",
        }
        await api.documents.create("order-list", "c-1", item)


async def test_orders_are_listed_newest_first_page_by_page() -> None:
    api = Api()
    await with_orders(api, 3)
    query = {"customer_id": "c-1", "limit": "2"}
    first = content(await api.call("list_orders", query=query))
    assert [item["id"] for item in first["items"]] == ["ord-2", "ord-1"]
    assert set(first["items"][0]) == {
        *("id", "customer_id", "status", "version", "currency", "total", "created_at", "updated_at")
    }
    rest = content(await api.call("list_orders", query={**query, "continuation": first["continuation"]}))
    assert [item["id"] for item in rest["items"]] == ["ord-0"]
    assert rest["continuation"] is None


async def test_orders_are_listed_by_status() -> None:
    api = Api()
    await with_orders(api, 2)
    assert len(content(await api.call("list_orders", query={"status": "completed"}))["items"]) == 2
    assert content(await api.call("list_orders", query={"status": "created"}))["items"] == []


async def ids(api: Api, **query: str) -> list[str]:
    return [item["id"] for item in content(await api.call("list_orders", query=query))["items"]]


async def test_orders_are_listed_from_one_moment_and_to_before_another() -> None:
    api = Api()
    await with_orders(api, 4)
    second = "2027-01-15T08:00:0{}Z".format
    assert await ids(api, **{"from": second(1), "to": second(3)}) == ["ord-2", "ord-1"]
    assert await ids(api, **{"from": "2027-01-15T10:00:03+02:00"}) == ["ord-3"]
    assert await ids(api, to=second(1), customer_id="c-1", status="completed") == ["ord-0"]
    assert await ids(api, to=second(1), customer_id="c-2") == []


async def test_orders_are_listed_by_sku_whatever_it_is_made_of() -> None:
    api = Api()
    for id, skus in (
        ("ord-1", ("a.b \U0001f375", "plain")),
        ("ord-2", ("plain", "plain")),
        ("ord-3", ("a",)),
    ):
        lines = tuple(OrderLine(sku, 1, 250) for sku in skus)
        await append(api.documents, id, replace(place(id, "c-1"), lines=lines))
        await project_changes(api.documents, Customers(api.documents), api.bus, feed(api.documents, id))
    assert sorted(await ids(api, sku="plain")) == ["ord-1", "ord-2"]
    assert await ids(api, sku="a.b \U0001f375") == ["ord-1"]
    assert await ids(api, sku="a", customer_id="c-1", status="created") == ["ord-3"]
    assert await ids(api, sku="a.b") == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({}, "customer_id"),
        ({"sku": "a/b"}, "sku"),
        ({"from": "2027-01-15"}, "from"),
        ({"from": "2027-01-15T08:00:00"}, "from"),
        ({"from": "2027-01-15T08:00:00 02:00"}, "from"),
        ({"from": "2027-13-15T08:00:00Z"}, "from"),
        ({"to": "0001-01-01T00:00:00+14:00"}, "to"),
        ({"to": "٢027-01-15T08:00:00Z"}, "to"),
        ({"from": "2027-01-15T08:00:00Z", "to": "2027-01-15T08:00:00Z"}, "from"),
        ({"customer_id": "a/b"}, "customer_id"),
        ({"status": "lost"}, "status"),
        ({"status": "none"}, "status"),
        ({"customer_id": "c-1", "limit": "0"}, "limit"),
        ({"customer_id": "c-1", "limit": "101"}, "limit"),
        ({"customer_id": "c-1", "limit": "ten"}, "limit"),
        ({"customer_id": "c-1", "limit": "1" * 5000}, "limit"),
        ({"customer_id": "c-1", "continuation": "nonsense"}, "continuation"),
    ],
)
async def test_a_list_that_cannot_be_made_names_the_parameter(query: dict[str, str], field: str) -> None:
    response = await Api().call("list_orders", query=query)
    assert response.status_code == 400
    assert list(broken_rules(response)) == [field]
