"""Payments as they stand, and what the gateway tells by webhook."""

from dataclasses import asdict
from datetime import date

import azure.durable_functions as df
import azure.functions as func

from core.bus import Bus
from core.card_numbers import card_number_in
from core.clock import Clock
from core.decider import Rejection
from core.documents import Documents
from core.envelope import check_command, from_object, to_json, to_message
from services.payments.gateway import Notice, Webhooks
from services.payments.reconciliation import PaymentDifferences, read_differences
from services.payments.views import PaymentView, read_payment
from services.payments.webhooks import check_charge
from triggers.http.answers import Answer
from triggers.http.bodies import card_number_refused, path_identifier
from triggers.http.paging import continuation, going_on
from triggers.http.problem import BadRequest, FieldError, answering
from triggers.http.routes import CONTINUATION, Route, of_service, query
from triggers.http.webhooks import ACCEPTED, IGNORED, take

QUEUE = "payments"


class UnknownProvider(Rejection):
    def __init__(self, provider: str) -> None:
        super().__init__("unknown_provider", f"webhooks are taken from {provider} only")


SHOWN = Answer(PaymentView)
DIFFERENCES = Answer(PaymentDifferences)

ROUTES = of_service(
    "payments",
    Route("GET", "payments/{order_id}", "get_payment", "what was charged and given back", (SHOWN,), (404,)),
    Route(
        "GET",
        "operations/payments/differences",
        "list_payment_differences",
        "where gateway and payments disagree",
        (DIFFERENCES,),
        parameters=(
            query("day", "when the money moved, UTC", {"type": "string", "format": "date"}),
            CONTINUATION,
        ),
    ),
    Route(
        "POST",
        "webhooks/payments/{provider}",
        "take_payment_webhook",
        "for the payment gateway, signed",
        (ACCEPTED, IGNORED),
        (401, 404),
        media="application/json",
        anonymous=True,
    ),
)


def blueprint(documents: Documents, bus: Bus, clock: Clock, webhooks: Webhooks) -> df.Blueprint:
    bp = df.Blueprint()

    @bp.route(route="payments/{order_id}", methods=["GET"])
    async def get_payment(req: func.HttpRequest) -> func.HttpResponse:
        return await answering(lambda: _get(documents, req))

    @bp.route(route="operations/payments/differences", methods=["GET"])
    async def list_payment_differences(req: func.HttpRequest) -> func.HttpResponse:
        return await answering(lambda: _differences(documents, clock, req))

    # Anonymous: the signature says who it is from, and the gateway has no key of the functions host.
    @bp.route(route="webhooks/payments/{provider}", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
    async def take_payment_webhook(req: func.HttpRequest) -> func.HttpResponse:
        return await answering(lambda: _take(bus, clock, webhooks, req))

    return bp


async def _get(documents: Documents, req: func.HttpRequest) -> func.HttpResponse:
    return SHOWN(await read_payment(documents, path_identifier(req, "order_id")))


async def _differences(documents: Documents, clock: Clock, req: func.HttpRequest) -> func.HttpResponse:
    """Of one day, today when none is named."""
    day = req.params.get("day", clock.now().date().isoformat())
    if not _is_day(day):
        raise BadRequest([FieldError("day", "must be a date, as 2027-01-15")])
    with going_on():
        return DIFFERENCES(await read_differences(documents, day, continuation(req)))


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


async def _take(bus: Bus, clock: Clock, webhooks: Webhooks, req: func.HttpRequest) -> func.HttpResponse:
    if path_identifier(req, "provider") != webhooks.provider:
        raise UnknownProvider(webhooks.provider)
    return await take(
        req,
        webhooks.provider,
        webhooks.header,
        lambda body, headers: webhooks.read(body, headers, clock.now()),
        lambda notice: _queue(bus, clock, webhooks, notice),
    )


async def _queue(bus: Bus, clock: Clock, webhooks: Webhooks, notice: Notice) -> None:
    """Raises InvalidContract for ids that are none.

    Only what goes on is looked through for card numbers: a provider's own numbers, of networks and banks, may
    look like one by chance, and to refuse its webhook would lose it.
    """
    held = card_number_in(asdict(notice))
    if held is not None:
        raise card_number_refused(held)
    command = from_object(to_json(check_charge(notice, webhooks.provider, clock.now())))
    check_command(command, notice.order_id, notice.event_id)
    await bus.send(QUEUE, [to_message(command)])
