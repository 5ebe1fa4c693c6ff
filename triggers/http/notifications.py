"""Notifications and what became of them, the providers' reports, and the outbox of a development machine."""

import hmac
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import TypedDict

import azure.durable_functions as df
import azure.functions as func

from core.card_numbers import card_number_in
from core.decider import Rejection
from services.notifications.reports import Posted, queue_report
from services.notifications.telling import Notifier
from services.notifications.views import (
    NotificationList,
    NotificationNotFound,
    NotificationView,
    OutboxMessage,
    read_notification,
    read_notifications,
)
from triggers.http.answers import Answer
from triggers.http.bodies import (
    MAX_BODY_BYTES,
    card_number_refused,
    limited_body,
    query_identifier,
)
from triggers.http.paging import continuation, going_on, page_limit
from triggers.http.problem import BadRequest, FieldError, answering
from triggers.http.routes import CONTINUATION, IDENTIFIER, Parameter, Route, limit, of_service, query

MAX_STATUS_BYTES = 256 * 1024
"""A mail of ours that comes back whole has room in it. To read one that is made to be slow takes a second."""

type ReadReports = Callable[[bytes], Posted]
"""Raises ValueError, which names the field."""

type ReadOutbox = Callable[[int], Awaitable[Sequence[OutboxMessage]]]
"""The newest messages, so many at most."""

_ID = re.compile(r"[^/\\#?\x00-\x1f\x7f-\x9f]{1,250}")


class ReportNotTrusted(Rejection):
    def __init__(self) -> None:
        super().__init__("report_not_trusted", "the key of delivery reports is missing or wrong")


class NoOutbox(Rejection):
    def __init__(self) -> None:
        super().__init__("no_outbox", "there is an outbox only with ORDERFLOW_NOTIFICATION_CHANNELS=outbox")


class ReportsTaken(TypedDict, total=False):
    """How many reports; or what Event Grid asked, when it asks whether this is the right URL."""

    taken: int
    validationResponse: str


class OutboxMessages(TypedDict):
    """The newest first."""

    items: list[OutboxMessage]


LISTED = Answer(NotificationList)
SHOWN = Answer(NotificationView)
TAKEN = Answer(ReportsTaken)
OUTBOX = Answer(OutboxMessages)
KEY = query("key", "ORDERFLOW_DELIVERY_REPORT_KEY")

ROUTES = of_service(
    "notifications",
    Route(
        "GET",
        "notifications",
        "list_notifications",
        "of an order or of a SKU",
        (LISTED,),
        parameters=(
            query("order_id", "of this order", IDENTIFIER),
            query("sku", "of this SKU", IDENTIFIER),
            limit(),
            CONTINUATION,
        ),
    ),
    Route(
        "GET",
        "notifications/{id}",
        "get_notification",
        "one, with its attempts",
        (SHOWN,),
        (404,),
        parameters=(Parameter("id", "path", "", {**IDENTIFIER, "maxLength": 250}, required=True),),
    ),
    Route(
        "POST",
        "webhooks/notifications/event-grid",
        "take_delivery_reports",
        "for Event Grid, with its key",
        (TAKEN,),
        (403,),
        parameters=(KEY,),
        media="application/json",
        anonymous=True,
    ),
    Route(
        "POST",
        "webhooks/notifications/delivery-status",
        "take_delivery_status",
        "for mail servers, with its key: a report as RFC 3464 has it",
        (TAKEN,),
        (403,),
        parameters=(KEY,),
        media="message/rfc822",
        anonymous=True,
    ),
    Route(
        "GET",
        "development/outbox",
        "get_outbox",
        "what would have been sent",
        (OUTBOX,),
        (404,),
        parameters=(limit(),),
    ),
)


def blueprint(
    notifier: Notifier,
    report_key: str,
    read_events: ReadReports,
    read_status: ReadReports,
    read_outbox: ReadOutbox | None,
) -> df.Blueprint:
    """`read_outbox` is None where messages really are sent; an empty `report_key` takes no report."""
    bp = df.Blueprint()

    @bp.route(route="notifications", methods=["GET"])
    async def list_notifications(req: func.HttpRequest) -> func.HttpResponse:
        return await answering(lambda: _list(notifier, req))

    @bp.route(route="notifications/{id}", methods=["GET"])
    async def get_notification(req: func.HttpRequest) -> func.HttpResponse:
        return await answering(lambda: _get(notifier, req))

    # Anonymous: Event Grid gives the key that its subscription's URL was made with.
    @bp.route(
        route="webhooks/notifications/event-grid", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS
    )
    async def take_delivery_reports(req: func.HttpRequest) -> func.HttpResponse:
        return await answering(lambda: _take(notifier, report_key, read_events, MAX_BODY_BYTES, req))

    # Anonymous: a mail server pipes what comes to the sender's address, with the key in the URL.
    @bp.route(
        route="webhooks/notifications/delivery-status", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS
    )
    async def take_delivery_status(req: func.HttpRequest) -> func.HttpResponse:
        return await answering(lambda: _take(notifier, report_key, read_status, MAX_STATUS_BYTES, req))

    @bp.route(route="development/outbox", methods=["GET"])
    async def get_outbox(req: func.HttpRequest) -> func.HttpResponse:
        return await answering(lambda: _outbox(read_outbox, req))

    return bp


async def _list(notifier: Notifier, req: func.HttpRequest) -> func.HttpResponse:
    order_id, sku = query_identifier(req, "order_id"), query_identifier(req, "sku")
    subject = order_id or sku
    if subject is None or (order_id and sku):
        raise BadRequest([FieldError("order_id", "must be given, or a sku instead")])
    limit = page_limit(req)
    with going_on():
        return LISTED(await read_notifications(notifier.documents, subject, limit, continuation(req)))


async def _get(notifier: Notifier, req: func.HttpRequest) -> func.HttpResponse:
    id = req.route_params.get("id", "")
    if _ID.fullmatch(id) is None:
        raise NotificationNotFound
    return SHOWN(await read_notification(notifier.documents, id))


async def _take(
    notifier: Notifier, key: str, read: ReadReports, most: int, req: func.HttpRequest
) -> func.HttpResponse:
    """Queued, not recorded at once: Event Grid waits for 30 s at most, and posts again what was not taken.

    Only what goes on is looked through for card numbers. From a reason they are taken out: a server that says
    one would say it again.
    """
    given = req.params.get("key", "")
    if not key or not hmac.compare_digest(given.encode(), key.encode()):
        raise ReportNotTrusted
    try:
        posted = read(limited_body(req, most))
    except ValueError as error:
        field, _, rule = str(error).partition(": ")
        raise BadRequest([FieldError(field, rule)]) from error
    if posted.validation_code:
        return TAKEN({"validationResponse": posted.validation_code})
    for report in posted.reports:
        held = card_number_in({"report_id": report.report_id, "provider_id": report.provider_id})
        if held is not None:
            raise card_number_refused(held)
    for report in posted.reports:
        await queue_report(notifier, report)
    return TAKEN({"taken": len(posted.reports)})


async def _outbox(read_outbox: ReadOutbox | None, req: func.HttpRequest) -> func.HttpResponse:
    if read_outbox is None:
        raise NoOutbox
    return OUTBOX({"items": list(await read_outbox(page_limit(req)))})
