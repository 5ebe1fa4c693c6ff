"""host.json holds what the host and the extensions know, and docs/host-json.md explains all of it."""

import re
from collections.abc import Mapping
from typing import Any

import pytest

from tests.conformance.host_json_keys import KNOWN, SOURCES, leaves, unknown_keys
from tests.conformance.indexed import PROJECT

PAGE = (PROJECT / "docs" / "host-json.md").read_text()


def test_every_key_is_one_that_the_host_or_an_extension_knows(host: Mapping[str, Any]) -> None:
    assert list(unknown_keys(host, KNOWN)) == []


@pytest.mark.parametrize(
    "path",
    [
        ("functionTimout",),
        ("extensions", "servicebus"),
        ("extensions", "serviceBus", "maxConcurentCalls"),
        ("extensions", "durableTask", "storageProvider", "conectionStringName"),
    ],
)
def test_a_misspelt_key_is_found(path: tuple[str, ...]) -> None:
    document: object = 1
    for name in reversed(path):
        document = {name: document}
    assert list(unknown_keys(document, KNOWN)) == [".".join(path)]


def test_every_key_has_its_row_in_the_page_and_every_row_its_key(host: Mapping[str, Any]) -> None:
    assert re.findall(r"^\| `([\w.]+)` \|", PAGE, re.MULTILINE) == list(leaves(host))


def test_every_row_says_what_is_there(host: Mapping[str, Any]) -> None:
    """`true`, `64`, `"api"`: as in JSON."""
    rows = dict(re.findall(r"^\| `([\w.]+)` \| `([^`]+)` \|", PAGE, re.MULTILINE))
    for path in leaves(host):
        value: Any = host
        # Log categories have dots of their own.
        for name in path.split(".", 2) if path.startswith("logging.") else path.split("."):
            value = value[name]
        shown = f'"{value}"' if isinstance(value, str) else str(value).lower()
        assert rows[path] == shown, path


def test_every_section_names_its_source() -> None:
    assert [source for source in SOURCES.values() if source not in PAGE] == []


def test_nothing_is_on_that_python_cannot_have(host: Mapping[str, Any]) -> None:
    """Extended sessions are for .NET in the host's process: docs/host-json.md."""
    assert host["extensions"]["durableTask"]["extendedSessionsEnabled"] is False


def test_the_bundle_is_one_that_has_the_scheduler(host: Mapping[str, Any]) -> None:
    """From 4.30 on: https://github.com/Azure/azure-functions-extension-bundles"""
    least, most = re.findall(r"(\d+)\.(\d+)\.\d+", host["extensionBundle"]["version"])
    assert (int(least[0]), int(least[1])) >= (4, 30)
    assert most[0] == "5"
    assert host["extensionBundle"]["version"].startswith("[")
    assert host["extensionBundle"]["version"].endswith(")"), "5.0 would be another extension"
