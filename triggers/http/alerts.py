"""What operators must look at."""

from typing import Literal, cast

import azure.durable_functions as df
import azure.functions as func

from core.audit import Asked, recording
from core.clock import Clock
from core.documents import Documents
from services.notifications.alerts import AlertList, AlertView, close_by_hand, read_alerts
from triggers.http.answers import Answer
from triggers.http.bodies import Body, Text, path_identifier, read_body
from triggers.http.paging import continuation, going_on, page_limit
from triggers.http.problem import BadRequest, FieldError, answering
from triggers.http.routes import CONTINUATION, Route, limit, of_service, query

STATUSES = ("open", "closed")


class WithNote(Body):
    note: Text


LISTED = Answer(AlertList)
CLOSED = Answer(AlertView)

ROUTES = of_service(
    "notifications",
    Route(
        "GET",
        "operations/alerts",
        "list_alerts",
        "what operators must look at, the oldest first",
        (LISTED,),
        parameters=(
            query("status", "open by default", {"type": "string", "enum": [*STATUSES], "default": "open"}),
            limit(),
            CONTINUATION,
        ),
    ),
    Route(
        "POST",
        "operations/alerts/{order_id}/{alert_id}/close",
        "close_alert",
        "say that an alert of money or a parcel was seen to; the others close by themselves",
        (CLOSED,),
        (404, 409),
        body=WithNote,
        example={"note": "refunded by hand at the gateway"},
    ),
)


def blueprint(documents: Documents, clock: Clock) -> df.Blueprint:
    bp = df.Blueprint()

    @bp.route(route="operations/alerts", methods=["GET"])
    async def list_alerts(req: func.HttpRequest) -> func.HttpResponse:
        return await answering(lambda: _list(documents, req))

    @bp.route(route="operations/alerts/{order_id}/{alert_id}/close", methods=["POST"])
    async def close_alert(req: func.HttpRequest) -> func.HttpResponse:
        return await answering(lambda: _close(documents, clock, req))

    return bp


async def _list(documents: Documents, req: func.HttpRequest) -> func.HttpResponse:
    status = req.params.get("status", "open")
    if status not in STATUSES:
        raise BadRequest([FieldError("status", f"must be one of {', '.join(STATUSES)}")])
    wanted = cast('Literal["open", "closed"]', status)
    with going_on():
        return LISTED(await read_alerts(documents, wanted, page_limit(req), continuation(req)))


async def _close(documents: Documents, clock: Clock, req: func.HttpRequest) -> func.HttpResponse:
    order_id, id = path_identifier(req, "order_id"), path_identifier(req, "alert_id")
    note = read_body(req, WithNote).note
    asked = Asked(order_id, "notifications.close_alert", "operator", order_id)
    async with recording(documents, asked, clock.now()) as record:
        alert = await close_by_hand(documents, order_id, id, note, clock.now())
        record.update(alert=id, note=note)
    return CLOSED(alert)
