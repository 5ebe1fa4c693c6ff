"""What a customer may still change of an order, until its shipment is requested."""

from collections import Counter
from http import HTTPStatus

import azure.durable_functions as df
import azure.functions as func

from core.audit import Asked, recording_refusals
from core.telemetry import bind
from services.inventory.stock import check_available
from services.orders import handlers, views
from services.orders.commands import ChangeAddress, RequestReplacement
from services.orders.handlers import Orders
from services.orders.state import CANCELLABLE
from triggers.http.answers import Answer
from triggers.http.bodies import idempotency_key, path_identifier, read_body
from triggers.http.order_requests import ADDRESS, Address, ReplaceOrder
from triggers.http.orders import etag, trace, wake
from triggers.http.problem import answering
from triggers.http.routes import IDEMPOTENCY_KEY, Route, of_service

CHANGED = Answer(views.OrderView, headers=("ETag",))
REPLACED = Answer(views.OrderView, HTTPStatus.ACCEPTED, ("Location",))

ROUTES = of_service(
    "orders",
    Route(
        "PUT",
        "orders/{order_id}/address",
        "put_order_address",
        "change where an order goes, before it is shipped",
        (CHANGED,),
        (404, 409),
        body=Address,
        example=ADDRESS,
    ),
    Route(
        "POST",
        "orders/{order_id}/replacement",
        "replace_order",
        "put an order with other lines in its place",
        (REPLACED,),
        (404, 409),
        parameters=(IDEMPOTENCY_KEY,),
        body=ReplaceOrder,
        example={"lines": [{"sku": "TEAPOT", "quantity": 1, "unit_price": 2495}]},
    ),
)


def blueprint(orders: Orders) -> df.Blueprint:
    bp = df.Blueprint()

    @bp.route(route="orders/{order_id}/address", methods=["PUT"])
    async def put_order_address(req: func.HttpRequest) -> func.HttpResponse:
        return await answering(lambda: _change_address(orders, req))

    @bp.route(route="orders/{order_id}/replacement", methods=["POST"])
    @bp.durable_client_input(client_name="client")
    async def replace_order(
        req: func.HttpRequest, client: df.DurableOrchestrationClient
    ) -> func.HttpResponse:
        return await answering(lambda: _replace(orders, client, req))

    return bp


async def _change_address(orders: Orders, req: func.HttpRequest) -> func.HttpResponse:
    order_id = path_identifier(req, "order_id")
    command = ChangeAddress(read_body(req, Address).value())
    traceparent = trace(req, order_id)
    with bind(order_id=order_id, correlation_id=order_id, traceparent=traceparent):
        await handlers.change_address(orders, order_id, command, traceparent)
    order = await views.read_order(orders.documents, order_id)
    return CHANGED(order, {"ETag": etag(order)})


async def _replace(
    orders: Orders, client: df.DurableOrchestrationClient, req: func.HttpRequest
) -> func.HttpResponse:
    """Answers the order that is to be replaced; the other is at `Location`, once this one is undone."""
    order_id = path_identifier(req, "order_id")
    replacement_id = handlers.replacement_id(order_id, idempotency_key(req))
    command = read_body(req, ReplaceOrder).command(replacement_id)
    traceparent = trace(req, order_id)
    with bind(order_id=order_id, correlation_id=order_id, traceparent=traceparent):
        await _check_stock(orders, order_id, command, traceparent)
        outcome = await handlers.request_replacement(orders, order_id, command, traceparent)
        if outcome.state.status in CANCELLABLE:
            await wake(client, order_id)
    order = await views.read_order(orders.documents, order_id)
    return REPLACED(order, {"Location": f"/api/orders/{replacement_id}"})


async def _check_stock(orders: Orders, order_id: str, command: RequestReplacement, traceparent: str) -> None:
    """Before the order is given up for lines that cannot be had. What it holds itself comes free for them."""
    order = await views.read_order(orders.documents, order_id)
    if order["replaced_by"] or order["status"] not in CANCELLABLE:
        return
    actor = f"customer:{order['customer_id']}"
    asked = Asked(order_id, "orders.RequestReplacement", actor, order_id, traceparent)
    wanted, freed = Counter[str](), Counter[str]()
    for line in command.lines:
        wanted[line.sku] += line.quantity
    for held in order["lines"]:
        freed[held["sku"]] += held["quantity"]
    async with recording_refusals(orders.documents, asked, orders.clock.now()):
        await check_available(orders.documents, wanted, freed)
