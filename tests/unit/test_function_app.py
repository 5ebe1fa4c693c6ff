"""The composition root. That every function conforms to the platform is in tests/conformance."""

import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def functions() -> Iterator[list[Any]]:
    """Importing the app sets up logging for its process: here it is put back. An app can be indexed once."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    sys.modules.pop("function_app", None)
    import function_app

    yield function_app.app.get_functions()
    root.handlers, root.level = handlers, level


def bindings(functions: list[Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for function in functions:
        for binding in function.get_bindings():
            yield function.get_function_name(), binding.get_dict_repr()


def test_every_function_has_a_name_of_its_own(functions: list[Any]) -> None:
    names = [function.get_function_name() for function in functions]
    assert len(names) == len(set(names))
    assert {"order_saga", "place_order", "handle_order_replies", "restart_idle_orders"} <= set(names)


def test_no_route_begins_as_those_that_the_host_keeps_for_itself(functions: list[Any]) -> None:
    """ "The specified route conflicts with one or more built in routes" is all that Azure says."""
    routes = [binding["route"] for _, binding in bindings(functions) if binding["type"] == "httpTrigger"]
    assert "orders/{order_id}" in routes
    assert not [route for route in routes if re.match(r"(admin|runtime)", route.strip("/").lower())]


def test_a_setting_that_is_wrong_stops_the_app_and_is_named() -> None:
    environment = {"ORDERFLOW_STEP_ATTEMPTS": "none", "PATH": ""}
    run = subprocess.run(
        [sys.executable, "-c", "import function_app"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode != 0
    assert "ORDERFLOW_STEP_ATTEMPTS: must be a whole number" in run.stderr
