"""What every webhook is answered."""

from http import HTTPStatus
from typing import Literal, TypedDict

from triggers.http.answers import Answer


class WebhookIgnored(TypedDict):
    """It is about nothing that concerns us."""

    status: Literal["ignored"]


class WebhookAccepted(TypedDict):
    """It is queued."""

    status: Literal["accepted"]


IGNORED = Answer(WebhookIgnored)
ACCEPTED = Answer(WebhookAccepted, HTTPStatus.ACCEPTED)
