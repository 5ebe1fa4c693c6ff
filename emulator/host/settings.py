"""The app's settings: the environment, with `Values` of its local.settings.json as defaults."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

import orjson

from emulator.host.functions import AppRefused

_PLACEHOLDER = re.compile(r"%([^%]+)%")


def load_local_settings(app_dir: Path) -> None:
    """What the environment already says wins. A connection that is set nowhere is fine: the engines are here.

    Raises AppRefused when the file is there and is not what Core Tools would read.
    """
    path = app_dir / "local.settings.json"
    if not path.is_file():
        return
    try:
        values = orjson.loads(path.read_bytes()).get("Values", {})
        items = [(str(name), str(value)) for name, value in values.items()]
    except (orjson.JSONDecodeError, AttributeError) as error:
        raise AppRefused(
            f"local.settings.json: an object with an object `Values` is needed ({error})"
        ) from error
    for name, value in items:
        os.environ.setdefault(name, value)


def resolve(text: str, settings: Mapping[str, str], where: str) -> str:
    """Replace each `%NAME%` by that setting. Raises AppRefused naming a setting that is missing."""

    def value_of(match: re.Match[str]) -> str:
        value = settings.get(match[1])
        if value is None:
            raise AppRefused(f"{where}: the app setting {match[1]} (in {text!r}) is not set")
        return value

    return _PLACEHOLDER.sub(value_of, text)


def resolve_or(text: str, settings: Mapping[str, str], default: str) -> str:
    """As `resolve`, for what the emulator can do without: a setting that is missing gives the default."""
    if any(name not in settings for name in _PLACEHOLDER.findall(text)):
        return default
    return resolve(text, settings, "")
