"""Bad input gets an answer that names the field and the rule, and changes nothing."""

import copy
import json
from typing import Any

import pytest

from tests.unit.http_support import ORDER, Api, broken_rules

LINE = {"sku": "a", "quantity": 1, "unit_price": 1}


def changed(path: str, value: Any) -> dict[str, Any]:
    order = copy.deepcopy(ORDER)
    target: Any = order
    *parents, last = path.split(".")
    for part in parents:
        target = target[int(part)] if part.isdecimal() else target[part]
    if value is ...:
        del target[last]
    else:
        target[last] = value
    return order


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        ("customer_id", ..., "customer_id"),
        ("customer_id", "", "customer_id"),
        ("customer_id", "   ", "customer_id"),
        ("customer_id", 7, "customer_id"),
        ("customer_id", "x" * 65, "customer_id"),
        *[("customer_id", f"a{char}b", "customer_id") for char in "/\\#?\n\0"],
        *[("lines.0.sku", f"a{char}b", "lines.0.sku") for char in "/\\#?\t"],
        ("currency", "XXX", "currency"),
        ("currency", "gbp", "currency"),
        ("currency", None, "currency"),
        ("lines", [], "lines"),
        ("lines", [LINE] * 1001, "lines"),
        ("lines", {"0": LINE}, "lines"),
        ("lines.0.quantity", 0, "lines.0.quantity"),
        ("lines.0.quantity", -1, "lines.0.quantity"),
        ("lines.0.quantity", 1_000_001, "lines.0.quantity"),
        ("lines.0.quantity", 10**40, "lines.0.quantity"),
        ("lines.0.quantity", 1.0, "lines.0.quantity"),
        ("lines.0.quantity", "1", "lines.0.quantity"),
        ("lines.0.quantity", True, "lines.0.quantity"),
        ("lines.0.unit_price", 0, "lines.0.unit_price"),
        ("lines.0.unit_price", 100_000_001, "lines.0.unit_price"),
        ("lines.0.discount", 5, "lines.0.discount"),
        ("shipping_address", ..., "shipping_address"),
        ("shipping_address.city", ..., "shipping_address.city"),
        ("shipping_address.city", " ", "shipping_address.city"),
        ("shipping_address.city", "x" * 201, "shipping_address.city"),
        ("shipping_address.country", "gb", "shipping_address.country"),
        ("shipping_address.country", "GBR", "shipping_address.country"),
        ("payment_method", "", "payment_method"),
        ("payment_method", "tok ok", "payment_method"),
        ("delivery", "by/hand", "delivery"),
        ("total", 100, "total"),
    ],
)
async def test_a_field_that_breaks_a_rule_is_named(path: str, value: Any, field: str) -> None:
    api = Api()
    response = await api.place(json.dumps(changed(path, value)).encode())
    assert response.status_code == 400
    assert list(broken_rules(response)) == [field]
    assert api.documents.items("orders") == []
    assert api.client.started == []


@pytest.mark.parametrize("number", ["4111111111111111", "4111-1111-1111-1111", "tok_4111111111111111"])
async def test_a_card_number_is_refused_and_not_repeated(number: str) -> None:
    response = await Api().place(changed("payment_method", number))
    assert broken_rules(response) == {"payment_method": "must not hold what looks like a card number"}
    assert response.status_code == 422
    assert number.encode() not in response.get_body()


async def test_a_total_that_json_numbers_cannot_hold_is_refused() -> None:
    line = {"sku": "a", "quantity": 1_000_000, "unit_price": 100_000_000}
    response = await Api().place(changed("lines", [line] * 91))
    assert list(broken_rules(response)) == ["lines"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"order"',
        b"{'customer_id': 'c-1'}",
        b'{"lines": [NaN]}',
        b'{"lines": [Infinity]}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"lines": ' + b"9" * 5000 + b"}",
    ],
)
async def test_what_is_not_a_json_object_is_refused(body: bytes) -> None:
    api = Api()
    response = await api.place(body)
    assert response.status_code == 400
    assert "body" in broken_rules(response)
    assert api.documents.requests == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"customer_id": "a", "customer_id": "b"}', "customer_id"),
        (b'{"lines": [{"sku": "a", "quantity": 1, "quantity": 2}]}', "quantity"),
    ],
)
async def test_a_key_that_is_given_twice_is_refused(body: bytes, field: str) -> None:
    response = await Api().place(body)
    assert broken_rules(response) == {field: "must be given once"}


@pytest.mark.parametrize("body", [b'{"customer_id": "\\uD800"}', b'{"\\udfff": 1}'])
async def test_half_of_a_surrogate_pair_is_refused(body: bytes) -> None:
    assert list(broken_rules(await Api().place(body))) == ["body"]


async def test_a_whole_surrogate_pair_is_a_character() -> None:
    response = await Api().place(json.dumps(changed("shipping_address.name", "\U0001f600")).encode())
    assert response.status_code == 202


async def test_a_body_above_the_limit_is_too_large() -> None:
    response = await Api().place(b" " * (1024 * 1024 + 1))
    assert response.status_code == 413
    assert "body" in broken_rules(response)


@pytest.mark.parametrize("key", ["", " ", "x" * 129, "line\nbreak", "\u00fc", " x"])
async def test_an_idempotency_key_is_needed(key: str) -> None:
    api = Api()
    response = await api.place(key=key)
    assert response.status_code == 400
    assert list(broken_rules(response)) == ["Idempotency-Key"]


async def test_many_broken_rules_are_told_at_once_but_not_without_end() -> None:
    response = await Api().place(changed("lines", [{"sku": "a"}] * 100))
    assert len(broken_rules(response)) == 20


@pytest.mark.parametrize("body", [{"on_hand": -1}, {"on_hand": 1.5}, {"on_hand": "3"}, {"on_hand": 10**10}])
async def test_a_count_of_stock_is_a_whole_number(body: object) -> None:
    response = await Api().call("put_inventory", body, route={"sku": "a"})
    assert list(broken_rules(response)) == ["on_hand"]


@pytest.mark.parametrize("function", ["put_inventory", "get_inventory"])
async def test_a_sku_in_a_path_keeps_the_rule_of_ids(function: str) -> None:
    response = await Api().call(function, {"on_hand": 1}, route={"sku": "a/b"})
    assert list(broken_rules(response)) == ["sku"]
