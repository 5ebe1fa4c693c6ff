"""host.json: the limits that the emulator obeys.

An unknown key in a section that the emulator serves is refused by name: a misspelt limit that is silently not
obeyed is found in production. What only matters in Azure (logging, telemetry, health, the extension bundle)
is accepted and ignored; `functionTimeout` is accepted and not enforced.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson

from emulator.host.functions import AppRefused

type Section = Mapping[str, object]

_KNOWN = {
    "host.json": """
        version functionTimeout telemetryMode logging extensionBundle extensions concurrency healthMonitor
        aggregator managedDependency singleton watchDirectories watchFiles functions applicationInsights
    """,
    "extensions.http": """
        routePrefix maxOutstandingRequests maxConcurrentRequests dynamicThrottlesEnabled hsts customHeaders
    """,
    "extensions.serviceBus": """
        clientRetryOptions prefetchCount transportType webProxy autoCompleteMessages maxConcurrentCalls
        maxAutoLockRenewalDuration maxConcurrentSessions maxMessageBatchSize minMessageBatchSize
        maxBatchWaitTime sessionIdleTimeout enableCrossEntityTransactions
    """,
    "extensions.durableTask": """
        hubName storageProvider tracing maxConcurrentActivityFunctions maxConcurrentOrchestratorFunctions
        maxConcurrentEntityFunctions overridableExistingInstanceStates extendedSessionsEnabled
        extendedSessionIdleTimeoutInSeconds defaultVersion versionMatchStrategy versionFailureStrategy
        useGracefulShutdown maxGrpcMessageSizeInBytes grpcHttpClientTimeout httpSettings notifications
        maxEntityOperationBatchSize storeInputsInOrchestrationHistory
    """,
}
_BUS = "extensions.serviceBus"
_DURABLE = "extensions.durableTask"
_TIME = re.compile(r"(?:(\d+)\.)?(\d{1,2}):(\d{1,2}):(\d{1,2})(\.\d+)?")


@dataclass(frozen=True, slots=True)
class ServiceBusLimits:
    """https://learn.microsoft.com/azure/azure-functions/functions-bindings-service-bus#hostjson-settings"""

    max_concurrent_calls: int
    """Messages in flight per function and instance, cardinality one."""
    max_message_batch_size: int
    auto_complete: bool
    renew_for_seconds: float
    """Locks of cardinality one are renewed for so long."""


@dataclass(frozen=True, slots=True)
class DurableLimits:
    max_activities: int
    max_orchestrators: int
    hub: str
    overridable: str
    """Which existing instances a start may replace: NonRunningStates or AnyState."""
    default_version: str | None


@dataclass(frozen=True, slots=True)
class Limits:
    route_prefix: str
    max_body_bytes: int
    service_bus: ServiceBusLimits
    durable: DurableLimits


def read_limits(app_dir: Path, cores: int | None = None) -> Limits:
    """A missing host.json gives the defaults. Raises AppRefused naming the key."""
    path = app_dir / "host.json"
    document: object = {}
    if path.is_file():
        try:
            document = orjson.loads(path.read_bytes())
        except orjson.JSONDecodeError as error:
            raise AppRefused(f"host.json is not JSON: {error}") from None
    top = _section({"host.json": document}, "host.json")
    extensions = _section(top, "extensions", "extensions")
    http = _section(extensions, "extensions.http", "http")
    bus = _section(extensions, _BUS, "serviceBus")
    durable = _section(extensions, _DURABLE, "durableTask")
    cores = cores or os.cpu_count() or 1
    _refuse_unserved(bus, durable)
    return Limits(
        route_prefix=_text(http, "extensions.http", "routePrefix", "api").strip("/"),
        max_body_bytes=_body_limit(),
        service_bus=ServiceBusLimits(
            max_concurrent_calls=_positive(bus, _BUS, "maxConcurrentCalls", 16 * cores),
            max_message_batch_size=_positive(bus, _BUS, "maxMessageBatchSize", 1000),
            auto_complete=_flag(bus, _BUS, "autoCompleteMessages", True),
            renew_for_seconds=_seconds(bus, _BUS, "maxAutoLockRenewalDuration", 300.0),
        ),
        durable=DurableLimits(
            max_activities=_positive(durable, _DURABLE, "maxConcurrentActivityFunctions", 10 * cores),
            max_orchestrators=_positive(durable, _DURABLE, "maxConcurrentOrchestratorFunctions", 10 * cores),
            hub=_text(durable, _DURABLE, "hubName", "TestHubName"),
            overridable=_text(durable, _DURABLE, "overridableExistingInstanceStates", "NonRunningStates"),
            default_version=_text(durable, _DURABLE, "defaultVersion", "") or None,
        ),
    )


def _refuse_unserved(bus: Section, durable: Section) -> None:
    if _positive(bus, _BUS, "minMessageBatchSize", 1) > 1:
        raise AppRefused(f"host.json {_BUS}.minMessageBatchSize over 1 is not served by the emulator")
    if _flag(bus, _BUS, "enableCrossEntityTransactions", False):
        raise AppRefused(f"host.json {_BUS}.enableCrossEntityTransactions is not served by the emulator")
    if _flag(durable, _DURABLE, "extendedSessionsEnabled", False):
        raise AppRefused(f"host.json {_DURABLE}.extendedSessionsEnabled is for .NET apps only")


def _body_limit() -> int:
    """The real host's setting and its default. Raises AppRefused."""
    text = os.environ.get("FUNCTIONS_REQUEST_BODY_SIZE_LIMIT", "104857600")
    if not text.isdigit():
        raise AppRefused(f"FUNCTIONS_REQUEST_BODY_SIZE_LIMIT: a number of bytes is needed, not {text!r}")
    return int(text)


def _section(parent: Section, where: str, key: str = "host.json") -> Section:
    value = parent.get(key, {})
    if not isinstance(value, dict):
        raise AppRefused(f"host.json {where}: an object is needed")
    if where in _KNOWN:
        for name in value.keys() - set(_KNOWN[where].split()):
            raise AppRefused(f"host.json {where}: the key {name!r} is not known")
    return value


def _text(section: Section, where: str, key: str, default: str) -> str:
    value = section.get(key, default)
    if not isinstance(value, str):
        raise AppRefused(f"host.json {where}.{key}: a string is needed, not {value!r}")
    return value


def _positive(section: Section, where: str, key: str, default: int) -> int:
    value = section.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise AppRefused(f"host.json {where}.{key}: a whole number of at least 1 is needed, not {value!r}")
    return value


def _flag(section: Section, where: str, key: str, default: bool) -> bool:
    value = section.get(key, default)
    if not isinstance(value, bool):
        raise AppRefused(f"host.json {where}.{key}: true or false is needed, not {value!r}")
    return value


def _seconds(section: Section, where: str, key: str, default: float) -> float:
    value = section.get(key)
    if value is None:
        return default
    match = _TIME.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise AppRefused(f"host.json {where}.{key}: a time such as 00:05:00 is needed, not {value!r}")
    days, hours, minutes, seconds, fraction = match.groups()
    whole = int(days or 0) * 86400 + int(hours) * 3600 + int(minutes) * 60 + int(seconds)
    return whole + float(fraction or 0)
