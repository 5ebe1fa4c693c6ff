"""What comes in, what goes out, and how a request is refused."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import orjson

from emulator.documents.model import Json, RequestFailed

CROSS_PARTITION_QUERY_NOT_SERVABLE: Final = 1004
OWNER_NOT_FOUND: Final = 1003
PARTITION_KEY_MISMATCH: Final = 1001
CONTAINER_CHANGED: Final = 1024
RANGE_GONE: Final = 1002
REQUEST_RATE_TOO_LARGE: Final = 3200

_CODES: Final = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    408: "RequestTimeout",
    409: "Conflict",
    410: "Gone",
    412: "PreconditionFailed",
    413: "RequestEntityTooLarge",
    429: "TooManyRequests",
    449: "RetryWith",
    500: "InternalServerError",
    503: "ServiceUnavailable",
}


class Refusal(Exception):
    """An answer without effect: a status, the substatus that SDKs look at, and what is wrong."""

    def __init__(self, status: int, message: str, substatus: int = 0, details: Json = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.substatus = substatus
        self.details = details
        """The error body's `additionalErrorInfo`."""


class Request(NamedTuple):
    method: str
    path: str
    """As sent, percent-encoded, without the query string."""
    headers: Mapping[str, str]
    """Names in any case."""
    body: bytes
    host: str
    """Host and port as the client knows them."""

    def flag(self, header: str) -> bool:
        return self.headers.get(header, "").lower() == "true"

    def json(self) -> Json:
        """Raises Refusal 400."""
        try:
            parsed: Json = orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            raise Refusal(400, f"The request body is not valid JSON: {error}") from None
        return parsed


@dataclass(slots=True)
class Answer:
    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    charge: float = 0.0
    """In request units, as in `charges.py`."""


def json_answer(status: int, value: Json, **headers: str) -> Answer:
    return Answer(
        status, orjson.dumps(value), {name.replace("_", "-"): text for name, text in headers.items()}
    )


def refusal_of(failure: RequestFailed) -> Refusal:
    substatus = REQUEST_RATE_TOO_LARGE if failure.status == 429 else 0
    return Refusal(failure.status, failure.message, substatus)


def error_answer(refusal: Refusal, activity: str, retry_after_s: float | None = None) -> Answer:
    body: dict[str, Json] = {
        "code": _CODES.get(refusal.status, "BadRequest"),
        "message": f"{refusal.message}\r\nActivityId: {activity}",
    }
    if refusal.details is not None:
        body["additionalErrorInfo"] = orjson.dumps(refusal.details).decode()
    headers = {"x-ms-substatus": str(refusal.substatus)} if refusal.substatus else {}
    if retry_after_s is not None:
        headers["x-ms-retry-after-ms"] = str(math.ceil(retry_after_s * 1000))
    return Answer(refusal.status, orjson.dumps(body), headers)
