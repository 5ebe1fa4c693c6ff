"""For operators. Not under `admin`: the Functions host keeps every route that begins so for itself."""

from collections.abc import Sequence
from dataclasses import asdict
from http import HTTPStatus

import azure.durable_functions as df
import azure.functions as func

from core.decider import Rejection
from core.documents import BadDocumentRequest
from core.read_models import ReadModel, rebuild
from core.telemetry import root_traceparent
from services.orders.handlers import Orders
from services.orders.policy import OPERATOR_EVENT, Policy, start_input
from services.orders.state import TERMINAL
from services.orders.views import read_order
from triggers.http.bodies import path_identifier
from triggers.http.problem import BadRequest, FieldError, answer, answering
from triggers.http.routes import CONTINUATION, Route
from triggers.sagas import raise_event, start


class OrderEnded(Rejection):
    def __init__(self, status: object) -> None:
        super().__init__("order_ended", f"an order that is {status} has nothing left to retry")


class UnknownProjection(Rejection):
    def __init__(self, known: Sequence[str]) -> None:
        super().__init__("unknown_projection", f"there is no such projection, only {', '.join(known)}")


ROUTES = (
    Route(
        "POST",
        "operations/orders/{order_id}/retry",
        "retry_order",
        "try an undo that does not succeed again, now",
        (202,),
        (404, 409),
    ),
    Route(
        "POST",
        "operations/projections/{name}/rebuild",
        "rebuild_projection",
        "repair one page of a read model",
        errors=(404,),
        parameters=(CONTINUATION,),
    ),
)


def blueprint(orders: Orders, policy: Policy, read_models: Sequence[ReadModel]) -> df.Blueprint:
    bp = df.Blueprint()

    @bp.route(route="operations/orders/{order_id}/retry", methods=["POST"])
    @bp.durable_client_input(client_name="client")
    async def retry_order(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
        return await answering(lambda: _retry(orders, policy, client, req))

    @bp.route(route="operations/projections/{name}/rebuild", methods=["POST"])
    async def rebuild_projection(req: func.HttpRequest) -> func.HttpResponse:
        return await answering(lambda: _rebuild(orders, read_models, req))

    return bp


async def _retry(
    orders: Orders, policy: Policy, client: df.DurableOrchestrationClient, req: func.HttpRequest
) -> func.HttpResponse:
    """Wake the saga that waits to try an undo again; start one if there is none."""
    order_id = path_identifier(req, "order_id")
    order = await read_order(orders.documents, order_id)
    if order["status"] in TERMINAL:
        raise OrderEnded(order["status"])
    if not await raise_event(client, order_id, OPERATOR_EVENT, {}):
        await start(client, order_id, start_input(policy, root_traceparent(order_id)))
    return answer(order, HTTPStatus.ACCEPTED)


async def _rebuild(
    orders: Orders, read_models: Sequence[ReadModel], req: func.HttpRequest
) -> func.HttpResponse:
    """Repair one page of the rows; the caller comes again with the continuation until it is null."""
    name = path_identifier(req, "name")
    model = next((each for each in read_models if each.name == name), None)
    if model is None:
        raise UnknownProjection([each.name for each in read_models])
    try:
        progress = await rebuild(orders.documents, model, req.params.get("continuation") or None)
    except BadDocumentRequest as error:
        raise BadRequest([FieldError("continuation", "must be what the page before gave")]) from error
    return answer(asdict(progress))
