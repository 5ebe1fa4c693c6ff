"""What operators may do, and the stock."""

from services.orders.policy import OPERATOR_EVENT
from tests.unit.http_support import Api, broken_rules, content


async def test_an_operator_wakes_a_saga() -> None:
    api = Api()
    id = await api.placed()
    response = await api.call("retry_order", route={"order_id": id})
    assert response.status_code == 202
    assert api.client.raised == [(id, OPERATOR_EVENT, {})]


async def test_an_operator_starts_a_saga_that_is_gone() -> None:
    api = Api()
    id = await api.placed()
    api.client.instances[id] = "Failed"
    assert (await api.call("retry_order", route={"order_id": id})).status_code == 202
    assert len(api.client.started) == 2


async def test_health_answers() -> None:
    assert content(await Api().call("get_health")) == {"status": "ok", "outside": []}


async def test_stock_is_set_and_shown() -> None:
    api = Api()
    response = await api.call("put_inventory", {"on_hand": 5}, route={"sku": "a"})
    assert (response.status_code, content(response)["available"]) == (200, 5)
    assert content(await api.call("get_inventory", route={"sku": "a"})) == content(response)
    assert (await api.call("get_inventory", route={"sku": "b"})).status_code == 404


async def test_stock_goes_down_with_a_reason_only() -> None:
    api = Api()
    await api.call("put_inventory", {"on_hand": 5}, route={"sku": "a"})
    assert (await api.call("put_inventory", {"on_hand": 4}, route={"sku": "a"})).status_code == 400
    body = {"on_hand": 4, "reason": "broken"}
    assert content(await api.call("put_inventory", body, route={"sku": "a"}))["adjusted"] == -1


async def test_a_projection_is_rebuilt_page_by_page() -> None:
    api = Api()
    id = await api.placed()
    continuation = ""
    written = 0
    while continuation is not None:
        query = {"continuation": continuation}
        progress = content(await api.call("rebuild_projection", route={"name": "orders"}, query=query))
        written += progress["written"]
        continuation = progress["continuation"]
    assert written == 1
    assert [item["id"] for item in api.documents.items("order-list")] == [id]


async def test_a_projection_that_is_not_there_is_not_found() -> None:
    response = await Api().call("rebuild_projection", route={"name": "profits"})
    assert response.status_code == 404
    assert "orders" in content(response)["detail"]


async def test_a_rebuild_goes_on_only_where_one_stopped() -> None:
    query = {"continuation": "elsewhere"}
    response = await Api().call("rebuild_projection", route={"name": "orders"}, query=query)
    assert list(broken_rules(response)) == ["continuation"]
