"""For operators. Not under `admin`: the Functions host keeps every route that begins so for itself."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TypedDict

import azure.durable_functions as df
import azure.functions as func

from core.audit import Asked, recording
from core.decider import Rejection
from core.json import Timestamp
from core.read_model_places import SEEN_BY_ALL_S, Move, Phase, go_on, where_is
from core.read_models import Progress, ReadModel, rebuild
from core.telemetry import root_traceparent
from services.orders.handlers import Orders
from services.orders.policy import OPERATOR_EVENT, Policy, start_input
from services.orders.state import TERMINAL
from services.orders.views import OrderView, read_order
from triggers.http.answers import Answer
from triggers.http.bodies import path_identifier
from triggers.http.paging import continuation, going_on
from triggers.http.problem import answering
from triggers.http.routes import CONTINUATION, Route, of_service
from triggers.sagas import raise_event, start


class OrderEnded(Rejection):
    def __init__(self, status: object) -> None:
        super().__init__("order_ended", f"an order that is {status} has nothing left to retry")


class UnknownProjection(Rejection):
    def __init__(self, known: Sequence[str]) -> None:
        super().__init__("unknown_projection", f"there is no such projection, only {', '.join(known)}")


class Projection(TypedDict):
    """Where a read model is. `filling` is the container that is written beside the active one.

    checked, written, broken: rows of the fill. after: before that time the next step does nothing.
    """

    name: str
    phase: Phase
    active: str
    filling: str | None
    checked: int
    written: int
    broken: int
    after: Timestamp | None


RETRIED = Answer(OrderView, HTTPStatus.ACCEPTED)
REBUILT = Answer(Progress)
PROJECTION = Answer(Projection)

ROUTES = of_service(
    "operations",
    Route(
        "POST",
        "operations/orders/{order_id}/retry",
        "retry_order",
        "try an undo that does not succeed again, now",
        (RETRIED,),
        (404, 409),
    ),
    Route(
        "POST",
        "operations/projections/{name}/rebuild",
        "rebuild_projection",
        "repair one page of a read model",
        (REBUILT,),
        (404,),
        parameters=(CONTINUATION,),
    ),
    Route(
        "POST",
        "operations/projections/{name}/replay",
        "replay_projection",
        "one step of making a read model anew in a fresh container",
        (PROJECTION,),
        (404, 409),
    ),
    Route(
        "GET",
        "operations/projections/{name}",
        "get_projection",
        "where a read model is",
        (PROJECTION,),
        (404,),
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

    @bp.route(route="operations/projections/{name}/replay", methods=["POST"])
    async def replay_projection(req: func.HttpRequest) -> func.HttpResponse:
        return await answering(lambda: _replay(orders, read_models, req))

    @bp.route(route="operations/projections/{name}", methods=["GET"])
    async def get_projection(req: func.HttpRequest) -> func.HttpResponse:
        return await answering(lambda: _where(orders, read_models, req))

    return bp


async def _retry(
    orders: Orders, policy: Policy, client: df.DurableOrchestrationClient, req: func.HttpRequest
) -> func.HttpResponse:
    """Wake the saga that waits to try an undo again; start one if there is none."""
    order_id = path_identifier(req, "order_id")
    order = await read_order(orders.documents, order_id)
    asked = Asked(order_id, "orders.retry", "operator", order_id)
    async with recording(orders.documents, asked, orders.clock.now()) as record:
        if order["status"] in TERMINAL:
            raise OrderEnded(order["status"])
        if not await raise_event(client, order_id, OPERATOR_EVENT, {}):
            await start(client, order_id, start_input(policy, root_traceparent(order_id)))
        record["status"] = order["status"]
    return RETRIED(order)


async def _rebuild(
    orders: Orders, read_models: Sequence[ReadModel], req: func.HttpRequest
) -> func.HttpResponse:
    """In place: repair one page; the caller comes again with the continuation until it is null."""
    model = _named(read_models, req)
    async with recording(orders.documents, _asked(model, "rebuild"), orders.clock.now()) as record:
        with going_on():
            progress = await rebuild(orders.documents, model, continuation(req))
        record.update(asdict(progress))
    return REBUILT(progress)


async def _replay(
    orders: Orders, read_models: Sequence[ReadModel], req: func.HttpRequest
) -> func.HttpResponse:
    """One step of the way into a fresh container; the caller comes again until it is complete."""
    model = _named(read_models, req)
    now = orders.clock.now()
    async with recording(orders.documents, _asked(model, "replay"), now) as record:
        move = await go_on(orders.documents, model, now.timestamp())
        record.update(phase=move.phase, active=move.active, filling=move.filling)
    return PROJECTION(_report(model, move))


def _asked(model: ReadModel, command: str) -> Asked:
    stream = f"projection:{model.name}"
    return Asked(stream, f"operations.{command}", "operator", stream)


async def _where(
    orders: Orders, read_models: Sequence[ReadModel], req: func.HttpRequest
) -> func.HttpResponse:
    model = _named(read_models, req)
    return PROJECTION(_report(model, await where_is(orders.documents, model)))


def _report(model: ReadModel, move: Move) -> Projection:
    waits = move.phase in {"announced", "switched"}
    return {
        "name": model.name,
        "phase": move.phase,
        "active": move.active,
        "filling": move.filling,
        "checked": move.checked,
        "written": move.written,
        "broken": move.broken,
        "after": datetime.fromtimestamp(move.since + SEEN_BY_ALL_S, UTC).isoformat() if waits else None,
    }


def _named(read_models: Sequence[ReadModel], req: func.HttpRequest) -> ReadModel:
    """Raises UnknownProjection."""
    name = path_identifier(req, "name")
    model = next((each for each in read_models if each.name == name), None)
    if model is None:
        raise UnknownProjection([each.name for each in read_models])
    return model
