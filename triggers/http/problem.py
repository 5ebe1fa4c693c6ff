"""Errors as problem+json (RFC 9457): they name the field and the rule, and never repeat what was sent."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypedDict

import azure.functions as func
import orjson

from core.decider import Rejection
from core.resilience import TRANSIENT, retry_transient
from core.telemetry import log

MEDIA = "application/problem+json"
RETRY_BUDGET_S = 5.0
"""A client waits: transient errors are repeated for this long, then the answer is 503."""

logger = logging.getLogger("orderflow.http")

STATUS = {
    "replay_moved_on": HTTPStatus.CONFLICT,
    "unknown_trail": HTTPStatus.NOT_FOUND,
    "order_not_found": HTTPStatus.NOT_FOUND,
    "return_not_found": HTTPStatus.NOT_FOUND,
    "unknown_sku": HTTPStatus.NOT_FOUND,
    "unknown_import": HTTPStatus.NOT_FOUND,
    "unknown_projection": HTTPStatus.NOT_FOUND,
    "payment_not_found": HTTPStatus.NOT_FOUND,
    "payment_method_not_found": HTTPStatus.NOT_FOUND,
    "unknown_token": HTTPStatus.UNPROCESSABLE_ENTITY,
    "card_expired": HTTPStatus.UNPROCESSABLE_ENTITY,
    "unknown_provider": HTTPStatus.NOT_FOUND,
    "shipment_not_found": HTTPStatus.NOT_FOUND,
    "no_label": HTTPStatus.CONFLICT,
    "unknown_carrier": HTTPStatus.NOT_FOUND,
    "unknown_parcel": HTTPStatus.NOT_FOUND,
    "preferences_not_found": HTTPStatus.NOT_FOUND,
    "preferences_changed": HTTPStatus.PRECONDITION_FAILED,
    "invalid_link": HTTPStatus.BAD_REQUEST,
    "unknown_template": HTTPStatus.NOT_FOUND,
    "unknown_kind": HTTPStatus.NOT_FOUND,
    "notification_not_found": HTTPStatus.NOT_FOUND,
    "no_outbox": HTTPStatus.NOT_FOUND,
    "alert_not_found": HTTPStatus.NOT_FOUND,
    "alert_closes_itself": HTTPStatus.CONFLICT,
    "report_not_trusted": HTTPStatus.FORBIDDEN,
    "cannot_cancel": HTTPStatus.CONFLICT,
    "cannot_change": HTTPStatus.CONFLICT,
    "is_replaced": HTTPStatus.CONFLICT,
    "below_held": HTTPStatus.CONFLICT,
    "order_ended": HTTPStatus.CONFLICT,
    "idempotency_key_reused": HTTPStatus.UNPROCESSABLE_ENTITY,
    "reason_required": HTTPStatus.BAD_REQUEST,
    "unknown_line": HTTPStatus.BAD_REQUEST,
    "other_lines": HTTPStatus.BAD_REQUEST,
    "more_than_announced": HTTPStatus.BAD_REQUEST,
    "invalid_quantity": HTTPStatus.BAD_REQUEST,
}
"""The status of a rejection, by its code."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """`field` is a dotted path into the body (`lines.0.sku`), a header's or a parameter's name."""

    field: str
    rule: str


class BrokenRule(TypedDict):
    field: str
    rule: str


class Problem(TypedDict):
    type: str
    title: str
    status: int
    detail: str
    errors: list[BrokenRule]


class BadRequest(Exception):
    """The request cannot be carried out as it is, whatever the state."""

    def __init__(self, errors: Sequence[FieldError], status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__("; ".join(f"{error.field}: {error.rule}" for error in errors))
        self.errors = errors
        self.status = status


def problem(status: HTTPStatus, detail: str, errors: Sequence[FieldError] = ()) -> func.HttpResponse:
    body: Problem = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "detail": detail,
        "errors": [{"field": error.field, "rule": error.rule} for error in errors],
    }
    headers = {"Retry-After": "1"} if status == HTTPStatus.SERVICE_UNAVAILABLE else None
    return func.HttpResponse(orjson.dumps(body), status_code=status, headers=headers, mimetype=MEDIA)


async def answering(handle: Callable[[], Awaitable[func.HttpResponse]]) -> func.HttpResponse:
    """Run a handler, transient errors repeated, and turn what it raises on purpose into a problem.

    Anything else goes to the host, which answers 500 and logs it.
    """
    try:
        return await retry_transient(handle, budget_s=RETRY_BUDGET_S)
    except BadRequest as error:
        return problem(error.status, "the request breaks a rule", error.errors)
    except Rejection as error:
        return problem(STATUS.get(error.code, HTTPStatus.CONFLICT), str(error))
    except TRANSIENT as error:
        log(logger, logging.WARNING, "request given up", error=repr(error))
        return problem(HTTPStatus.SERVICE_UNAVAILABLE, "try again in a moment")
