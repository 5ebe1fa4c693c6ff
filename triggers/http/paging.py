"""The parameters of a list: how many on a page, and where it goes on."""

from collections.abc import Iterator
from contextlib import contextmanager

import azure.functions as func

from core.documents import BadDocumentRequest
from triggers.http.bodies import whole_number
from triggers.http.problem import BadRequest, FieldError


def page_limit(request: func.HttpRequest, most: int = 100, default: int = 20) -> int:
    """The parameter `limit`. Raises BadRequest."""
    limit = whole_number(request.params.get("limit", str(default)), 1, most)
    if limit is None:
        raise BadRequest([FieldError("limit", f"must be a whole number from 1 to {most}")])
    return limit


def continuation(request: func.HttpRequest) -> str | None:
    """None for the first page."""
    return request.params.get("continuation") or None


@contextmanager
def going_on() -> Iterator[None]:
    """Raises BadRequest when a store, asked in the block, does not take the continuation."""
    try:
        yield
    except BadDocumentRequest as error:
        rule = "must be what the page before gave for the same query"
        raise BadRequest([FieldError("continuation", rule)]) from error
