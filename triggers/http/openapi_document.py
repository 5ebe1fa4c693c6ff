"""The OpenAPI 3.1 document, made of the declared routes and of the models of their bodies and answers."""

from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import cast, override

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue
from pydantic_core import core_schema

from core.json import Json, JsonObject
from triggers.http.answers import Declared
from triggers.http.problem import MEDIA, Problem
from triggers.http.routes import IDENTIFIER, Parameter, Route

DESCRIPTION = (
    "Money is integer minor units with an ISO 4217 code, times are RFC 3339. Errors are problem+json "
    "(RFC 9457) that name the field and the rule."
)
REQUEST: JsonSchemaMode = "validation"
ANSWER: JsonSchemaMode = "serialization"

HEADERS: Mapping[str, tuple[str, JsonObject]] = {
    "Cache-Control": ("nobody keeps a copy", {"type": "string"}),
    "Content-Security-Policy": ("what the page may do: nearly nothing", {"type": "string"}),
    "ETag": ("of what is shown, for If-None-Match or If-Match", {"type": "string"}),
    "Location": ("where it is", {"type": "string", "format": "uri-reference"}),
    "Referrer-Policy": ("the link is nobody else's", {"type": "string"}),
    "Retry-After": ("seconds", {"type": "string", "pattern": "^[0-9]+$"}),
}
"""Of answers: what they say, and their schema."""

type Reference = Mapping[tuple[type[object], JsonSchemaMode], JsonObject]
"""The schema of a model, as a body or as an answer: a reference to a component."""


class Schemas(GenerateJsonSchema):
    """Answers have the fields of their model and no others: an unknown one is a mistake in the code."""

    @override
    def typed_dict_schema(self, schema: core_schema.TypedDictSchema) -> JsonSchemaValue:
        return self._closed(super().typed_dict_schema(schema))

    @override
    def dataclass_schema(self, schema: core_schema.DataclassSchema) -> JsonSchemaValue:
        return self._closed(super().dataclass_schema(schema))

    def _closed(self, found: JsonSchemaValue) -> JsonSchemaValue:
        return {**found, "additionalProperties": False}

    @override
    def field_is_required(
        self,
        field: core_schema.ModelField | core_schema.DataclassField | core_schema.TypedDictField,
        total: bool,
    ) -> bool:
        """A dataclass is answered with all its fields, those with a default too."""
        if self.mode == ANSWER and field["type"] == "dataclass-field":
            return True
        return super().field_is_required(field, total)

    @override
    def field_title_should_be_set(self, schema: object) -> bool:
        """Each would say its own name again."""
        return False


def document(routes: Sequence[Route]) -> JsonObject:
    """Raises ValueError for two routes that are one."""
    references, schemas = _schemas(routes)
    paths: dict[str, dict[str, Json]] = {}
    for route in routes:
        methods = paths.setdefault(f"/api/{route.path}", {})
        if route.method.lower() in methods:
            raise ValueError(f"{route.method} {route.path} is declared twice")
        methods[route.method.lower()] = _operation(route, references)
    tags = sorted({route.tag for route in routes})
    return {
        "openapi": "3.1.0",
        "info": {"title": "Orderflow", "version": "1", "description": DESCRIPTION},
        "security": [{"functionKey": []}],
        "tags": [{"name": tag} for tag in tags],
        "paths": cast(JsonObject, {path: paths[path] for path in sorted(paths)}),
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "functionKey": {"type": "apiKey", "in": "header", "name": "x-functions-key"},
            },
        },
    }


def _schemas(routes: Sequence[Route]) -> tuple[Reference, JsonObject]:
    """A reference to the schema of each model, and the schemas."""
    bodies = [route.body for route in routes if route.body is not None]
    answers = [each.model for route in routes for each in route.answers]
    wanted: list[tuple[type[object], JsonSchemaMode]] = [
        *((model, REQUEST) for model in dict.fromkeys(bodies)),
        *((model, ANSWER) for model in dict.fromkeys([Problem, *answers]) if model is not None),
    ]
    references, found = TypeAdapter.json_schemas(
        [(number, mode, TypeAdapter(model)) for number, (model, mode) in enumerate(wanted)],
        ref_template="#/components/schemas/{model}",
        schema_generator=Schemas,
    )
    schemas = {(model, mode): references[number, mode] for number, (model, mode) in enumerate(wanted)}
    return cast(Reference, schemas), cast(JsonObject, found["$defs"])


def _operation(route: Route, references: Reference) -> JsonObject:
    declared = {parameter.name for parameter in route.parameters}
    in_path = [
        Parameter(name, "path", "", IDENTIFIER, required=True)
        for name in route.path_names
        if name not in declared
    ]
    operation: JsonObject = {
        "operationId": route.function,
        "summary": route.summary,
        "tags": [route.tag],
        "parameters": [_parameter(parameter) for parameter in (*in_path, *route.parameters)],
        "responses": _responses(route, references),
    }
    media = "application/json" if route.body is not None else route.media
    if media is not None:
        content: JsonObject = {}
        if route.body is not None:
            content["schema"] = references[route.body, REQUEST]
        if route.example is not None:
            content["example"] = route.example
        required = route.body is None or route.body_required
        operation["requestBody"] = {"required": required, "content": {media: content}}
    if route.anonymous:
        operation["security"] = []
    return operation


def _parameter(parameter: Parameter) -> Json:
    return {
        "name": parameter.name,
        "in": parameter.where,
        "description": parameter.description,
        "required": parameter.required,
        "schema": parameter.schema,
    }


def _responses(route: Route, references: Reference) -> JsonObject:
    responses: JsonObject = {str(each.status): _response(each, references) for each in route.answers}
    problem: JsonObject = {MEDIA: {"schema": references[Problem, ANSWER]}}
    for status in sorted({*route.errors, *_errors_of_all(route)}):
        error: JsonObject = {"description": HTTPStatus(status).phrase, "content": problem}
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            error["headers"] = _headers(["Retry-After"])
        responses[str(status)] = error
    if not route.anonymous:
        responses[str(HTTPStatus.UNAUTHORIZED.value)] = {"description": "The functions host, without its key"}
    return dict(sorted(responses.items()))


def _response(declared: Declared, references: Reference) -> JsonObject:
    response: JsonObject = {"description": declared.status.phrase}
    if declared.headers:
        response["headers"] = _headers(declared.headers)
    if declared.model is not None:
        response["content"] = {"application/json": {"schema": references[declared.model, ANSWER]}}
    elif declared.media is not None:
        response["content"] = {declared.media: {"schema": {"type": "string"}}}
    return response


def _headers(names: Iterable[str]) -> JsonObject:
    return {
        name: {"description": HEADERS[name][0], "required": True, "schema": HEADERS[name][1]}
        for name in names
    }


def _errors_of_all(route: Route) -> set[int]:
    """Of what is given: a rule broken, a body too large, a card number. Whatever is asked: a store that is
    away for longer than a client waits.
    """
    found: set[int] = {HTTPStatus.SERVICE_UNAVAILABLE}
    has_body = route.body is not None or route.media is not None
    if has_body or route.parameters or route.path_names:
        found |= {HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY}
    if has_body:
        found.add(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    return found
