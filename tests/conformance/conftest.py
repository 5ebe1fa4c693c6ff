"""What the tests of conformance look at: the app's files, and its functions under the example's settings."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.conformance.indexed import PROJECT, Indexed, indexed
from tests.sdk_pace import faster_sdk


def read_json(*path: str) -> Any:
    return json.loads(PROJECT.joinpath(*path).read_bytes())


@pytest.fixture(autouse=True, scope="module")
def _faster_sdk() -> Iterator[None]:
    with faster_sdk():
        yield


@pytest.fixture(scope="session")
def example() -> Mapping[str, str]:
    """`Values` of local.settings.json.example."""
    return read_json("local.settings.json.example")["Values"]


@pytest.fixture(scope="session")
def functions(example: Mapping[str, str]) -> list[Indexed]:
    """As `func start` finds them with the example's settings."""
    return indexed(example)


@pytest.fixture(scope="session")
def bus() -> Mapping[str, Any]:
    """The one namespace of topology/servicebus.json."""
    [namespace] = read_json("topology", "servicebus.json")["UserConfig"]["Namespaces"]
    return namespace


@pytest.fixture(scope="session")
def cosmos() -> Mapping[str, Any]:
    return read_json("topology", "cosmos.json")


@pytest.fixture(scope="session")
def host() -> Mapping[str, Any]:
    return read_json("host.json")
