"""Message and event types: frozen dataclasses, registered once by type and version.

`@contract("payments.charge")` names a class; `encode` and `decode` go between instances and JSON. What
arrives is validated: an unknown field, a missing one or a wrong type raises InvalidContract, which names
the field.
"""

from collections.abc import Callable
from dataclasses import is_dataclass
from typing import Annotated, Any, Protocol

from pydantic import ConfigDict, StringConstraints, TypeAdapter, ValidationError

from core.json import JsonObject

type Id = Annotated[str, StringConstraints(pattern=r"^[^/\\#?\x00-\x1f]{1,200}$")]
"""A business key that is part of document ids, so without the characters that Cosmos DB forbids there."""


class InvalidContract(ValueError):
    """The data is not a valid instance of its type; the message names field and rule."""


class UnknownContract(InvalidContract):
    """No class is registered under this type and version."""


class Contract(Protocol):
    """Any registered frozen dataclass."""

    __dataclass_fields__: Any


_classes: dict[tuple[str, int], type] = {}
_names: dict[type, tuple[str, int]] = {}
_adapters: dict[type, TypeAdapter[Any]] = {}


def contract[T](name: str, version: int = 1) -> Callable[[type[T]], type[T]]:
    """Register a frozen dataclass as `<service>.<name>`; a later version of the same name registers
    beside it.
    """

    def register(cls: type[T]) -> type[T]:
        if not is_dataclass(cls) or not cls.__dataclass_params__.frozen:  # type: ignore[attr-defined]
            raise TypeError(f"{cls.__name__} must be a frozen dataclass")
        if (name, version) in _classes:
            raise TypeError(f"{name} version {version} is registered twice")
        _classes[name, version] = cls
        _names[cls] = (name, version)
        cls.__pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[attr-defined]
        _adapters[cls] = TypeAdapter(cls)
        return cls

    return register


def contracts() -> dict[tuple[str, int], type]:
    """Every registered class by (type, version)."""
    return dict(_classes)


def contract_name(cls: type) -> str:
    return _names[cls][0]


def contract_version(cls: type) -> int:
    return _names[cls][1]


def encode(instance: object) -> JsonObject:
    encoded: JsonObject = _adapters[type(instance)].serializer.to_python(instance, mode="json")
    return encoded


def decode(name: str, data: object, version: int = 1) -> Any:  # noqa: ANN401  (the registered class)
    """Raises UnknownContract, InvalidContract."""
    cls = _classes.get((name, version))
    if cls is None:
        raise UnknownContract(f"unknown type {name!r} version {version}")
    try:
        return _adapters[cls].validator.validate_python(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "data"
        raise InvalidContract(f"{name}: {field}: {first['msg']}") from error
