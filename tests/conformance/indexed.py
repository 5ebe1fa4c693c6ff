"""The functions of the app, as Microsoft's worker library hands them to the Functions host.

The library is global to its process, and an app is imported once: so it is indexed in a process of its own,
with exactly the settings that are asked for.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest import mock

PROJECT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Indexed:
    """One function.

    bindings: as sent to the host, with type, direction and name.
    annotations: of its parameters, as text.
    """

    name: str
    bindings: Sequence[Mapping[str, Any]]
    annotations: Mapping[str, str]
    is_async: bool
    max_retry_count: int | None

    @property
    def trigger(self) -> Mapping[str, Any]:
        [trigger] = [each for each in self.bindings if str(each["type"]).lower().endswith("trigger")]
        return trigger


def indexed(settings: Mapping[str, str]) -> list[Indexed]:
    """Raises AssertionError with what the worker said when it refuses the app."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.conformance.indexed"],
        cwd=PROJECT,
        env={**settings, "ORDERFLOW_LOG_LEVEL": "ERROR"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [Indexed(**each) for each in json.loads(done.stdout)]


def _index_here() -> list[Indexed]:
    from azure_functions_runtime import handle_event

    from emulator.host import worker

    described = worker.describe
    raw: dict[str, tuple[Sequence[str], Any]] = {}

    def note_bindings(name: str, function_id: str, bindings: Sequence[str], retry: Any) -> object:
        raw[name] = (bindings, retry)
        return described(name, function_id, bindings, retry)

    with mock.patch.object(worker, "describe", note_bindings):
        functions = worker.index(PROJECT)
    found = []
    for function in functions:
        info = handle_event._functions.get_function(function.function_id)
        bindings, retry = raw[function.name]
        found.append(
            Indexed(
                name=function.name,
                bindings=[json.loads(each) for each in bindings],
                annotations={name: _text(each.pytype) for name, each in info.input_types.items()},
                is_async=info.is_async,
                max_retry_count=retry.max_retry_count if retry else None,
            )
        )
    return found


def _text(annotation: object) -> str:
    if isinstance(annotation, type):
        return f"{annotation.__module__}.{annotation.__qualname__}"
    return repr(annotation)


if __name__ == "__main__":
    assert "ORDERFLOW_ADAPTERS" in os.environ
    json.dump([asdict(each) for each in _index_here()], sys.stdout)
