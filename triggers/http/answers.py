"""What routes answer when nothing is wrong, declared once for the OpenAPI document and for who answers.

An answer is given by calling its declaration, so mypy holds the body against the type that the schema is made
of.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType
from typing import Protocol

import azure.functions as func
import orjson

NONE: Mapping[str, str] = MappingProxyType({})


class Declared(Protocol):
    """`media` is None without a body, `model` unless the body is JSON. `headers` are always sent."""

    @property
    def status(self) -> HTTPStatus: ...
    @property
    def headers(self) -> tuple[str, ...]: ...
    @property
    def media(self) -> str | None: ...
    @property
    def model(self) -> type[object] | None: ...


@dataclass(frozen=True, slots=True)
class Answer[T](Declared):
    """JSON. `model` is the type of what is answered: a TypedDict or a dataclass."""

    model: type[T]
    status: HTTPStatus = HTTPStatus.OK
    headers: tuple[str, ...] = ()
    media: str = "application/json"

    def __call__(self, body: T, headers: Mapping[str, str] = NONE) -> func.HttpResponse:
        return _response(self, orjson.dumps(body), headers)


@dataclass(frozen=True, slots=True)
class Page(Declared):
    """HTML."""

    headers: tuple[str, ...] = ()
    status: HTTPStatus = HTTPStatus.OK
    media: str = "text/html"
    model: None = None

    def __call__(self, html: str, headers: Mapping[str, str] = NONE) -> func.HttpResponse:
        return _response(self, html.encode(), headers)


@dataclass(frozen=True, slots=True)
class Empty(Declared):
    """No body."""

    status: HTTPStatus
    headers: tuple[str, ...] = ()
    media: None = None
    model: None = None

    def __call__(self, headers: Mapping[str, str] = NONE) -> func.HttpResponse:
        return _response(self, None, headers)


def _response(declared: Declared, body: bytes | None, headers: Mapping[str, str]) -> func.HttpResponse:
    if headers.keys() != set(declared.headers):
        raise AssertionError(f"sends {sorted(headers)}, declared are {sorted(declared.headers)}")
    return func.HttpResponse(body, status_code=declared.status, headers=headers, mimetype=declared.media)
