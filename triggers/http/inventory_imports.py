"""Stock from a CSV file."""

from dataclasses import replace
from http import HTTPStatus

import azure.durable_functions as df
import azure.functions as func

from core.bus import Bus
from core.clock import Clock
from core.documents import Documents
from services.inventory.csv_rows import MAX_BYTES, InvalidFile, parse
from services.inventory.imports import accept, links, report
from triggers.http.bodies import idempotency_key, identifier, path_identifier, text
from triggers.http.problem import BadRequest, FieldError, answer, answering
from triggers.http.routes import IDEMPOTENCY_KEY, Route

MAX_REFERENCE = 200
"""As of every text in a body."""


ROUTES = (
    Route(
        "POST",
        "inventory/imports",
        "import_inventory",
        "stock from a CSV file, booked in the background",
        (202,),
        (409, 415),
        parameters=(replace(IDEMPOTENCY_KEY, required=False),),
        media="text/csv",
    ),
    Route(
        "GET", "inventory/imports/{import_id}", "get_inventory_import", "how far an import is", errors=(404,)
    ),
)


def blueprint(documents: Documents, bus: Bus, clock: Clock) -> df.Blueprint:
    bp = df.Blueprint()

    @bp.route(route="inventory/imports", methods=["POST"])
    async def import_inventory(req: func.HttpRequest) -> func.HttpResponse:
        return await answering(lambda: _import(documents, bus, clock, req))

    @bp.route(route="inventory/imports/{import_id}", methods=["GET"])
    async def get_inventory_import(req: func.HttpRequest) -> func.HttpResponse:
        return await answering(lambda: _report(documents, req))

    return bp


async def _import(documents: Documents, bus: Bus, clock: Clock, req: func.HttpRequest) -> func.HttpResponse:
    content_type: str = req.headers.get("Content-Type", "")
    if content_type.partition(";")[0].strip().lower() != "text/csv":
        errors = [FieldError("Content-Type", "must be text/csv")]
        raise BadRequest(errors, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
    key = idempotency_key(req) if "Idempotency-Key" in req.headers else None
    content = req.get_body()
    try:
        rows = parse(content, identifier, reference)
    except InvalidFile as error:
        too_large = len(content) > MAX_BYTES
        status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE if too_large else HTTPStatus.BAD_REQUEST
        raise BadRequest([FieldError(error.field, error.rule)], status) from error
    import_id = await accept(documents, bus, key, content, rows, clock.now())
    location = str(links(import_id)["self"])
    return answer(await report(documents, import_id), HTTPStatus.ACCEPTED, Location=location)


async def _report(documents: Documents, req: func.HttpRequest) -> func.HttpResponse:
    return answer(await report(documents, path_identifier(req, "import_id")))


def reference(value: str) -> str:
    if len(value) > MAX_REFERENCE:
        raise ValueError(f"must have at most {MAX_REFERENCE} characters")
    return text(value)
