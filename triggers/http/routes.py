"""What each trigger module declares of its routes, for the OpenAPI document (openapi.py)."""

import re
from dataclasses import dataclass, field, replace
from typing import Literal

from core.json import Json, JsonObject
from triggers.http.answers import Declared
from triggers.http.bodies import ID_PATTERN, Body

type In = Literal["path", "query", "header"]

IDENTIFIER: JsonObject = {
    "type": "string",
    "minLength": 1,
    "maxLength": 64,
    "pattern": ID_PATTERN,
}
TIME: JsonObject = {"type": "string", "format": "date-time", "example": "2026-01-31T08:00:00Z"}
TEXT: JsonObject = {"type": "string"}


@dataclass(frozen=True, slots=True)
class Parameter:
    """Those of a path need not be declared, unless they are no identifiers."""

    name: str
    where: In
    description: str
    schema: JsonObject = field(default_factory=lambda: TEXT)
    required: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """One method of a route, without the prefix `api`.

    function: the name of its function, which is its operation id.
    answers: when nothing is wrong; errors: the statuses of the rejections that it may answer with.
    body: the model of its JSON body; media: that of a body which has no model; example: of the body.
    anonymous: it takes no key of the functions host.
    tag: the service that it belongs to (`of_service`).
    """

    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str
    function: str
    summary: str
    answers: tuple[Declared, ...]
    errors: tuple[int, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    body: type[Body] | None = None
    body_required: bool = True
    media: str | None = None
    example: Json = None
    anonymous: bool = False
    tag: str = ""

    @property
    def path_names(self) -> tuple[str, ...]:
        return tuple(re.findall(r"{(\w+)}", self.path))


def of_service(name: str, *routes: Route) -> tuple[Route, ...]:
    return tuple(replace(route, tag=name) for route in routes)


def query(name: str, description: str, schema: JsonObject | None = None) -> Parameter:
    return Parameter(name, "query", description, TEXT if schema is None else schema)


def limit(most: int = 100, default: int = 20) -> Parameter:
    schema: JsonObject = {"type": "integer", "minimum": 1, "maximum": most, "default": default}
    return query("limit", "how many on a page", schema)


CONTINUATION = query("continuation", "what the page before gave for the same query")

IDEMPOTENCY_KEY = Parameter(
    "Idempotency-Key",
    "header",
    "the same key is the same request, however often it is sent",
    {"type": "string", "minLength": 1, "maxLength": 128, "pattern": r"^[\u0021-\u007e]+$"},
    required=True,
)
