"""Holds answers against the OpenAPI document: status, media type, headers, and the body's schema."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import jsonschema_rs
import orjson

from triggers.http import openapi_document
from triggers.http.every_route import ROUTES

DOCUMENT: dict[str, Any] = openapi_document.document(ROUTES)
OPERATIONS: dict[str, dict[str, Any]] = {
    operation["operationId"]: operation
    for methods in DOCUMENT["paths"].values()
    for operation in methods.values()
}
ALWAYS_DECLARED = ("ETag", "Location", "Retry-After")
"""Headers that no answer may have unless it is declared with them."""


def check(operation_id: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Raises AssertionError. `headers` with the Content-Type; their names in any case."""
    responses = OPERATIONS[operation_id]["responses"]
    where = f"{operation_id}, {status}"
    assert str(status) in responses, f"{where}: declared are {', '.join(responses)}"
    declared = responses[str(status)]
    sent = {name.lower(): value for name, value in headers.items()}
    for name in declared.get("headers", {}):
        assert name.lower() in sent, f"{where}: lacks the header {name}"
    for name in ALWAYS_DECLARED:
        assert name in declared.get("headers", {}) or name.lower() not in sent, f"{where}: sends {name}"
    if "content" not in declared:
        assert not body, f"{where}: has a body"
        return
    media = sent["content-type"].partition(";")[0]
    assert media in declared["content"], f"{where}: is {media}"
    if media.endswith("json"):
        validator = _validator(operation_id, status, media)
        errors = [
            f"{each.instance_path}: {each.message}" for each in validator.iter_errors(orjson.loads(body))
        ]
        assert not errors, f"{where}: {'; '.join(errors)}"


@cache
def _validator(operation_id: str, status: int, media: str) -> jsonschema_rs.Draft202012Validator:
    schema = OPERATIONS[operation_id]["responses"][str(status)]["content"][media]["schema"]
    return jsonschema_rs.Draft202012Validator(
        {**schema, "components": DOCUMENT["components"]}, validate_formats=True
    )
