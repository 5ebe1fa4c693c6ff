"""The cards that a customer keeps on file. What comes in is the gateway's token, never a card."""

from http import HTTPStatus
from typing import Annotated

import azure.durable_functions as df
import azure.functions as func
from pydantic import StringConstraints

from core.audit import Asked, recording
from core.clock import Clock
from core.documents import Documents
from core.json import JsonObject
from services.payments import methods
from services.payments.calls import Outside
from services.payments.gateway import PaymentGateway
from triggers.http.answers import Answer, Empty
from triggers.http.bodies import Body, path_identifier, read_body
from triggers.http.problem import answering
from triggers.http.routes import Route, of_service

LIST = "customers/{customer_id}/payment-methods"
ONE = LIST + "/{method_id}"


class AddMethod(Body):
    token: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:-]{1,128}$")]
    default: bool = False


ADDED = Answer(methods.PaymentMethod, HTTPStatus.CREATED)
SHOWN = Answer(methods.PaymentMethod)
LISTED = Answer(methods.PaymentMethods)
REMOVED = Empty(HTTPStatus.NO_CONTENT)

ROUTES = of_service(
    "payments",
    Route(
        "POST",
        LIST,
        "add_payment_method",
        "keep a card by its token",
        (ADDED, SHOWN),
        (409,),
        body=AddMethod,
        example={"token": "tok_ok", "default": True},
    ),
    Route("GET", LIST, "list_payment_methods", "the cards that a customer keeps on file", (LISTED,)),
    Route("DELETE", ONE, "remove_payment_method", "forget a card", (REMOVED,), (404,)),
    Route("POST", f"{ONE}/default", "set_default_payment_method", "use it by default", (SHOWN,), (404,)),
    Route("POST", f"{ONE}/expire", "expire_payment_method", "it is no longer valid", (SHOWN,), (404,)),
)


def blueprint(documents: Documents, gateway: PaymentGateway, clock: Clock, timeout_s: float) -> df.Blueprint:
    """`timeout_s` is how long the gateway may take to answer."""
    bp = df.Blueprint()
    outside = Outside(gateway, clock, timeout_s)

    @bp.route(route=LIST, methods=["POST"])
    async def add_payment_method(req: func.HttpRequest) -> func.HttpResponse:
        return await answering(lambda: _add(documents, outside, req))

    @bp.route(route=LIST, methods=["GET"])
    async def list_payment_methods(req: func.HttpRequest) -> func.HttpResponse:
        return await answering(lambda: _list(documents, clock, req))

    @bp.route(route=ONE, methods=["DELETE"])
    async def remove_payment_method(req: func.HttpRequest) -> func.HttpResponse:
        return await answering(lambda: _remove(documents, outside, req))

    @bp.route(route=ONE + "/default", methods=["POST"])
    async def set_default_payment_method(req: func.HttpRequest) -> func.HttpResponse:
        return await answering(lambda: _set_default(documents, clock, req))

    @bp.route(route=ONE + "/expire", methods=["POST"])
    async def expire_payment_method(req: func.HttpRequest) -> func.HttpResponse:
        return await answering(lambda: _expire(documents, clock, req))

    return bp


async def _add(documents: Documents, outside: Outside, req: func.HttpRequest) -> func.HttpResponse:
    customer_id = path_identifier(req, "customer_id")
    body = read_body(req, AddMethod)
    card = await outside.gateway.keep(customer_id, body.token)
    now = outside.clock.now()
    async with recording(documents, _asked(customer_id, "keep_card"), now) as record:
        method, new = await methods.add(documents, customer_id, card, body.default, now)
        record.update(on_record(method), new=new)
    return (ADDED if new else SHOWN)(methods.shown(method, now))


def _asked(customer_id: str, command: str) -> Asked:
    stream = f"customer:{customer_id}"
    return Asked(stream, f"payments.{command}", stream, customer_id)


def on_record(method: methods.Method) -> JsonObject:
    """Enough to tell one from another, and nothing to charge."""
    return {"id": method.id, "default": method.default, "expired": method.expired}


async def _list(documents: Documents, clock: Clock, req: func.HttpRequest) -> func.HttpResponse:
    found = await methods.read_methods(documents, path_identifier(req, "customer_id"))
    return LISTED({"payment_methods": [methods.shown(method, clock.now()) for method in found]})


async def _remove(documents: Documents, outside: Outside, req: func.HttpRequest) -> func.HttpResponse:
    customer_id, id = path_identifier(req, "customer_id"), path_identifier(req, "method_id")
    now = outside.clock.now()
    async with recording(documents, _asked(customer_id, "forget_card"), now) as record:
        await methods.remove(documents, outside.gateway, customer_id, id, now)
        record["id"] = id
    return REMOVED()


async def _set_default(documents: Documents, clock: Clock, req: func.HttpRequest) -> func.HttpResponse:
    customer_id, id = path_identifier(req, "customer_id"), path_identifier(req, "method_id")
    async with recording(documents, _asked(customer_id, "use_card_by_default"), clock.now()) as record:
        method = await methods.set_default(documents, customer_id, id, clock.now())
        record.update(on_record(method))
    return SHOWN(methods.shown(method, clock.now()))


async def _expire(documents: Documents, clock: Clock, req: func.HttpRequest) -> func.HttpResponse:
    customer_id, id = path_identifier(req, "customer_id"), path_identifier(req, "method_id")
    async with recording(documents, _asked(customer_id, "expire_card"), clock.now()) as record:
        method = await methods.expire(documents, customer_id, id, clock.now())
        record.update(on_record(method))
    return SHOWN(methods.shown(method, clock.now()))
