"""The list of orders."""

import pytest

from tests.unit.http_support import Api, broken_rules, content

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


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({}, "customer_id"),
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
