"""Returns: for the customer, and for the people who approve, receive and inspect them."""

import logging
from collections.abc import Callable
from http import HTTPStatus

import azure.durable_functions as df
import azure.functions as func

from core.audit import Asked, recording
from core.telemetry import bind
from services.orders import return_commands as c
from services.orders import return_handlers, return_views
from services.orders.handlers import Orders
from services.orders.policy import CANCEL_EVENT, OPERATOR_EVENT, return_event
from services.orders.return_saga import APPROVED, INSPECTED, RECEIVED, REJECTED
from triggers.http.answers import Answer
from triggers.http.bodies import idempotency_key, path_identifier, read_body
from triggers.http.orders import trace
from triggers.http.problem import answering
from triggers.http.return_requests import ByHand, InspectGoods, ReturnGoods, WithReason
from triggers.http.routes import IDEMPOTENCY_KEY, Route, of_service
from triggers.sagas import ReturnSagas, SagaUnreachable

OPERATOR = "operator"
OPERATIONS = "operations/returns/{return_id}"

type Ask = Callable[[func.HttpRequest, str], c.ReturnCommand]
"""The command that a request makes of a return."""

logger = logging.getLogger("orderflow.http.returns")


REQUESTED = Answer(return_views.ReturnView, HTTPStatus.ACCEPTED, ("Location",))
LISTED = Answer(return_views.ReturnList)
SHOWN = Answer(return_views.ReturnView)
TAKEN = Answer(return_views.ReturnView, HTTPStatus.ACCEPTED)

ROUTES = of_service(
    "returns",
    Route(
        "POST",
        "orders/{order_id}/returns",
        "request_return",
        "ask to send goods back",
        (REQUESTED,),
        (404, 409),
        parameters=(IDEMPOTENCY_KEY,),
        body=ReturnGoods,
        example={"lines": [{"line": 1, "quantity": 1, "reason": "the lid does not fit"}]},
    ),
    Route("GET", "orders/{order_id}/returns", "list_returns", "the returns of an order", (LISTED,), (404,)),
    Route("GET", "returns/{return_id}", "get_return", "a return", (SHOWN,), (404,)),
    Route(
        "POST",
        "returns/{return_id}/cancel",
        "cancel_return_request",
        "cancel a return before its parcel is back",
        (TAKEN,),
        (404, 409),
    ),
    Route("POST", f"{OPERATIONS}/approve", "approve_return", "approve a return", (TAKEN,), (404, 409)),
    Route(
        "POST",
        f"{OPERATIONS}/reject",
        "reject_return",
        "reject a return",
        (TAKEN,),
        (404, 409),
        body=WithReason,
        example={"reason": "outside the 30 days"},
    ),
    Route("POST", f"{OPERATIONS}/received", "receive_return", "its parcel is back", (TAKEN,), (404, 409)),
    Route(
        "POST",
        f"{OPERATIONS}/inspection",
        "inspect_return",
        "what was found in the parcel",
        (TAKEN,),
        (404, 409),
        body=InspectGoods,
        example={"lines": [{"line": 1, "restocked": 1}]},
    ),
    Route(
        "POST",
        f"{OPERATIONS}/settle",
        "settle_return",
        "it was settled by hand",
        (TAKEN,),
        (404, 409),
        body=ByHand,
        example={"note": "paid back by bank transfer"},
    ),
    Route("POST", f"{OPERATIONS}/retry", "retry_return", "try its step again, now", (TAKEN,), (404, 409)),
)


def blueprint(orders: Orders, sagas: ReturnSagas, window_s: float) -> df.Blueprint:
    """`window_s`: for how long after their delivery goods are taken back without asking anybody."""
    bp = df.Blueprint()

    @bp.route(route="orders/{order_id}/returns", methods=["POST"])
    @bp.durable_client_input(client_name="client")
    async def request_return(
        req: func.HttpRequest, client: df.DurableOrchestrationClient
    ) -> func.HttpResponse:
        return await answering(lambda: _request(orders, sagas, client, window_s, req))

    @bp.route(route="orders/{order_id}/returns", methods=["GET"])
    async def list_returns(req: func.HttpRequest) -> func.HttpResponse:
        return await answering(lambda: _list(orders, req))

    @bp.route(route="returns/{return_id}", methods=["GET"])
    async def get_return(req: func.HttpRequest) -> func.HttpResponse:
        return await answering(lambda: _get(orders, req))

    def step(
        name: str, route: str, ask: Ask, actor: str, event: Callable[[str], str], type_: str = ""
    ) -> None:
        """Register a request that appends to the stream, and then tells the saga."""

        async def handle(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
            return await answering(lambda: _step(orders, client, req, ask, actor, event, type_))

        handle.__name__ = name
        bp.route(route=route, methods=["POST"])(bp.durable_client_input(client_name="client")(handle))

    step("cancel_return_request", "returns/{return_id}/cancel", _cancel, "customer", lambda _: CANCEL_EVENT)
    step("approve_return", f"{OPERATIONS}/approve", _approve, OPERATOR, _at("approval"), APPROVED)
    step("reject_return", f"{OPERATIONS}/reject", _reject, OPERATOR, _at("approval"), REJECTED)
    step("receive_return", f"{OPERATIONS}/received", _receive, OPERATOR, _at("parcel"), RECEIVED)
    step("inspect_return", f"{OPERATIONS}/inspection", _inspect, OPERATOR, _at("inspection"), INSPECTED)
    step("settle_return", f"{OPERATIONS}/settle", _settle, OPERATOR, lambda _: OPERATOR_EVENT)

    @bp.route(route=f"{OPERATIONS}/retry", methods=["POST"])
    @bp.durable_client_input(client_name="client")
    async def retry_return(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
        return await answering(lambda: _retry(orders, sagas, client, req))

    return bp


def _at(stage: str) -> Callable[[str], str]:
    return lambda return_id: return_event(return_id, stage)


def _cancel(req: func.HttpRequest, return_id: str) -> c.ReturnCommand:
    return c.CancelReturn(return_id)


def _approve(req: func.HttpRequest, return_id: str) -> c.ReturnCommand:
    return c.ApproveReturn(return_id, OPERATOR)


def _reject(req: func.HttpRequest, return_id: str) -> c.ReturnCommand:
    return c.RejectReturn(return_id, read_body(req, WithReason).reason)


def _receive(req: func.HttpRequest, return_id: str) -> c.ReturnCommand:
    return c.ReceiveReturn(return_id)


def _inspect(req: func.HttpRequest, return_id: str) -> c.ReturnCommand:
    return read_body(req, InspectGoods).command(return_id)


def _settle(req: func.HttpRequest, return_id: str) -> c.ReturnCommand:
    return c.SettleReturn(return_id, read_body(req, ByHand).note)


async def _request(
    orders: Orders,
    sagas: ReturnSagas,
    client: df.DurableOrchestrationClient,
    window_s: float,
    req: func.HttpRequest,
) -> func.HttpResponse:
    order_id = path_identifier(req, "order_id")
    command = read_body(req, ReturnGoods).command(idempotency_key(req), window_s)
    traceparent = trace(req, order_id)
    with bind(order_id=order_id, correlation_id=order_id, traceparent=traceparent):
        found, outcome = await return_handlers.request_return(orders, order_id, command, traceparent)
        if found.status in ("requested", "approved"):
            try:
                await sagas.start(client, order_id, found.return_id, traceparent)
            except SagaUnreachable:
                # The return is accepted already: `restart_idle_returns` starts what could not be started.
                logger.warning("saga not started, left to the timer", exc_info=True)
    view = return_views.return_view(outcome.state, found)
    return REQUESTED(view, {"Location": view["links"]["self"]})


async def _list(orders: Orders, req: func.HttpRequest) -> func.HttpResponse:
    return LISTED(await return_views.list_returns(orders.documents, path_identifier(req, "order_id")))


async def _get(orders: Orders, req: func.HttpRequest) -> func.HttpResponse:
    return SHOWN(await return_views.read_return(orders.documents, path_identifier(req, "return_id")))


async def _step(
    orders: Orders,
    client: df.DurableOrchestrationClient,
    req: func.HttpRequest,
    ask: Ask,
    actor: str,
    event: Callable[[str], str],
    type_: str,
) -> func.HttpResponse:
    return_id = path_identifier(req, "return_id")
    order_id = return_views.order_of(return_id)
    traceparent = trace(req, order_id)
    with bind(order_id=order_id, correlation_id=order_id, traceparent=traceparent):
        command = ask(req, return_id)
        await return_handlers.ask(orders, order_id, return_id, command, traceparent, actor)
        await _tell(client, return_id, event(return_id), type_)
    return TAKEN(await return_views.read_return(orders.documents, return_id))


async def _tell(client: df.DurableOrchestrationClient, return_id: str, event: str, type_: str) -> None:
    """It is on the stream, where the saga looks from time to time: this only saves waiting."""
    try:
        await client.raise_event(return_id, event, {"type": type_, "data": {}})
    except Exception:
        logger.warning("saga of a return not told", exc_info=True)


async def _retry(
    orders: Orders, sagas: ReturnSagas, client: df.DurableOrchestrationClient, req: func.HttpRequest
) -> func.HttpResponse:
    """Wake the saga that waits to try a step again; start one if there is none."""
    return_id = path_identifier(req, "return_id")
    order_id = return_views.order_of(return_id)
    view = await return_views.read_return(orders.documents, return_id)
    asked = Asked(order_id, "orders.retry_return", OPERATOR, order_id)
    async with recording(orders.documents, asked, orders.clock.now()) as record:
        await sagas.wake(client, order_id, return_id)
        record["return_id"] = return_id
    return TAKEN(view)
