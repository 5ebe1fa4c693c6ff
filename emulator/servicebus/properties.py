"""Application properties as the JSON of their column.

What JSON cannot say is a list of the type's name and a text or number there: no property is a list itself.
"""

import math
from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import NoneType
from uuid import UUID

import orjson

from emulator.servicebus.errors import InvalidMessage
from emulator.servicebus.messages import PropertyValue

type _Json = str | int | float | bool | list[str | int] | None

_SAME_IN_JSON = frozenset({str, int, bool, NoneType})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def encode(properties: Mapping[str, PropertyValue]) -> str:
    """Raises InvalidMessage."""
    written: Mapping[str, _Json | PropertyValue] = properties
    if not _SAME_IN_JSON.issuperset(map(type, properties.values())):
        written = {name: _written(name, value) for name, value in properties.items()}
    try:
        return orjson.dumps(dict(written)).decode()
    except orjson.JSONEncodeError as error:  # above 64 bits, half a surrogate pair, a name that is no string
        raise InvalidMessage(f"application properties: {error}") from error


def decode(text: str) -> dict[str, PropertyValue]:
    properties: dict[str, PropertyValue] = orjson.loads(text)
    if "[" in text:
        return {
            name: _read(*value) if isinstance(value, list) else value for name, value in properties.items()
        }
    return properties


def _written(name: str, value: PropertyValue) -> _Json:
    match value:
        case None | str() | int():
            return value
        case float():
            return float(value) if math.isfinite(value) else ["float", repr(value)]
        case bytes():
            return ["bytes", b64encode(value).decode()]
        case UUID():
            return ["uuid", value.hex]
        case datetime():
            if value.tzinfo is None:
                raise InvalidMessage(f"application property {name!r}: a time needs a time zone")
            return ["datetime", (value - _EPOCH) // _MILLISECOND]
    raise InvalidMessage(f"application property {name!r}: a {type(value).__name__} cannot be kept")


def _read(kind: str, value: str | int) -> PropertyValue:
    match kind, value:
        case "float", str():
            return float(value)
        case "bytes", str():
            return b64decode(value)
        case "uuid", str():
            return UUID(hex=value)
        case "datetime", int():
            return _EPOCH + value * _MILLISECOND
    raise ValueError(f"no application property is kept as {kind!r} {value!r}")
