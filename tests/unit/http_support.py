"""Calls the HTTP functions without a host, and holds each answer against the OpenAPI document."""

from collections.abc import Sequence
from typing import Any

import azure.durable_functions as df
import azure.functions as func
import orjson

from adapters.sandbox.carrier import sandbox_carriers
from adapters.sandbox.gateway import SandboxGateway
from adapters.sandbox.payment_webhooks import SandboxWebhooks
from adapters.sandbox.shipping_webhooks import SandboxShippingWebhooks
from core.outside_policy import OutsidePolicy
from services.inventory.stock_projection import STOCK_LEVELS
from services.orders.handlers import Orders
from services.orders.list_projection import ORDER_LIST
from services.orders.policy import Policy, ReturnPolicy
from services.orders.saga import Ports, Work, request_payment
from services.shipping.calls import Carriers
from services.shipping.messages import Address
from tests import declared_answers
from tests.durable_client import FakeDurableClient
from tests.fakes import FakeBus, FakeClock, FakeDocuments
from tests.fakes_blobs import FakeBlobs
from triggers.http import (
    audit,
    every_route,
    health,
    inventory,
    inventory_imports,
    openapi,
    operations,
    order_changes,
    orders,
    payment_methods,
    payments,
    returns,
    shipments,
    shipping_quotes,
)
from triggers.sagas import ReturnSagas

SHOP = Address("Orderflow", "1 Warehouse Road", "London", "E16 1AA", "GB")
POLICY = Policy(step_timeout_s=30.0, step_attempts=3, undo_attempts=5, attention_interval_s=60.0)
RETURNS = ReturnPolicy(approval_s=86400.0, parcel_s=86400.0, look_s=86400.0)
ORDER: dict[str, Any] = {
    "customer_id": "c-1",
    "currency": "GBP",
    "lines": [{"sku": "a", "quantity": 2, "unit_price": 100}],
    "shipping_address": {
        "name": "Ann",
        "street": "1 Road",
        "city": "Leeds",
        "postal_code": "LS1",
        "country": "GB",
    },
    "payment_method": "tok_ok",
}


class Api:
    def __init__(self, outside: Sequence[OutsidePolicy] = ()) -> None:
        self.clock = FakeClock()
        self.documents = FakeDocuments(self.clock)
        self.bus = FakeBus(self.clock)
        self.gateway = SandboxGateway(self.documents, self.bus, self.clock)
        self.blobs = FakeBlobs(self.clock)
        self.carriers = Carriers(sandbox_carriers(self.documents, self.bus, self.clock), self.clock, 10.0)
        self.client = FakeDurableClient()
        self.orders = Orders(self.documents, self.clock)
        app = df.DFApp()
        for blueprint in (
            orders.blueprint(self.orders, POLICY),
            order_changes.blueprint(self.orders),
            inventory.blueprint(self.documents, self.clock),
            inventory_imports.blueprint(self.documents, self.bus, self.blobs, self.clock),
            payment_methods.blueprint(self.documents, self.gateway, self.clock, 10.0),
            payments.blueprint(self.documents, self.bus, self.clock, SandboxWebhooks()),
            shipments.blueprint(
                self.documents,
                self.bus,
                self.blobs,
                self.carriers,
                (SandboxShippingWebhooks(),),
                SHOP,
            ),
            shipping_quotes.blueprint(self.carriers),
            operations.blueprint(self.orders, POLICY, (ORDER_LIST, STOCK_LEVELS)),
            returns.blueprint(self.orders, ReturnSagas(POLICY, RETURNS), 30 * 86400.0),
            audit.blueprint(self.documents, self.clock),
            openapi.blueprint(every_route.ROUTES),
            health.blueprint(outside),
        ):
            app.register_functions(blueprint)
        self._functions = {each.get_function_name(): each.get_user_function() for each in app.get_functions()}

    async def call(
        self,
        function: str,
        body: object = b"",
        *,
        route: dict[str, str] | None = None,
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> func.HttpResponse:
        raw = body if isinstance(body, bytes) else orjson.dumps(body)
        request = func.HttpRequest(
            "GET", "http://localhost/api", headers=headers, params=query, route_params=route, body=raw
        )
        handle = self._functions[function]
        if hasattr(handle, "client_function"):
            response = await handle.client_function(request, self.client)
        else:
            response = await handle(request)
        return as_declared(function, response)

    async def place(self, order: object = ORDER, key: str = "k-1") -> func.HttpResponse:
        return await self.call("place_order", order, headers={"idempotency-key": key})

    async def placed(self) -> str:
        """The id of an order that was placed."""
        return content(await self.place())["id"]


async def reserve(api: Api, order: str) -> None:
    """What the saga does once stock was reserved."""
    work = Work(order, 1, "reply")
    await request_payment(Ports(api.documents, FakeBus(api.clock), api.clock, 1.0), work)


def as_declared(function: str, response: func.HttpResponse) -> func.HttpResponse:
    headers = {**response.headers, "Content-Type": response.mimetype}
    declared_answers.check(function, response.status_code, headers, response.get_body())
    return response


def content(response: func.HttpResponse) -> dict[str, Any]:
    return orjson.loads(response.get_body())


def broken_rules(response: func.HttpResponse) -> dict[str, str]:
    """Rule by field."""
    assert response.mimetype == "application/problem+json"
    problem = content(response)
    assert problem["status"] == response.status_code
    return {error["field"]: error["rule"] for error in problem["errors"]}
