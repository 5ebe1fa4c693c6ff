"""How a signed webhook is taken, and what every one is answered."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Literal, TypedDict

import azure.functions as func

from core.contracts import InvalidContract
from core.signatures import BadSignature
from core.telemetry import log
from triggers.http.answers import Answer
from triggers.http.bodies import limited_body
from triggers.http.problem import BadRequest, FieldError

logger = logging.getLogger("orderflow.http.webhooks")


class WebhookIgnored(TypedDict):
    """It is about nothing that concerns us."""

    status: Literal["ignored"]


class WebhookAccepted(TypedDict):
    """It is queued."""

    status: Literal["accepted"]


IGNORED = Answer(WebhookIgnored)
ACCEPTED = Answer(WebhookAccepted, HTTPStatus.ACCEPTED)


async def take[N](
    req: func.HttpRequest,
    sender: str,
    header: str,
    read: Callable[[bytes, Mapping[str, str]], N | None],
    queue: Callable[[N], Awaitable[None]],
) -> func.HttpResponse:
    """Verified, then queued: the sender sends it again unless it is told soon that it was taken.

    `header` is that of the signature. `read` gets the body and the headers, their names in small letters, and
    gives None for what concerns us not; it may raise BadSignature, and both may raise InvalidContract.

    Raises BadRequest.
    """
    body = limited_body(req)
    headers = {name.lower(): value for name, value in req.headers.items()}
    try:
        notice = read(body, headers)
        if notice is None:
            return IGNORED({"status": "ignored"})
        await queue(notice)
    except BadSignature as error:
        log(logger, logging.WARNING, "webhook refused", sender=sender, reason=str(error))
        raise BadRequest([FieldError(header, str(error))], HTTPStatus.UNAUTHORIZED) from error
    except InvalidContract as error:
        field, _, rule = str(error).partition(": ")
        raise BadRequest([FieldError(field, rule)]) from error
    return ACCEPTED({"status": "accepted"})
