"""The audit trail, for auditors."""

import azure.durable_functions as df
import azure.functions as func

from core.documents import BadDocumentRequest, Documents
from services.audit.trail import CHAINS, read_trail
from triggers.http.bodies import page_limit, path_identifier
from triggers.http.problem import BadRequest, FieldError, answer, answering
from triggers.http.routes import CONTINUATION, Route, limit, query

MAX_ENTRIES = 1000


ROUTES = (
    Route(
        "GET",
        "audit/{stream}",
        "get_audit_trail",
        "what was asked and what came of it, verified",
        errors=(404,),
        parameters=(
            query("chain", "which of its chains", {"type": "string", "enum": [*CHAINS], "default": "orders"}),
            limit(MAX_ENTRIES, 100),
            CONTINUATION,
        ),
    ),
)


def blueprint(documents: Documents) -> df.Blueprint:
    bp = df.Blueprint()

    @bp.route(route="audit/{stream}", methods=["GET"])
    async def get_audit_trail(req: func.HttpRequest) -> func.HttpResponse:
        return await answering(lambda: _get(documents, req))

    return bp


async def _get(documents: Documents, req: func.HttpRequest) -> func.HttpResponse:
    stream = path_identifier(req, "stream")
    chain = req.params.get("chain", "orders")
    if chain not in CHAINS:
        raise BadRequest([FieldError("chain", f"must be one of {', '.join(CHAINS)}")])
    limit = page_limit(req, MAX_ENTRIES, default=100)
    continuation = req.params.get("continuation") or None
    try:
        return answer(await read_trail(documents, chain, stream, limit, continuation))
    except BadDocumentRequest as error:
        rule = "must be what the page before gave for the same trail"
        raise BadRequest([FieldError("continuation", rule)]) from error
