"""Serves the OpenAPI document, and a page of it."""

from collections.abc import Sequence
from functools import cache
from html import escape
from typing import cast

import azure.durable_functions as df
import azure.functions as func
import orjson

from core.json import Json, JsonObject
from triggers.http.answers import Answer, Page
from triggers.http.openapi_document import DESCRIPTION, document
from triggers.http.problem import answering
from triggers.http.routes import Route, of_service

DOCUMENT = Answer(dict[str, Json])
PAGE = Page(headers=("Content-Security-Policy",))

ROUTES = of_service(
    "system",
    Route("GET", "openapi.json", "get_openapi", "this document", (DOCUMENT,), anonymous=True),
    Route("GET", "docs", "get_docs", "this document as a page", (PAGE,), anonymous=True),
)

STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "code,pre{font-family:ui-monospace,monospace;font-size:.9em}pre{overflow:auto;background:#f4f4f4;padding:.8rem}"
    "summary{cursor:pointer;padding:.3rem 0}.m{display:inline-block;width:4.5rem;font-weight:600}"
)


def blueprint(routes: Sequence[Route]) -> df.Blueprint:
    """`routes` are those of all modules, this one's included."""
    bp = df.Blueprint()
    made = cache(lambda: document(routes))  # when it is asked for, and not while an instance starts

    @bp.route(route="openapi.json", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
    async def get_openapi(req: func.HttpRequest) -> func.HttpResponse:
        return await answering(lambda: _document(made()))

    @bp.route(route="docs", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
    async def get_docs(req: func.HttpRequest) -> func.HttpResponse:
        return await answering(lambda: _page(page(made())))

    return bp


async def _document(found: JsonObject) -> func.HttpResponse:
    return DOCUMENT(found)


async def _page(html: str) -> func.HttpResponse:
    return PAGE(html, {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"})


def page(found: JsonObject) -> str:
    """Without scripts, so that it needs nothing from elsewhere and may run nothing."""
    paths = cast(dict[str, dict[str, JsonObject]], found["paths"])
    sections: dict[str, str] = {}
    for path, methods in paths.items():
        for method, operation in methods.items():
            (tag,) = cast(list[str], operation["tags"])
            sections[tag] = sections.get(tag, "") + _section(path, method, operation)
    operations = "".join(f"<h2>{escape(tag)}</h2>{sections[tag]}" for tag in sorted(sections))
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
