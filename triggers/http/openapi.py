"""The OpenAPI 3.1 document, from the declared routes and the models of their bodies, and a page of it."""

from collections.abc import Sequence
from html import escape
from http import HTTPStatus
from typing import cast

import azure.durable_functions as df
import azure.functions as func
import orjson
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from core.json import Json, JsonObject
from triggers.http.bodies import Body
from triggers.http.problem import answer, answering
from triggers.http.routes import IDENTIFIER, Parameter, Route

DESCRIPTION = (
    "Money is integer minor units with an ISO 4217 code, times are RFC 3339. Errors are problem+json "
    "(RFC 9457) that name the field and the rule."
)
VALIDATION: JsonSchemaMode = "validation"

PROBLEM: JsonObject = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "errors"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "rule"],
                "properties": {"field": {"type": "string"}, "rule": {"type": "string"}},
            },
        },
    },
}

ROUTES = (
    Route("GET", "openapi.json", "get_openapi", "this document", anonymous=True),
    Route("GET", "docs", "get_docs", "this document as a page", html=True, anonymous=True),
)

STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "code,pre{font-family:ui-monospace,monospace;font-size:.9em}pre{overflow:auto;background:#f4f4f4;padding:.8rem}"
    "summary{cursor:pointer;padding:.3rem 0}.m{display:inline-block;width:4.5rem;font-weight:600}"
)


def blueprint(routes: Sequence[Route]) -> df.Blueprint:
    """`routes` are those of all modules, this one's included."""
    bp = df.Blueprint()
    found = document(routes)
    html = page(found)

    @bp.route(route="openapi.json", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
    async def get_openapi(req: func.HttpRequest) -> func.HttpResponse:
        return await answering(lambda: _document(found))

    @bp.route(route="docs", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
    async def get_docs(req: func.HttpRequest) -> func.HttpResponse:
        return await answering(lambda: _page(html))

    return bp


async def _document(found: JsonObject) -> func.HttpResponse:
    return answer(found)


async def _page(html: str) -> func.HttpResponse:
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return func.HttpResponse(html, headers={"Content-Security-Policy": policy}, mimetype="text/html")


def document(routes: Sequence[Route]) -> JsonObject:
    """Raises ValueError for two routes that are one."""
    models = sorted(
        {route.body for route in routes if route.body is not None}, key=lambda model: model.__name__
    )
    names, schemas = _schemas(models)
    paths: dict[str, dict[str, Json]] = {}
    for route in routes:
        methods = paths.setdefault(f"/api/{route.path}", {})
        if route.method.lower() in methods:
            raise ValueError(f"{route.method} {route.path} is declared twice")
        methods[route.method.lower()] = _operation(route, names)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Orderflow", "version": "1", "description": DESCRIPTION},
        "security": [{"functionKey": []}],
        "paths": cast(JsonObject, {path: paths[path] for path in sorted(paths)}),
        "components": {
            "schemas": {**schemas, "Problem": PROBLEM},
            "securitySchemes": {
                "functionKey": {"type": "apiKey", "in": "header", "name": "x-functions-key"},
            },
        },
    }


def _schemas(models: Sequence[type[Body]]) -> tuple[dict[type[Body], JsonObject], JsonObject]:
    """A reference to the schema of each model, and the schemas."""
    references, found = models_json_schema(
        [(model, VALIDATION) for model in models], ref_template="#/components/schemas/{model}"
    )
    return (
        {model: cast(JsonObject, references[model, VALIDATION]) for model in models},
        cast(JsonObject, found.get("$defs", {})),
    )


def _operation(route: Route, names: dict[type[Body], JsonObject]) -> JsonObject:
    declared = {parameter.name for parameter in route.parameters}
    in_path = [
        Parameter(name, "path", "", IDENTIFIER, required=True)
        for name in route.path_names
        if name not in declared
    ]
    operation: JsonObject = {
        "operationId": route.function,
        "summary": route.summary,
        "tags": [route.path.partition("/")[0]],
        "parameters": [_parameter(parameter) for parameter in (*in_path, *route.parameters)],
        "responses": _responses(route),
    }
    if route.body is not None:
        content: JsonObject = {"application/json": {"schema": names[route.body]}}
        operation["requestBody"] = {"required": route.body_required, "content": content}
    elif route.media is not None:
        operation["requestBody"] = {"required": True, "content": {route.media: {}}}
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


def _responses(route: Route) -> JsonObject:
    content: JsonObject = (
        {"text/html": {}} if route.html else {"application/json": {"schema": {"type": "object"}}}
    )
    responses: JsonObject = {}
    for status in route.success:
        empty = status in (HTTPStatus.NO_CONTENT, HTTPStatus.FOUND, HTTPStatus.NOT_MODIFIED)
        described: JsonObject = {"description": HTTPStatus(status).phrase}
        responses[str(status)] = described if empty else {**described, "content": content}
    for status in sorted({*route.errors, *_errors_of_all(route)}):
        problem: JsonObject = {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
        }
        responses[str(status)] = {"description": HTTPStatus(status).phrase, "content": problem}
    return responses


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


def page(found: JsonObject) -> str:
    """Without scripts, so that it needs nothing from elsewhere and may run nothing."""
    paths = cast(dict[str, dict[str, JsonObject]], found["paths"])
    operations = "".join(
        _section(path, method, operation)
        for path, methods in paths.items()
        for method, operation in methods.items()
    )
    components = cast(dict[str, JsonObject], found["components"])
    schemas = "".join(
        f'<details id="{escape(name)}"><summary><code>{escape(name)}</code></summary>{_pre(schema)}</details>'
        for name, schema in components["schemas"].items()
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Orderflow API</title>'
        f"<style>{STYLE}</style><h1>Orderflow API</h1><p>{escape(DESCRIPTION)} "
        f'<a href="openapi.json">openapi.json</a></p>{operations}<h2>Schemas</h2>{schemas}</html>'
    )


def _section(path: str, method: str, operation: JsonObject) -> str:
    parts = ("parameters", "requestBody", "responses")
    shown: JsonObject = {part: operation[part] for part in parts if part in operation}
    name, summary = str(operation["operationId"]), str(operation["summary"])
    return (
        f'<details id="{escape(name)}"><summary><span class="m">{method.upper()}</span>'
        f"<code>{escape(path)}</code> {escape(summary)}</summary>{_pre(shown)}</details>"
    )


def _pre(value: Json) -> str:
    return f"<pre>{escape(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())}</pre>"
