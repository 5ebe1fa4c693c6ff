"""For operators. Not under `admin`: the Functions host keeps every route that begins so for itself."""

from http import HTTPStatus

import azure.durable_functions as df
import azure.functions as func

from core.decider import Rejection
from core.telemetry import root_traceparent
from services.orders.handlers import Orders
from services.orders.policy import OPERATOR_EVENT, SAGA, Policy, start_input
from services.orders.state import TERMINAL
from services.orders.views import read_order
from triggers.http.bodies import path_identifier
from triggers.http.problem import answer, answering
from triggers.sagas import raise_event


class OrderEnded(Rejection):
    def __init__(self, status: object) -> None:
        super().__init__("order_ended", f"an order that is {status} has nothing left to retry")


def blueprint(orders: Orders, policy: Policy) -> df.Blueprint:
    bp = df.Blueprint()

    @bp.route(route="operations/orders/{order_id}/retry", methods=["POST"])
    @bp.durable_client_input(client_name="client")
    async def retry_order(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
        return await answering(lambda: _retry(orders, policy, client, req))

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
        await client.start_new(SAGA, order_id, start_input(policy, root_traceparent(order_id)))
    return answer(order, HTTPStatus.ACCEPTED)
