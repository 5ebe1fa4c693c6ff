"""Reading what a client sent: JSON that is taken as it is, or refused with the field and the rule."""

import json
import re
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any

import azure.functions as func
from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints, ValidationError, WithJsonSchema

from core.card_numbers import RULE, SKU, card_number_in, holds_card_number, may_hold_card_number
from triggers.http.problem import BadRequest, FieldError

MAX_BODY_BYTES = 1024 * 1024
MAX_ERRORS = 20

ID_PATTERN = r"^[^/\\#?\u0000-\u001f\u007f-\u009f]+$"
"""As JSON Schema spells the characters of an id (ECMA-262)."""

_ID = re.compile(r"[^/\\#?\x00-\x1f\x7f-\x9f]{1,64}")
_KEY = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,126}[\x21-\x7e])?")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)", re.ASCII)
_TEXT = re.compile(r"[^\x00-\x1f\x7f-\x9f]*")


def identifier(value: str) -> str:
    """The rule of Cosmos DB ids and of durable instance ids."""
    if _ID.fullmatch(value) is None or not value.strip():
        raise ValueError("must be 1 to 64 characters, not all blank, without / \\ # ? and control characters")
    if holds_card_number(value, gtin=True):  # a body was looked through before, the rows of a file were not
        raise ValueError(RULE)
    return value


def text(value: str) -> str:
    if _TEXT.fullmatch(value) is None or not value.strip():
        raise ValueError("must not be blank or contain control characters")
    if holds_card_number(value):
        raise ValueError(RULE)
    return value


type Identifier = Annotated[
    str,
    AfterValidator(identifier),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 64, "pattern": ID_PATTERN}),
]
type Text = Annotated[str, StringConstraints(max_length=200), AfterValidator(text)]


class Body(BaseModel):
    """Types are taken as sent ("3" is no number); an unknown field is an error."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


def limited_body(request: func.HttpRequest, most: int = MAX_BODY_BYTES) -> bytes:
    """Raises BadRequest for one that is larger."""
    raw: bytes = request.get_body()
    if len(raw) > most:
        rule = f"must be at most {most} bytes"
        raise BadRequest([FieldError("body", rule)], HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    return raw


def read_body[B: Body](request: func.HttpRequest, model: type[B]) -> B:
    """Raises BadRequest: not JSON, a key given twice, a card number, or a field that breaks a rule."""
    raw = limited_body(request)
    refuse_card_numbers(raw)
    try:
        # Not orjson, which takes the last of two equal keys: which one did the client mean?
        body = json.loads(raw.decode(), object_pairs_hook=_no_key_twice, parse_constant=_no_constant)
        if b"\\ud" in raw.lower():
            # Half of a surrogate pair can be escaped in JSON, and stored or sent nowhere.
            json.dumps(body, ensure_ascii=False).encode()
    except RepeatedKey as error:
        raise BadRequest([FieldError(error.key, "must be given once")]) from error
    except (ValueError, RecursionError) as error:
        raise BadRequest([FieldError("body", "must be JSON (RFC 8259) in UTF-8")]) from error
    try:
        return model.model_validate(body)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        raise BadRequest(
            [
                FieldError(
                    ".".join(map(str, each["loc"])) or "body", each["msg"].removeprefix("Value error, ")
                )
                for each in found[:MAX_ERRORS]
            ]
        ) from error


def refuse_card_numbers(raw: bytes) -> None:
    """Of a JSON body, before anything else looks at it: no error may repeat one. Raises BadRequest."""
    if not may_hold_card_number(raw) and b"\\u" not in raw:
        return
    text = raw.decode(errors="replace")
    try:
        where = card_number_in(json.loads(text))
    except (ValueError, RecursionError):
        where = "body" if holds_card_number(text) else None
    if where is not None:
        raise card_number_refused(where or "body")


def card_number_refused(field: str) -> BadRequest:
    return BadRequest([FieldError(field, RULE)], HTTPStatus.UNPROCESSABLE_ENTITY)


def whole_number(value: str, least: int, most: int) -> int | None:
    """None for what is no decimal number in that range."""
    if value.isascii() and value.isdecimal() and len(value) <= len(str(most)) and least <= int(value) <= most:
        return int(value)
    return None


def idempotency_key(request: func.HttpRequest) -> str:
    """Raises BadRequest."""
    key: str = request.headers.get("Idempotency-Key", "")
    if _KEY.fullmatch(key) is None:
        rule = "must be given, as 1 to 128 printable ASCII characters"
        raise BadRequest([FieldError("Idempotency-Key", rule)])
    if holds_card_number(key):
        raise card_number_refused("Idempotency-Key")
    return key


def path_identifier(request: func.HttpRequest, name: str) -> str:
    """Raises BadRequest."""
    return _checked(name, request.route_params.get(name, ""))


def query_identifier(request: func.HttpRequest, name: str) -> str | None:
    """None when absent. Raises BadRequest."""
    value = request.params.get(name)
    return None if value is None else _checked(name, value)


def query_time(request: func.HttpRequest, name: str) -> datetime | None:
    """In UTC; None when absent. Raises BadRequest."""
    value = request.params.get(name)
    if value is None:
        return None
    try:
        if _TIME.fullmatch(value) is not None:
            return datetime.fromisoformat(value).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    rule = "must be a time as 2026-01-31T08:00:00Z; the + of an offset is written %2B"
    raise BadRequest([FieldError(name, rule)])


def _checked(name: str, value: str) -> str:
    if holds_card_number(value, gtin=name == SKU):
        raise card_number_refused(name)
    try:
        return identifier(value)
    except ValueError as error:
        raise BadRequest([FieldError(name, str(error))]) from error


class RepeatedKey(ValueError):
    def __init__(self, key: str) -> None:
        super().__init__(f"{key} is given twice")
        self.key = key


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise RepeatedKey(key)
            seen.add(key)
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
