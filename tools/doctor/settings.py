"""local.settings.json: there, readable, complete, and without names that nobody reads."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence

from core.settings import InvalidSetting
from tools.doctor.findings import Finding, note, ok, wrong

FILE = "local.settings.json"
COPY = f"cp {FILE}.example {FILE}"
HOST_OVERRIDE = "AzureFunctionsJobHost__"
"""Settings that override host.json: the user's choice, and none of them has to be there."""
STORAGE = HOST_OVERRIDE + "extensions__durableTask__storageProvider__"


type Read = Callable[[Mapping[str, str]], object]
"""Reads settings as the app does. Raises InvalidSetting."""


class Unreadable(ValueError):
    """The message says why."""


class _Asked(dict[str, str]):
    """An environment without settings that notes which ones are asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def get(self, key: str, default: str | None = None) -> str | None:  # type: ignore[override]
        self.names.add(key)
        return default


def names_read_by(read: Read) -> frozenset[str]:
    """The settings that a reader with a default for each asks for."""
    asked = _Asked()
    read(asked)
    return frozenset(asked.names)


def values_of(text: str) -> dict[str, str]:
    """`Values` of the file. Raises Unreadable."""
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise Unreadable(f"not JSON: {error}") from None
    if not isinstance(document, dict) or not isinstance(document.get("Values"), dict):
        raise Unreadable("an object with an object `Values` is needed")
    if document.get("IsEncrypted"):
        raise Unreadable("it is encrypted")
    wrong_ones = [name for name, value in document["Values"].items() if not isinstance(value, str)]
    if wrong_ones:
        raise Unreadable(f"Values.{wrong_ones[0]}: must be a string")
    return dict(document["Values"])


def local_settings(
    text: str | None,
    example: Mapping[str, str],
    known: frozenset[str],
    readers: Sequence[Read],
    environment: Mapping[str, str],
) -> list[Finding]:
    """Findings about the file, whose text is None when there is none.

    example: Values of the example.
    known: every ORDERFLOW_ setting.
    readers: those of the app; each names what is wrong.
    """
    if text is None:
        return [wrong(FILE, "not there", COPY)]
    try:
        values = values_of(text)
    except Unreadable as error:
        mend = "func settings decrypt" if "encrypted" in str(error) else f"correct it, or: {COPY}"
        return [wrong(FILE, str(error), mend)]
    found = [*_problems(values, example, known, readers), *_overridden(values, environment)]
    return found or [ok(FILE, f"{len(values)} settings")]


def _problems(
    values: Mapping[str, str], example: Mapping[str, str], known: frozenset[str], readers: Sequence[Read]
) -> Iterator[Finding]:
    optional = known - {"ORDERFLOW_ADAPTERS"}  # whose default is the embedded emulator
    missing = {
        name
        for name in example.keys() - optional
        if not name.startswith(HOST_OVERRIDE) and not _is_given(name, values)
    }
    for name in sorted(missing):
        yield wrong(FILE, f"{name} is missing", f"take its line from {FILE}.example")
    for name in sorted(values):
        if name.upper().startswith("ORDERFLOW_") and name not in known:
            yield wrong(
                FILE, f"{name}: there is no such setting", "README.md lists them; remove or correct it"
            )
    for read in readers:
        try:
            read(values)
        except InvalidSetting as error:
            if not any(str(error).startswith(name) for name in missing):
                yield wrong(FILE, str(error), "README.md says what is allowed")
    adapters = values.get("ORDERFLOW_ADAPTERS")
    if adapters is not None and adapters != "azure":
        found = f"ORDERFLOW_ADAPTERS is {adapters!r}: under func start there is no emulator to embed"
        yield wrong(FILE, found, "set it to azure")
    yield from _durable(values)


def _is_given(name: str, values: Mapping[str, str]) -> bool:
    """A connection is also given by settings with its name as a prefix, for an identity."""
    return bool(values.get(name)) or any(each.startswith(f"{name}__") and values[each] for each in values)


def uses_scheduler(values: Mapping[str, str]) -> bool:
    """host.json says azureManaged; a setting may say otherwise. False without settings."""
    return bool(values) and values.get(f"{STORAGE}type", "azureManaged").lower() == "azuremanaged"


def _durable(values: Mapping[str, str]) -> Iterator[Finding]:
    """The scheduler refuses a hub that it does not have: https://github.com/Azure/Durable-Task-Scheduler/issues/42"""
    if not uses_scheduler(values):
        return
    name, hub = "DURABLE_TASK_SCHEDULER_CONNECTION_STRING", values.get("TASKHUB_NAME", "")
    parts = dict(part.split("=", 1) for part in values.get(name, "").split(";") if "=" in part)
    if parts.get("TaskHub", hub) != hub:
        yield wrong(
            FILE, f"TaskHub in {name} is {parts['TaskHub']!r}, TASKHUB_NAME is {hub!r}", "make them equal"
        )


def _overridden(values: Mapping[str, str], environment: Mapping[str, str]) -> Iterator[Finding]:
    """Core Tools and the embedded emulator both leave a variable alone that is set already."""
    for name in sorted(values):
        if environment.get(name, values[name]) != values[name]:
            yield note(FILE, f"{name}: another value in the environment wins", f"unset {name}")
