"""Stock as a person sets and sees it."""

from dataclasses import asdict
from typing import Annotated

import azure.durable_functions as df
import azure.functions as func
from pydantic import Field

from core.clock import Clock
from core.documents import Documents
from services.inventory.stock import MAX_ON_HAND, read_stock, set_on_hand
from triggers.http.bodies import Body, Text, path_identifier, read_body
from triggers.http.problem import answer, answering


class SetOnHand(Body):
    on_hand: Annotated[int, Field(ge=0, le=MAX_ON_HAND)]
    reason: Text | None = None


def blueprint(documents: Documents, clock: Clock) -> df.Blueprint:
    bp = df.Blueprint()

    @bp.route(route="inventory/{sku}", methods=["PUT"])
    async def put_inventory(req: func.HttpRequest) -> func.HttpResponse:
        return await answering(lambda: _put(documents, clock, req))

    @bp.route(route="inventory/{sku}", methods=["GET"])
    async def get_inventory(req: func.HttpRequest) -> func.HttpResponse:
        return await answering(lambda: _get(documents, req))

    return bp


async def _put(documents: Documents, clock: Clock, req: func.HttpRequest) -> func.HttpResponse:
    sku = path_identifier(req, "sku")
    body = read_body(req, SetOnHand)
    return answer(asdict(await set_on_hand(documents, sku, body.on_hand, body.reason, clock.now())))


async def _get(documents: Documents, req: func.HttpRequest) -> func.HttpResponse:
    return answer(asdict(await read_stock(documents, path_identifier(req, "sku"))))
