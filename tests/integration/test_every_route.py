"""The app in the emulator, asked by schemathesis what its OpenAPI document allows, and what it does not."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from tools.emulator_process import running

pytestmark = pytest.mark.slow

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
EXAMPLES = 10
"""Of each operation and mode; the same at each run."""


@schemathesis.serializer("message/rfc822")
def as_mail(context: Any, value: object) -> bytes:
    return str(value).encode(errors="replace")


def ask(operation: Any, mode: GenerationMode, url: str, session: requests.Session) -> None:
    """Raises what schemathesis finds wrong."""
    checks = CHECKS if mode is GenerationMode.POSITIVE else [*CHECKS, negative_data_rejection]

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def once(case: Case) -> None:
        case.call_and_validate(base_url=url, session=session, checks=checks)

    once()


def ask_every_operation(url: str) -> tuple[int, list[str]]:
    """How many operations were asked, and what was wrong."""
    document = requests.get(f"{url}/api/openapi.json", timeout=30).json()
    del document["components"]["securitySchemes"], document["security"]  # the emulator asks for no key
    schema = schemathesis.openapi.from_dict(document)
    operations = [each.ok() for each in schema.get_all_operations()]
    found: list[str] = []
    with requests.Session() as session:
        for operation in operations:
            for mode in GenerationMode:
                try:
                    ask(operation, mode, url, session)
                except Unsatisfiable:  # nothing can be asked that is not allowed
                    assert mode is GenerationMode.NEGATIVE, operation.label
                except BaseExceptionGroup as failures:
                    found += [f"{operation.label}, {mode.value}: {each}" for each in failures.exceptions]
    return len(operations), found


async def test_every_operation_answers_as_the_document_says(tmp_path: Path) -> None:
    async with running(tmp_path, settings={"ORDERFLOW_LOG_LEVEL": "ERROR"}) as emulator:
        number, found = await asyncio.to_thread(ask_every_operation, emulator.url)
    assert number > 50
    assert not found, "\n\n".join(found)
