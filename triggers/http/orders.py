"""The order API."""

import asyncio
import logging
from http import HTTPStatus
from typing import get_args

import azure.durable_functions as df
import azure.functions as func

from core.json import JsonObject
from core.read_model_places import Places
from core.telemetry import bind, child_traceparent, root_traceparent
from services.orders import handlers, views
from services.orders.handlers import Orders
from services.orders.list_projection import ORDER_LIST
from services.orders.policy import CANCEL_EVENT, Policy, start_input
from services.orders.state import CANCELLABLE, TERMINAL, OrderStatus
from triggers.http.answers import Answer, Empty
from triggers.http.bodies import (
    idempotency_key,
    path_identifier,
    query_identifier,
    query_time,
    read_body,
    whole_number,
)
from triggers.http.order_requests import ADDRESS, CancelOrder, PlaceOrder
from triggers.http.paging import continuation, going_on, page_limit
from triggers.http.problem import BadRequest, FieldError, answering
from triggers.http.routes import (
    CONTINUATION,
    IDEMPOTENCY_KEY,
    IDENTIFIER,
    TIME,
    Parameter,
    Route,
    limit,
    of_service,
    query,
)
from triggers.sagas import SagaUnreachable, is_active, start

LONGEST_WAIT_S = 30
HISTORY_EVENTS = 1000
"""On one page, at most."""

FIRST_POLL_S = 0.05
LONGEST_POLL_S = 0.5
STATUSES = frozenset(get_args(OrderStatus.__value__)) - {"none", "shipping_created"}
"""What a client can see: `shipping_created` is in one batch with `completed`."""

logger = logging.getLogger("orderflow.http.orders")


PLACED = Answer(views.PlacedOrder, HTTPStatus.ACCEPTED, ("Location",))
LISTED = Answer(views.OrderList)
SHOWN = Answer(views.OrderView, headers=("ETag",))
NOT_MODIFIED = Empty(HTTPStatus.NOT_MODIFIED, ("ETag",))
HISTORY = Answer(views.OrderHistory)
CANCELLING = Answer(views.OrderView, HTTPStatus.ACCEPTED)

ROUTES = of_service(
    "orders",
    Route(
        "POST",
        "orders",
        "place_order",
        "place an order",
        (PLACED,),
        parameters=(IDEMPOTENCY_KEY,),
        body=PlaceOrder,
        example={
            "customer_id": "ada",
            "currency": "GBP",
            "lines": [{"sku": "TEAPOT", "quantity": 2, "unit_price": 2495}],
            "shipping_address": ADDRESS,
            "payment_method": "tok_ok",
        },
    ),
    Route(
        "GET",
        "orders",
        "list_orders",
        "orders, newest first; one filter at least",
        (LISTED,),
        parameters=(
            query("customer_id", "of this customer", IDENTIFIER),
            query("status", "that have this status", {"type": "string", "enum": [*sorted(STATUSES)]}),
            query("sku", "with a line of this SKU", IDENTIFIER),
            query("from", "placed then or later", TIME),
            query("to", "placed before then", TIME),
            limit(),
            CONTINUATION,
        ),
    ),
    Route(
        "GET",
        "orders/{order_id}",
        "get_order",
        "an order, as it is or as it was",
        (SHOWN, NOT_MODIFIED),
        (404,),
        parameters=(
            query("at", "as it was then", TIME),
            query(
                "wait",
                "seconds to wait for the next change",
                {"type": "integer", "minimum": 0, "maximum": LONGEST_WAIT_S},
            ),
            Parameter("If-None-Match", "header", "ETags that the client has"),
        ),
    ),
    Route(
        "GET",
        "orders/{order_id}/history",
        "get_order_history",
        "what happened to an order",
        (HISTORY,),
        (404,),
        parameters=(limit(HISTORY_EVENTS, 100), CONTINUATION),
    ),
    Route(
        "POST",
        "orders/{order_id}/cancel",
        "cancel_order_request",
        "cancel an order before it is shipped",
        (CANCELLING,),
        (404, 409),
        body=CancelOrder,
        body_required=False,
        example={"reason": "ordered twice"},
    ),
)


def blueprint(orders: Orders, policy: Policy) -> df.Blueprint:
    bp = df.Blueprint()
    places = Places(orders.documents)

    @bp.route(route="orders", methods=["POST"])
    @bp.durable_client_input(client_name="client")
    async def place_order(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
        return await answering(lambda: _place(orders, policy, client, req))

    @bp.route(route="orders", methods=["GET"])
    async def list_orders(req: func.HttpRequest) -> func.HttpResponse:
        return await answering(lambda: _list(orders, places, req))

    @bp.route(route="orders/{order_id}", methods=["GET"])
    async def get_order(req: func.HttpRequest) -> func.HttpResponse:
        return await answering(lambda: _get(orders, req))

    @bp.route(route="orders/{order_id}/history", methods=["GET"])
    async def get_order_history(req: func.HttpRequest) -> func.HttpResponse:
        return await answering(lambda: _history(orders, req))

    @bp.route(route="orders/{order_id}/cancel", methods=["POST"])
    @bp.durable_client_input(client_name="client")
    async def cancel_order_request(
        req: func.HttpRequest, client: df.DurableOrchestrationClient
    ) -> func.HttpResponse:
        return await answering(lambda: _cancel(orders, client, req))

    return bp


async def _place(
    orders: Orders, policy: Policy, client: df.DurableOrchestrationClient, req: func.HttpRequest
) -> func.HttpResponse:
    key = idempotency_key(req)
    body = read_body(req, PlaceOrder)
    order_id = handlers.order_id(body.customer_id, key)
    traceparent = trace(req, order_id)
    with bind(order_id=order_id, correlation_id=order_id, traceparent=traceparent):
        outcome = await handlers.place(orders, body.command(order_id), traceparent)
        if outcome.version == 1:
            given = start_input(policy, traceparent)
            await _start(client, order_id, given, certainly_new=bool(outcome.events))
    links = views.links(order_id)
    return PLACED(
        {"id": order_id, "status": outcome.state.status, "version": outcome.version, "links": links},
        {"Location": links["self"]},
    )


async def _start(
    client: df.DurableOrchestrationClient, order_id: str, given: JsonObject, *, certainly_new: bool
) -> None:
    """The order is accepted already: a saga that cannot be started now is left to `restart_idle_orders`.

    A repeated request starts one too if the first one did not come to it.
    """
    try:
        if certainly_new or not await is_active(client, order_id):
            await start(client, order_id, given)
    except SagaUnreachable:
        logger.warning("saga not started, left to the timer", exc_info=True)


async def _list(orders: Orders, places: Places, req: func.HttpRequest) -> func.HttpResponse:
    status = req.params.get("status")
    if status is not None and status not in STATUSES:
        raise BadRequest([FieldError("status", f"must be one of {', '.join(sorted(STATUSES))}")])
    wanted = views.Wanted(
        customer_id=query_identifier(req, "customer_id"),
        status=status,
        sku=query_identifier(req, "sku"),
        start=query_time(req, "from"),
        end=query_time(req, "to"),
    )
    if wanted == views.Wanted():
        raise BadRequest([FieldError("customer_id", "must be given, or status, sku, from or to")])
    if wanted.start is not None and wanted.end is not None and wanted.start >= wanted.end:
        raise BadRequest([FieldError("from", "must be before to")])
    limit = page_limit(req)
    with going_on():
        container = (await places.of(ORDER_LIST)).active
        page = await views.list_orders(orders.documents, wanted, limit, continuation(req), container)
    return LISTED(page)


async def _get(orders: Orders, req: func.HttpRequest) -> func.HttpResponse:
    order_id = path_identifier(req, "order_id")
    at = query_time(req, "at")
    wait_s = _wait_s(req)
    if at is not None:
        if wait_s:
            raise BadRequest([FieldError("wait", "must not be given with at: the past does not change")])
        past = await views.read_order_at(orders.documents, order_id, at)
        return SHOWN(past, {"ETag": etag(past)})
    known = etags(req.headers.get("If-None-Match", ""))
    order = await views.read_order(orders.documents, order_id)
    if wait_s and (not known or etag(order) in known or "*" in known):
        order = await _next_version(orders, order, wait_s)
    tag = etag(order)
    if tag in known or "*" in known:
        return NOT_MODIFIED({"ETag": tag})
    return SHOWN(order, {"ETag": tag})


async def _next_version(orders: Orders, order: views.OrderView, wait_s: float) -> views.OrderView:
    """The order once its version is another, or as it is when the time is over. Polls, but only for a client
    that waits, and not for an order that has ended."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait_s
    pause = FIRST_POLL_S
    version = order["version"]
    while order["version"] == version and order["status"] not in TERMINAL:
        left = deadline - loop.time()
        if left <= 0:
            break
        await asyncio.sleep(min(pause, left))
        pause = min(pause * 2, LONGEST_POLL_S)
        order = await views.read_order(orders.documents, order["id"])
    return order


async def _history(orders: Orders, req: func.HttpRequest) -> func.HttpResponse:
    order_id = path_identifier(req, "order_id")
    limit = page_limit(req, HISTORY_EVENTS, default=100)
    with going_on():
        page = await views.read_history(orders.documents, order_id, limit, continuation(req))
    return HISTORY(page)


async def _cancel(
    orders: Orders, client: df.DurableOrchestrationClient, req: func.HttpRequest
) -> func.HttpResponse:
    order_id = path_identifier(req, "order_id")
    body = read_body(req, CancelOrder) if req.get_body() else CancelOrder()
    traceparent = trace(req, order_id)
    with bind(order_id=order_id, correlation_id=order_id, traceparent=traceparent):
        outcome = await handlers.request_cancel(orders, order_id, body.reason, traceparent)
        if outcome.state.status in CANCELLABLE:
            await wake(client, order_id)
    return CANCELLING(await views.read_order(orders.documents, order_id))


async def wake(client: df.DurableOrchestrationClient, order_id: str) -> None:
    """The request is on the stream, where the saga's next activity finds it: this only saves waiting."""
    try:
        await client.raise_event(order_id, CANCEL_EVENT, {})
    except Exception:
        logger.warning("saga not woken for a cancellation", exc_info=True)


def trace(req: func.HttpRequest, order_id: str) -> str:
    """The client's trace, continued; or one of the order's own."""
    given = req.headers.get("traceparent", "")
    return child_traceparent(given, order_id) or root_traceparent(order_id)


def etag(order: views.OrderView) -> str:
    return f'"{order["version"]}"'


def etags(header: str) -> frozenset[str]:
    """Of an If-None-Match header; compared weakly, as RFC 9110 says."""
    return frozenset(tag.strip().removeprefix("W/") for tag in header.split(",") if tag.strip())


def _wait_s(req: func.HttpRequest) -> float:
    wait_s = whole_number(req.params.get("wait", "0"), 0, LONGEST_WAIT_S)
    if wait_s is None:
        raise BadRequest([FieldError("wait", f"must be whole seconds from 0 to {LONGEST_WAIT_S}")])
    return float(wait_s)
