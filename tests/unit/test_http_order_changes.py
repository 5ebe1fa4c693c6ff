"""Changes of an order before it is shipped."""

import hashlib

import orjson

from services.inventory.movements import Adjustment, book, set_on_hand
from services.orders.handlers import order_id, replacement_id
from services.orders.policy import CANCEL_EVENT
from tests.unit.http_support import ORDER, Api, broken_rules, content, reserve
from triggers.http.order_requests import ReplaceOrder, digest

ELSEWHERE = {**ORDER["shipping_address"], "street": "2 Lane"}
OTHER = {"lines": [{"sku": "b", "quantity": 1, "unit_price": 70}]}


async def replaced(api: Api, id: str, body: object = OTHER, key: str = "r-1", pieces: int = 9):
    """`pieces`: what is there of the other SKU."""
    await set_on_hand(api.documents, "b", pieces, None, api.clock.now())
    headers = {"idempotency-key": key}
    return await api.call("replace_order", body, route={"order_id": id}, headers=headers)


async def test_the_address_is_changed_at_once_and_named_in_the_history() -> None:
    api = Api()
    route = {"order_id": await api.placed()}
    for _ in range(2):
        response = await api.call("put_order_address", ELSEWHERE, route=route)
        assert (response.status_code, response.headers["ETag"]) == (200, '"2"')
        assert content(response)["shipping_address"] == ELSEWHERE
    events = content(await api.call("get_order_history", route=route))["events"]
    assert [(event["type"], event["actor"]) for event in events] == [
        ("orders.created", "customer:c-1"),
        ("orders.address_changed", "customer:c-1"),
    ]


async def test_an_address_is_read_as_strictly_as_in_an_order() -> None:
    api = Api()
    route = {"order_id": await api.placed()}
    response = await api.call("put_order_address", {**ELSEWHERE, "country": "Britain"}, route=route)
    assert list(broken_rules(response)) == ["country"]
    assert content(await api.call("get_order", route=route))["version"] == 1


async def test_a_replacement_is_accepted_names_the_other_order_and_wakes_the_saga() -> None:
    api = Api()
    id = await api.placed()
    other = replacement_id(id, "r-1")
    for _ in range(2):
        response = await replaced(api, id)
        assert response.status_code == 202
        assert response.headers["Location"] == f"/api/orders/{other}"
        body = content(response)
        assert (body["replaced_by"], body["links"]["replaced_by"]) == (other, f"/api/orders/{other}")
        assert body["version"] == 2
    assert api.client.raised[0] == (id, CANCEL_EVENT, {})


async def test_a_replacement_may_name_another_payment_method_which_is_shown_nowhere() -> None:
    api = Api()
    id = await api.placed()
    paid_otherwise = {**OTHER, "payment_method": "tok_new"}
    for _ in range(2):
        assert (await replaced(api, id, paid_otherwise)).status_code == 202
    assert (await replaced(api, id, OTHER)).status_code == 422
    history = await api.call("get_order_history", route={"order_id": id})
    assert b"tok_new" not in history.get_body()
    assert content(history)["events"][-1]["type"] == "orders.replacement_requested"


async def test_the_payment_method_of_a_replacement_has_the_rule_of_orders() -> None:
    api = Api()
    id = await api.placed()
    for method in ("a b", "", 7):
        response = await replaced(api, id, {**OTHER, "payment_method": method})
        assert (response.status_code, list(broken_rules(response))) == (400, ["payment_method"])
    response = await replaced(api, id, {**OTHER, "payment_method": "4242424242424242"})
    assert (response.status_code, list(broken_rules(response))) == (422, ["payment_method"])


def test_a_request_that_leaves_out_what_is_new_is_told_apart_as_it_was_before_that_was_there() -> None:
    """A client may repeat it across a deployment."""
    body = ReplaceOrder.model_validate(OTHER)
    assert digest(body) == hashlib.sha256(orjson.dumps(OTHER, option=orjson.OPT_SORT_KEYS)).hexdigest()


async def test_an_order_is_not_given_up_for_lines_that_cannot_be_had() -> None:
    api = Api()
    id = await api.placed()
    await set_on_hand(api.documents, "a", 3, None, api.clock.now())
    lines = [{**ORDER["lines"][0], "quantity": 6}, {**OTHER["lines"][0], "quantity": 2}]
    for pieces, detail in ((1, "lines: of 'a' only 5 can be had, not 6"), (2, "lines: of 'a'")):
        response = await replaced(api, id, {"lines": lines}, pieces=pieces)
        assert (response.status_code, detail in content(response)["detail"]) == (409, True)
    assert content(await api.call("get_order", route={"order_id": id}))["version"] == 1
    [*_, refused] = [item for item in api.documents.items("audit", id) if item["kind"] == "entry"]
    assert (refused["outcome"], refused["actor"]) == ("refused", "customer:c-1")
    lines[0]["quantity"] = 5
    assert (await replaced(api, id, {"lines": lines}, pieces=2)).status_code == 202


async def test_a_replacement_that_was_asked_for_is_so_whatever_the_stock_is_now() -> None:
    api = Api()
    id = await api.placed()
    assert (await replaced(api, id)).status_code == 202
    await book(api.documents, "b", "gone", Adjustment(-9, "broken"), api.clock.now())
    response = await replaced(api, id, pieces=0)
    assert response.status_code == 202


async def test_what_cannot_be_replaced_says_why() -> None:
    api = Api()
    id = await api.placed()
    assert list(broken_rules(await replaced(api, id, {"lines": []}))) == ["lines"]
    assert list(broken_rules(await replaced(api, id, key=""))) == ["Idempotency-Key"]
    await replaced(api, id)
    lines = [{**OTHER["lines"][0], "quantity": 2}]
    assert (await replaced(api, id, {"lines": lines})).status_code == 422
    response = await replaced(api, id, key="r-2")
    assert (response.status_code, replacement_id(id, "r-1") in content(response)["detail"]) == (409, True)
    for function, body in (("cancel_order_request", {}), ("put_order_address", ELSEWHERE)):
        response = await api.call(function, body, route={"order_id": id})
        assert (response.status_code, replacement_id(id, "r-1") in content(response)["detail"]) == (409, True)


async def test_an_order_that_is_not_there_is_not_changed() -> None:
    api = Api()
    assert (await replaced(api, "ord-x")).status_code == 404
    assert (await api.call("put_order_address", ELSEWHERE, route={"order_id": "ord-x"})).status_code == 404


async def test_changes_do_not_hinder_the_saga() -> None:
    api = Api()
    id = await api.placed()
    await api.call("put_order_address", ELSEWHERE, route={"order_id": id})
    await reserve(api, id)
    assert content(await api.call("get_order", route={"order_id": id}))["status"] == "inventory_reserved"


def test_a_replacement_has_an_id_of_its_own() -> None:
    assert len({replacement_id("a", "k"), replacement_id("b", "k"), order_id("a", "k")}) == 3
