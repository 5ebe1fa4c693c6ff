"""The audit trail, for auditors."""

import azure.durable_functions as df
import azure.functions as func

from core.clock import Clock
from core.documents import Documents
from services.audit.ends import CHAINS
from services.audit.trail import ALL, AuditTrail, read_trail
from triggers.http.answers import Answer
from triggers.http.bodies import identifier
from triggers.http.paging import continuation, going_on, page_limit
from triggers.http.problem import BadRequest, FieldError, answering
from triggers.http.routes import CONTINUATION, Route, limit, of_service, query

MAX_ENTRIES = 1000
TRAIL = Answer(AuditTrail)

ROUTES = of_service(
    "audit",
    Route(
        "GET",
        "audit/{stream}",
        "get_audit_trail",
        "what was asked and what came of it, verified",
        (TRAIL,),
        (404,),
        parameters=(
            query("chain", "only that one", {"type": "string", "enum": [ALL, *CHAINS], "default": ALL}),
            limit(MAX_ENTRIES, 100),
            CONTINUATION,
        ),
    ),
)


def blueprint(documents: Documents, clock: Clock) -> df.Blueprint:
    bp = df.Blueprint()

    @bp.route(route="audit/{stream}", methods=["GET"])
    async def get_audit_trail(req: func.HttpRequest) -> func.HttpResponse:
        return await answering(lambda: _get(documents, clock, req))

    return bp


async def _get(documents: Documents, clock: Clock, req: func.HttpRequest) -> func.HttpResponse:
    stream = _stream(req.route_params.get("stream", ""))
    chain = req.params.get("chain", ALL)
    if chain not in {ALL, *CHAINS}:
        raise BadRequest([FieldError("chain", f"must be one of {', '.join([ALL, *CHAINS])}")])
    limit = page_limit(req, MAX_ENTRIES, default=100)
    with going_on():
        return TRAIL(await read_trail(documents, chain, stream, limit, continuation(req), clock.now()))


def _stream(value: str) -> str:
    """An id, alone or after what it is the id of, as in `customer:ada`."""
    kind, colon, id = value.partition(":")
    try:
        identifier(id if colon and kind.isalpha() else value)
    except ValueError as error:
        raise BadRequest([FieldError("stream", str(error))]) from error
    return value
