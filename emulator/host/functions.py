"""What the worker library found in the app: each function with its trigger and bindings, or a refusal by
name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

import orjson


class AppRefused(Exception):
    """The app cannot be hosted; the message says which function and why."""


@dataclass(frozen=True, slots=True)
class Binding:
    type: str
    name: str
    properties: Mapping[str, object]
    """The other keys of its function.json form, such as `queueName`; enum values as their upper-case names.
    """

    def text(self, key: str, default: str = "") -> str:
        value = self.properties.get(key)
        return default if value is None else str(value)

    def number(self, key: str, default: int) -> int:
        """Raises AppRefused when the value is not a whole number."""
        value = self.properties.get(key)
        if value is None:
            return default
        try:
            return int(str(value))
        except ValueError:
            raise AppRefused(f"{self.type} {key}: a whole number is needed, not {value!r}") from None

    def flag(self, key: str, default: bool) -> bool:
        value = self.properties.get(key)
        return default if value is None else str(value).lower() == "true"


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """A function's `@retry`. https://learn.microsoft.com/azure/azure-functions/functions-bindings-error-pages"""

    max_retry_count: int
    """-1: for ever."""
    shortest: float
    """Seconds before the first retry; each further one doubles, up to `longest`."""
    longest: float

    def delay(self, retry: int) -> float:
        """Seconds to wait before retry number `retry` (1, 2, ...)."""
        return min(self.longest, self.shortest * 2.0 ** min(retry - 1, 32))

    def allows(self, retry: int) -> bool:
        return self.max_retry_count == -1 or retry <= self.max_retry_count


@dataclass(frozen=True, slots=True)
class Function:
    name: str
    function_id: str
    trigger: Binding
    clients: tuple[str, ...]
    """Names of the parameters that get a durable client."""
    retry: RetryPolicy | None


class RetryOptions(Protocol):
    """What the worker's loader passes to `RpcRetryOptions`; the intervals depend on the strategy."""

    max_retry_count: int
    retry_strategy: str
    delay_interval: timedelta
    minimum_interval: timedelta
    maximum_interval: timedelta


_TRIGGERS = frozenset(
    {
        "httpTrigger",
        "serviceBusTrigger",
        "cosmosDBTrigger",
        "timerTrigger",
        "orchestrationTrigger",
        "activityTrigger",
    }
)
_RETRIED = frozenset({"cosmosDBTrigger", "timerTrigger"})


def describe(
    name: str, function_id: str, raw_bindings: Sequence[str], retry_options: RetryOptions | None
) -> Function:
    """Raises AppRefused for a trigger, binding or option that the emulator does not serve."""
    trigger: Binding | None = None
    clients: list[str] = []
    for raw in raw_bindings:
        properties: dict[str, object] = orjson.loads(raw)
        binding = Binding(str(properties.pop("type")), str(properties.pop("name")), properties)
        direction = properties.pop("direction")
        if binding.type in _TRIGGERS:
            trigger = binding
        elif binding.type == "durableClient":
            clients.append(binding.name)
        elif not (binding.type == "http" and binding.name == "$return"):
            word = "trigger" if binding.type.lower().endswith("trigger") else f"binding ({direction})"
            raise AppRefused(f"function {name}: the {binding.type} {word} is not served by the emulator")
    if trigger is None:
        raise AppRefused(f"function {name}: it has no trigger")
    _refuse_options(name, trigger)
    # A retry policy on any other trigger does nothing in Azure either: the broker redelivers.
    retry = _retry_policy(retry_options) if retry_options and trigger.type in _RETRIED else None
    return Function(name, function_id, trigger, tuple(clients), retry)


def _refuse_options(name: str, trigger: Binding) -> None:
    if trigger.type == "serviceBusTrigger" and trigger.flag("isSessionsEnabled", False):
        raise AppRefused(f"function {name}: sessions (isSessionsEnabled) are not served by the emulator")
    if trigger.type == "cosmosDBTrigger":
        for key in ("startFromTime", "changeFeedMode"):
            if trigger.text(key, "LATEST_VERSION") not in {"LATEST_VERSION", "LatestVersion"}:
                raise AppRefused(f"function {name}: cosmosDBTrigger {key} is not served by the emulator")


def _retry_policy(options: RetryOptions) -> RetryPolicy:
    if options.retry_strategy == "fixed_delay":
        delay = options.delay_interval.total_seconds()
        return RetryPolicy(options.max_retry_count, delay, delay)
    return RetryPolicy(
        options.max_retry_count,
        options.minimum_interval.total_seconds(),
        options.maximum_interval.total_seconds(),
    )
