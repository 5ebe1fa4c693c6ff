"""Stock from a CSV file."""

from dataclasses import replace
from http import HTTPStatus

import azure.durable_functions as df
import azure.functions as func

from core.blobs import Blobs
from core.bus import Bus
from core.clock import Clock
from core.documents import Documents
from services.inventory.csv_rows import MAX_BYTES, InvalidFile, parse
from services.inventory.import_report import ImportReport, RefusedRows, location, read_errors, report
from services.inventory.imports import accept
from triggers.http.answers import Answer
from triggers.http.bodies import idempotency_key, identifier, path_identifier, text
from triggers.http.paging import continuation, going_on, page_limit
from triggers.http.problem import BadRequest, FieldError, answering
from triggers.http.routes import CONTINUATION, IDEMPOTENCY_KEY, Route, limit, of_service

MAX_REFERENCE = 200
"""As of every text in a body."""

ACCEPTED = Answer(ImportReport, HTTPStatus.ACCEPTED, ("Location",))
DONE_BEFORE = Answer(ImportReport, headers=("Location",))
SHOWN = Answer(ImportReport)
REFUSED = Answer(RefusedRows)

ROUTES = of_service(
    "inventory",
    Route(
        "POST",
        "inventory/imports",
        "import_inventory",
        "stock from a CSV file, booked in the background",
        (ACCEPTED, DONE_BEFORE),
        (409, 415),
        parameters=(replace(IDEMPOTENCY_KEY, required=False),),
        media="text/csv",
        example="sku,quantity,reference\nCUP,40,delivery note 12\nSAUCER,40,delivery note 12\n",
    ),
    Route(
        "GET",
        "inventory/imports/{import_id}",
        "get_inventory_import",
        "how far an import is",
        (SHOWN,),
        (404,),
    ),
    Route(
        "GET",
        "inventory/imports/{import_id}/errors",
        "list_inventory_import_errors",
        "the rows of an import that were refused",
        (REFUSED,),
        (404,),
        parameters=(limit(), CONTINUATION),
    ),
)


def blueprint(documents: Documents, bus: Bus, blobs: Blobs, clock: Clock) -> df.Blueprint:
    bp = df.Blueprint()

    @bp.route(route="inventory/imports", methods=["POST"])
    async def import_inventory(req: func.HttpRequest) -> func.HttpResponse:
        return await answering(lambda: _import(documents, bus, blobs, clock, req))

    @bp.route(route="inventory/imports/{import_id}", methods=["GET"])
    async def get_inventory_import(req: func.HttpRequest) -> func.HttpResponse:
        return await answering(lambda: _report(documents, req))

    @bp.route(route="inventory/imports/{import_id}/errors", methods=["GET"])
    async def list_inventory_import_errors(req: func.HttpRequest) -> func.HttpResponse:
        return await answering(lambda: _errors(documents, req))

    return bp


async def _import(
    documents: Documents, bus: Bus, blobs: Blobs, clock: Clock, req: func.HttpRequest
) -> func.HttpResponse:
    content_type: str = req.headers.get("Content-Type", "")
    if content_type.partition(";")[0].strip().lower() != "text/csv":
        errors = [FieldError("Content-Type", "must be text/csv")]
        raise BadRequest(errors, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
    key = idempotency_key(req) if "Idempotency-Key" in req.headers else None
    content = req.get_body()
    try:
        file = parse(content, identifier, reference)
        import_id, goes_on = await accept(documents, bus, blobs, key, content, file, clock.now())
    except InvalidFile as error:
        too_large = len(content) > MAX_BYTES
        status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE if too_large else HTTPStatus.BAD_REQUEST
        raise BadRequest([FieldError(error.field, error.rule)], status) from error
    declared = ACCEPTED if goes_on else DONE_BEFORE
    return declared(await report(documents, import_id), {"Location": location(import_id)})


async def _report(documents: Documents, req: func.HttpRequest) -> func.HttpResponse:
    return SHOWN(await report(documents, path_identifier(req, "import_id")))


async def _errors(documents: Documents, req: func.HttpRequest) -> func.HttpResponse:
    import_id = path_identifier(req, "import_id")
    limit = page_limit(req)
    with going_on():
        return REFUSED(await read_errors(documents, import_id, limit, continuation(req)))


def reference(value: str) -> str:
    if len(value) > MAX_REFERENCE:
        raise ValueError(f"must have at most {MAX_REFERENCE} characters")
    return text(value)
