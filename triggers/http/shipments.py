"""Shipments as they stand, and what the carriers tell by webhook."""

from collections.abc import Sequence
from dataclasses import asdict
from http import HTTPStatus
from urllib.parse import urlsplit

import azure.durable_functions as df
import azure.functions as func

from core.blobs import Blobs
from core.bus import Bus
from core.card_numbers import card_number_in
from core.clock import Clock
from core.decider import Rejection
from core.documents import Documents
from core.envelope import check_command, from_object, to_json, to_message
from services.shipping.calls import Carriers
from services.shipping.carrier import Notice, Webhooks
from services.shipping.label import FORMATS
from services.shipping.labels import LabelUrl, label_url
from services.shipping.messages import Address
from services.shipping.views import ShipmentView, read_shipment
from services.shipping.webhooks import find_parcel, track_parcel
from triggers.http.answers import Answer, Empty
from triggers.http.bodies import card_number_refused, path_identifier
from triggers.http.problem import BadRequest, FieldError, answering
from triggers.http.routes import Route, of_service, query
from triggers.http.webhooks import ACCEPTED, IGNORED, take

QUEUE = "shipping"


class UnknownCarrier(Rejection):
    def __init__(self, carriers: str) -> None:
        super().__init__("unknown_carrier", f"webhooks are taken from {carriers} only")


class UnknownParcel(Rejection):
    """Answered 404, so that the carrier sends it again: the parcel may be yet to be recorded."""

    def __init__(self) -> None:
        super().__init__("unknown_parcel", "there is no parcel with this shipment_id (yet)")


SHOWN = Answer(ShipmentView)
LABEL = Answer(LabelUrl)
LABEL_THERE = Empty(HTTPStatus.FOUND, ("Location", "Cache-Control"))

ROUTES = of_service(
    "shipping",
    Route("GET", "shipments/{parcel_id}", "get_shipment", "where a parcel is", (SHOWN,), (404,)),
    Route(
        "GET",
        "shipments/{parcel_id}/label",
        "get_shipment_label",
        "its label: where it is, as JSON or by a redirect",
        (LABEL, LABEL_THERE),
        (404, 409),
        parameters=(query("format", "of the label", {"type": "string", "enum": [*FORMATS]}),),
    ),
    Route(
        "POST",
        "webhooks/shipping/{carrier}",
        "take_shipping_webhook",
        "for the carrier, signed",
        (ACCEPTED, IGNORED),
        (401, 404),
        media="application/json",
        anonymous=True,
    ),
)


def blueprint(
    documents: Documents,
    bus: Bus,
    blobs: Blobs,
    carriers: Carriers,
    webhooks: Sequence[Webhooks],
    shop: Address,
) -> df.Blueprint:
    """`shop` is where parcels come from, and go back to."""
    bp = df.Blueprint()
    clock = carriers.clock

    @bp.route(route="shipments/{parcel_id}", methods=["GET"])
    async def get_shipment(req: func.HttpRequest) -> func.HttpResponse:
        return await answering(lambda: _get(documents, req))

    @bp.route(route="shipments/{parcel_id}/label", methods=["GET"])
    async def get_shipment_label(req: func.HttpRequest) -> func.HttpResponse:
        return await answering(lambda: _label(documents, blobs, carriers, shop, req))

    # Anonymous: the signature says who it is from, and the carrier has no key of the functions host.
    @bp.route(route="webhooks/shipping/{carrier}", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
    async def take_shipping_webhook(req: func.HttpRequest) -> func.HttpResponse:
        return await answering(lambda: _take(documents, bus, clock, webhooks, req))

    return bp


async def _get(documents: Documents, req: func.HttpRequest) -> func.HttpResponse:
    return SHOWN(await read_shipment(documents, path_identifier(req, "parcel_id")))


async def _label(
    documents: Documents, blobs: Blobs, carriers: Carriers, shop: Address, req: func.HttpRequest
) -> func.HttpResponse:
    """302 to the label; who asks for JSON is told where it is, and until when."""
    parcel_id = path_identifier(req, "parcel_id")
    asked = req.params.get("format", "pdf")
    format = next((each for each in FORMATS if each == asked), None)
    if format is None:
        raise BadRequest([FieldError("format", f"must be {' or '.join(FORMATS)}")])
    found = await label_url(documents, blobs, carriers, shop, parcel_id, format)
    if "application/json" in req.headers.get("Accept", ""):
        return LABEL(found)
    return LABEL_THERE({"Location": found.url, "Cache-Control": "no-store"})


async def _take(
    documents: Documents, bus: Bus, clock: Clock, webhooks: Sequence[Webhooks], req: func.HttpRequest
) -> func.HttpResponse:
    carrier = path_identifier(req, "carrier")
    reader = next((each for each in webhooks if each.carrier == carrier), None)
    if reader is None:
        raise UnknownCarrier(", ".join(each.carrier for each in webhooks))
    return await take(
        req,
        carrier,
        reader.header,
        lambda body, headers: reader.read(body, headers, urlsplit(req.url).path, clock.now()),
        lambda notice: _queue(documents, bus, clock, carrier, notice),
    )


async def _queue(documents: Documents, bus: Bus, clock: Clock, carrier: str, notice: Notice) -> None:
    """Raises InvalidContract for ids that are none, UnknownParcel.

    Only what goes on is looked through for card numbers, as with the webhooks of payments.
    """
    held = card_number_in(
        {"shipment_id": notice.shipment_id, "parcel_id": notice.parcel_id, **asdict(notice.news), "at": ""}
    )
    if held is not None:
        raise card_number_refused(held)
    parcel_id = notice.parcel_id or await find_parcel(documents, notice.shipment_id)
    if parcel_id is None:
        raise UnknownParcel
    command = from_object(to_json(track_parcel(notice, parcel_id, carrier, clock.now())))
    check_command(command, parcel_id, notice.news.event_id)
    await bus.send(QUEUE, [to_message(command)])
