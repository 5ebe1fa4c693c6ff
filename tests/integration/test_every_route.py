"""The app in the emulator gives every answer that its OpenAPI document declares, and no other.

First every route is asked what gets each of its answers (tests/route_tour.py). Then schemathesis asks that
app what the document allows, of what there is, and what it does not allow, of what there is not.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import jsonschema_rs
import pytest
import pytest_asyncio
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from tests import route_tour
from tests.declared_answers import DOCUMENT
from tools.emulator_process import running

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES = {GenerationMode.POSITIVE: 6, GenerationMode.NEGATIVE: 5}
"""Of each operation; the same at each run."""


@schemathesis.serializer("message/rfc822")
def as_mail(context: Any, value: object) -> bytes:
    return str(value).encode(errors="replace")


@dataclass(frozen=True, slots=True)
class Toured:
    """`there` is what there is, by the name of the parameter of the path that takes it."""

    url: str
    seen: set[tuple[str, int]]
    there: Mapping[str, Sequence[str]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def toured(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Toured]:
    async with running(tmp_path_factory.mktemp("app"), settings=route_tour.SETTINGS) as emulator:
        tour = route_tour.Tour(emulator.url)
        there = await asyncio.to_thread(route_tour.go, tour)
        yield Toured(emulator.url, tour.seen, there)


async def test_every_answer_that_is_declared_is_given_as_it_is_declared(toured: Toured) -> None:
    """What is missing here is to be asked for in tests/route_tour.py, so that its schema is known to hold."""
    assert route_tour.WANTED - toured.seen == route_tour.TOO_LONG.keys()


async def test_the_document_is_of_the_form_of_openapi_and_its_schemas_are_schemas() -> None:
    assert [error.message for error in OPENAPI_31_VALIDATOR.iter_errors(DOCUMENT)] == []
    for schema in DOCUMENT["components"]["schemas"].values():
        jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})


async def test_what_is_served_is_the_document_of_all_routes(toured: Toured) -> None:
    response = await asyncio.to_thread(requests.get, f"{toured.url}/api/openapi.json", timeout=30)
    assert response.json() == DOCUMENT


def ask(operation: Any, mode: GenerationMode, url: str, session: requests.Session) -> set[int]:
    """The statuses that came. Raises what schemathesis finds wrong."""
    checks = CHECKS if mode is GenerationMode.POSITIVE else [*CHECKS, negative_data_rejection]
    statuses: set[int] = set()

    @settings(
        max_examples=EXAMPLES[mode],
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def once(case: Case) -> None:
        response = case.call_and_validate(base_url=url, session=session, checks=checks, allow_redirects=False)
        statuses.add(response.status_code)

    once()
    return statuses


def to_be_asked(there: Mapping[str, Sequence[str]]) -> Any:
    """The document as schemathesis reads it, with what there is as the parameters of the paths."""
    document: dict[str, Any] = deepcopy(DOCUMENT)
    del document["components"]["securitySchemes"], document["security"]  # the emulator asks for no key
    for methods in document["paths"].values():
        for operation in methods.values():
            for parameter in operation["parameters"]:
                known = there.get(parameter["name"], ()) if parameter["in"] == "path" else ()
                if known:
                    parameter["schema"] = {"enum": list(known)}
    return schemathesis.openapi.from_dict(document)


def ask_every_operation(toured: Toured) -> tuple[dict[str, set[int]], list[str]]:
    """The statuses that what is allowed came back with, by operation, and what was wrong."""
    came: dict[str, set[int]] = {}
    found: list[str] = []
    schemas = {
        GenerationMode.POSITIVE: to_be_asked(toured.there),
        GenerationMode.NEGATIVE: to_be_asked({}),  # what is not allowed must not be so because of an id
    }
    with requests.Session() as session:
        for mode, schema in schemas.items():
            for operation in [each.ok() for each in schema.get_all_operations()]:
                try:
                    statuses = ask(operation, mode, toured.url, session)
                    if mode is GenerationMode.POSITIVE:
                        came[operation.label] = statuses
                except Unsatisfiable:  # nothing can be asked that is not allowed
                    assert mode is GenerationMode.NEGATIVE, operation.label
                except BaseExceptionGroup as failures:
                    found += [f"{operation.label}, {mode.value}: {each}" for each in failures.exceptions]
    return came, found


async def test_every_operation_answers_as_the_document_says(toured: Toured) -> None:
    came, found = await asyncio.to_thread(ask_every_operation, toured)
    assert not found, "\n\n".join(found)
    assert len(came) > 50
    found_nothing = [label for label, statuses in came.items() if "GET" in label and min(statuses) >= 400]
    assert found_nothing == []
