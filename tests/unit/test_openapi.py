"""The OpenAPI document: every route of the app, once, and nothing else."""

import re
from typing import Any

import orjson
import pytest

from tests.declared_answers import DOCUMENT, check
from tests.simulated import orderflow
from tests.unit.http_support import Api, content
from triggers.http import openapi, openapi_document, orders
from triggers.http.bodies import ID_PATTERN, identifier
from triggers.http.every_route import ROUTES
from triggers.http.routes import Route


def declared() -> dict[str, Any]:
    return openapi_document.document(ROUTES)


def test_every_route_of_the_app_is_declared_as_it_is() -> None:
    """A route that is missing here is to be put into the ROUTES of its module, in triggers/http."""
    real = {
        (method, trigger.text("route"), function.name, trigger.text("authLevel").upper() == "ANONYMOUS")
        for function in orderflow().functions
        if (trigger := function.trigger).type == "httpTrigger"
        for method in trigger.properties["methods"]  # type: ignore[union-attr]
    }
    table = {(route.method, route.path, route.function, route.anonymous) for route in ROUTES}
    assert table == real
    assert len(ROUTES) == len(table)


def test_every_reference_leads_to_a_schema_and_every_schema_is_referred_to() -> None:
    document = declared()
    references = set(re.findall(r'"#/components/schemas/([^"]+)"', orjson.dumps(document).decode()))
    assert references == set(document["components"]["schemas"])


def test_every_operation_has_an_id_of_its_own_and_declares_the_parameters_of_its_path() -> None:
    ids = []
    for path, methods in declared()["paths"].items():
        for operation in methods.values():
            ids.append(operation["operationId"])
            in_path = [each["name"] for each in operation["parameters"] if each["in"] == "path"]
            assert sorted(in_path) == sorted(re.findall(r"{(\w+)}", path))
    assert len(ids) == len(set(ids))


def test_a_route_declared_twice_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="twice"):
        openapi_document.document([*orders.ROUTES, Route("GET", "orders", "again", "again", (openapi.PAGE,))])


@pytest.mark.parametrize("value", ["a", "ä b", "x" * 64, "", "a/b", "a\\b", "a#b", "a?b", "a\x00", "a\x85"])
def test_the_pattern_of_an_id_is_the_rule_of_ids(value: str) -> None:
    try:
        identifier(value)
    except ValueError:
        assert re.fullmatch(ID_PATTERN, value) is None
    else:
        assert re.fullmatch(ID_PATTERN, value)


def test_components_have_plain_names() -> None:
    """pydantic spells the module of two models of one name: rename one of them."""
    assert [
        name for name in declared()["components"]["schemas"] if not re.fullmatch("([A-Z][a-z]+)+", name)
    ] == []


def test_every_operation_belongs_to_a_service_and_has_a_summary() -> None:
    assert [route.function for route in ROUTES if not route.tag or not route.summary] == []


@pytest.mark.parametrize("route", [each for each in ROUTES if each.body], ids=lambda route: route.function)
def test_every_body_has_an_example_that_is_accepted(route: Route) -> None:
    assert route.body is not None
    route.body.model_validate_json(orjson.dumps(route.example))


LEVEL = dict.fromkeys(DOCUMENT["components"]["schemas"]["StockLevel"]["required"], 1) | {
    "sku": "a",
    "low": True,
}
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("operation", "status", "headers", "body", "said"),
    [
        ("get_inventory", 200, JSON, LEVEL | {"on_sale": True}, "'on_sale' was unexpected"),
        ("get_inventory", 200, JSON, {"sku": "a"}, '"on_hand" is a required property'),
        ("get_inventory", 200, JSON, LEVEL | {"on_hand": "7"}, 'not of type "integer"'),
        ("get_inventory", 200, {"Content-Type": "text/plain"}, LEVEL, "is text/plain"),
        ("get_inventory", 200, JSON | {"ETag": '"1"'}, LEVEL, "sends ETag"),
        ("get_inventory", 202, JSON, LEVEL, "declared are 200, 400"),
        ("place_order", 202, JSON, {}, "lacks the header Location"),
        ("remove_payment_method", 204, {}, {}, "has a body"),
    ],
)
def test_an_answer_that_is_not_as_declared_is_found(
    operation: str, status: int, headers: dict[str, str], body: object, said: str
) -> None:
    check("get_inventory", 200, JSON, orjson.dumps(LEVEL))
    with pytest.raises(AssertionError, match=said):
        check(operation, status, headers, orjson.dumps(body))


async def test_the_document_and_its_page_are_served() -> None:
    api = Api()
    document = content(await api.call("get_openapi"))
    assert document["openapi"] == "3.1.0"
    assert "PlaceOrder" in document["components"]["schemas"]
    response = await api.call("get_docs")
    html = response.get_body().decode()
    assert response.mimetype == "text/html"
    assert "/api/orders/{order_id}" in html
    assert "<script" not in html
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]


def test_nothing_of_the_document_is_taken_for_html() -> None:
    document = openapi_document.document(
        [Route("GET", "x", "get_x", "<script>alert(1)</script>", (openapi.PAGE,))]
    )
    assert "<script" not in openapi.page(document)
