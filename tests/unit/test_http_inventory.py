import pytest

from services.inventory import handlers
from tests.fakes import START, FakeBus
from tests.inventory_support import reserve
from tests.unit.http_support import Api, broken_rules, content
from triggers.change_feed.inventory import project_changes

A = {"sku": "a"}
KEY = {"Idempotency-Key": "k-1"}
MOVEMENTS = {
    "receive_inventory": {"quantity": 7, "reference": "note 12"},
    "adjust_inventory": {"quantity": -2, "reason": "broken"},
    "count_inventory": {"on_hand": 4, "reference": "stock-take 7"},
}


@pytest.fixture
async def api():
    api = Api()
    await api.call("put_inventory", {"on_hand": 5}, route=A)
    return api


async def stock(api):
    return content(await api.call("get_inventory", route=A))


async def test_goods_are_received_adjusted_and_counted(api):
    shown = []
    for number, (function, body) in enumerate(MOVEMENTS.items()):
        response = await api.call(function, body, route=A, headers={"idempotency-key": f"k-{number}"})
        assert response.status_code == 200
        shown.append(content(response))

    assert [(one["sku"], one["type"], one["quantity"], one["on_hand"]) for one in shown] == [
        ("a", "receipt", 7, 12),
        ("a", "adjustment", -2, 10),
        ("a", "count", -6, 4),
    ]
    level = await stock(api)
    assert (level["on_hand"], level["received"], level["adjusted"]) == (4, 12, -8)


@pytest.mark.parametrize("function", MOVEMENTS)
async def test_the_same_key_again_changes_nothing_and_is_answered_the_same(api, function):
    first = await api.call(function, MOVEMENTS[function], route=A, headers=KEY)
    level = await stock(api)
    api.clock.advance(60)

    again = await api.call(function, MOVEMENTS[function], route=A, headers=KEY)

    assert (again.status_code, content(again)) == (200, content(first))
    assert await stock(api) == level


@pytest.mark.parametrize("function", MOVEMENTS)
async def test_a_movement_needs_a_key_of_its_own(api, function):
    response = await api.call(function, MOVEMENTS[function], route=A)
    assert response.status_code == 400
    assert list(broken_rules(response)) == ["Idempotency-Key"]

    await api.call("receive_inventory", {"quantity": 1}, route=A, headers=KEY)
    response = await api.call(function, MOVEMENTS[function], route=A, headers=KEY)
    assert response.status_code == 422


@pytest.mark.parametrize(
    ("function", "body", "field"),
    [
        ("receive_inventory", {"quantity": 0}, "quantity"),
        ("receive_inventory", {"quantity": 10**9 + 1}, "quantity"),
        ("receive_inventory", {"quantity": "7"}, "quantity"),
        ("receive_inventory", {"quantity": 1, "reference": " "}, "reference"),
        ("adjust_inventory", {"quantity": 0, "reason": "why"}, "quantity"),
        ("adjust_inventory", {"quantity": 1}, "reason"),
        ("adjust_inventory", {"quantity": 1, "reason": ""}, "reason"),
        ("count_inventory", {"on_hand": -1, "reference": "r"}, "on_hand"),
        ("count_inventory", {"on_hand": 1}, "reference"),
        ("count_inventory", {"on_hand": 1, "reference": "r", "more": 1}, "more"),
    ],
)
async def test_what_breaks_a_rule_is_named_and_changes_nothing(api, function, body, field):
    before = await stock(api)

    response = await api.call(function, body, route=A, headers=KEY)

    assert response.status_code == 400
    assert list(broken_rules(response)) == [field]
    assert await stock(api) == before


async def test_what_orders_hold_is_a_conflict(api):
    await handlers.execute(api.documents, reserve("ord-1", {"a": 4}), START)

    for function in ("adjust_inventory", "count_inventory"):
        body = {**MOVEMENTS[function], **({"on_hand": 3} if function == "count_inventory" else {})}
        response = await api.call(function, body, route=A, headers=KEY)
        assert response.status_code == 409
        assert "hold" in content(response)["detail"]


async def test_an_unknown_sku_has_no_ledger_and_takes_no_adjustment(api):
    ghost = {"sku": "ghost"}
    assert (await api.call("get_inventory_ledger", route=ghost)).status_code == 404
    response = await api.call("adjust_inventory", MOVEMENTS["adjust_inventory"], route=ghost, headers=KEY)
    assert response.status_code == 404


async def test_the_ledger_is_paged(api):
    await api.call("receive_inventory", {"quantity": 7}, route=A, headers=KEY)

    first = content(await api.call("get_inventory_ledger", route=A, query={"limit": "1"}))
    second = content(
        await api.call(
            "get_inventory_ledger", route=A, query={"limit": "1", "continuation": first["continuation"]}
        )
    )

    assert sorted(one["quantity"] for one in first["items"] + second["items"]) == [5, 7]
    assert first["sku"] == "a"


async def test_the_list_shows_the_levels_in_the_order_of_the_skus(api):
    for sku in ("c", "b"):
        await api.call("put_inventory", {"on_hand": 3}, route={"sku": sku})
    await project_changes(api.documents, FakeBus(), api.documents.items("inventory"))

    first = content(await api.call("list_inventory", query={"limit": "2"}))
    rest = content(
        await api.call("list_inventory", query={"continuation": first["continuation"], "limit": "2"})
    )

    assert [level["sku"] for level in first["items"] + rest["items"]] == ["a", "b", "c"]
    assert rest["continuation"] is None
    shown = {**first["items"][0]}
    assert shown == {name: value for name, value in (await stock(api)).items() if name in shown}


@pytest.mark.parametrize(
    ("query", "field"),
    [({"limit": "0"}, "limit"), ({"limit": "101"}, "limit"), ({"continuation": "nonsense"}, "continuation")],
)
@pytest.mark.parametrize("function", ["list_inventory", "get_inventory_ledger"])
async def test_what_cannot_be_a_page_is_refused(api, function, query, field):
    response = await api.call(function, route=A, query=query)

    assert response.status_code == 400
    assert list(broken_rules(response)) == [field]


async def test_a_threshold_is_set_shown_and_taken_away(api):
    for sku in "bc":
        await api.call("put_inventory", {"on_hand": 3}, route={"sku": sku})
    response = await api.call("put_inventory_threshold", {"threshold": 5, "margin": 4}, route=A)
    assert response.status_code == 200
    level = content(response)
    assert (level["threshold"], level["margin"], level["low"]) == (5, 4, False)
    await api.call("put_inventory_threshold", {"threshold": 2}, route={"sku": "b"})
    bus = FakeBus()
    for _ in range(3):
        await project_changes(api.documents, bus, api.documents.items("inventory"))

    low = content(await api.call("list_inventory", query={"low": "true"}))
    everything = content(await api.call("list_inventory"))

    assert [each["sku"] for each in low["items"]] == ["a"]
    shown = [(each["sku"], each["low"], each["threshold"], each["margin"]) for each in everything["items"]]
    assert shown == [("a", True, 5, 4), ("b", False, 2, 1), ("c", False, None, None)]
    assert {message.message_id for message in bus.sent["service-events"]} == {"a:inventory:1"}

    gone = await api.call("delete_inventory_threshold", route=A)
    assert (content(gone)["threshold"], content(gone)["low"]) == (None, False)
    await project_changes(api.documents, bus, api.documents.items("inventory"))
    assert content(await api.call("list_inventory", query={"low": "true"}))["items"] == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"threshold": -1}, "threshold"),
        ({"margin": 2}, "threshold"),
        ({"threshold": 3, "margin": 0}, "margin"),
        ({"threshold": 3, "margin": 10**9 + 1}, "margin"),
    ],
)
async def test_a_threshold_that_breaks_a_rule_is_refused(api, body, field):
    response = await api.call("put_inventory_threshold", body, route=A)

    assert response.status_code == 400
    assert list(broken_rules(response)) == [field]
    assert (await stock(api))["threshold"] is None


async def test_an_unknown_sku_has_no_threshold(api):
    for function in ("put_inventory_threshold", "delete_inventory_threshold"):
        response = await api.call(function, {"threshold": 1}, route={"sku": "ghost"})
        assert response.status_code == 404


async def test_low_is_true_or_false(api):
    response = await api.call("list_inventory", query={"low": "maybe"})
    assert list(broken_rules(response)) == ["low"]
