"""Runs a function for a trigger: ids, trace context, durable clients, and a log line when it fails."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Sequence
from random import Random

from azure_functions_runtime.bindings.datumdef import Datum

from emulator.host.functions import Function
from emulator.host.worker import InvocationFailed, Metadata, invoke
from emulator.metrics import current_trigger

_log = logging.getLogger("emulator.host")
_TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_NO_METADATA: Metadata = {}
_QUIET_SECONDS = 1.0

TRIGGER_NAMES = {
    "httpTrigger": "http",
    "serviceBusTrigger": "serviceBus",
    "cosmosDBTrigger": "cosmosDB",
    "timerTrigger": "timer",
    "orchestrationTrigger": "orchestration",
    "activityTrigger": "activity",
}
"""The names under which `emulator.metrics` files what a function did."""


class Invocations:
    def __init__(self, random: Random) -> None:
        self._random = random
        self._client = Datum("{}", "string")
        self._failures: dict[str, tuple[float, int]] = {}
        self.in_flight = 0

    def give_clients(self, binding_json: str) -> None:
        """What durable client parameters get."""
        self._client = Datum(binding_json, "string")

    async def run(
        self,
        function: Function,
        inputs: Sequence[tuple[str, Datum]],
        metadata: Metadata = _NO_METADATA,
        *,
        traceparent: str | None = None,
        retry_count: int = 0,
        max_retry_count: int = 0,
    ) -> Datum | None:
        """Raises InvocationFailed, after logging it."""
        if function.clients:
            inputs = [*inputs, *((name, self._client) for name in function.clients)]
        invocation_id = self._new_id()
        token = current_trigger.set(TRIGGER_NAMES[function.trigger.type])
        self.in_flight += 1
        try:
            return await invoke(
                function,
                invocation_id,
                inputs,
                metadata,
                traceparent=self._trace(traceparent),
                retry_count=retry_count,
                max_retry_count=max_retry_count,
            )
        except InvocationFailed as failure:
            self._report(function, invocation_id, failure)
            raise
        finally:
            self.in_flight -= 1
            current_trigger.reset(token)

    def _new_id(self) -> str:
        digits = self._hex(16)
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"

    def _trace(self, parent: str | None) -> str:
        """A new span of the caller's trace, or of a new one (W3C traceparent)."""
        span = self._hex(8)
        if parent and _TRACEPARENT.fullmatch(parent):
            return f"{parent[:36]}{span}{parent[52:]}"
        return f"00-{self._hex(16)}-{span}-01"

    def _hex(self, count: int) -> str:
        """So many random bytes, not all of them zero."""
        return (self._random.getrandbits(8 * count) or 1).to_bytes(count).hex()

    def _report(self, function: Function, invocation_id: str, failure: InvocationFailed) -> None:
        """One line a second and function: a function that fails on every message must not drown the rest."""
        now = time.monotonic()
        last, suppressed = self._failures.get(function.name, (0.0, 0))
        if last and now - last < _QUIET_SECONDS:
            self._failures[function.name] = (last, suppressed + 1)
            return
        self._failures[function.name] = (now, 0)
        _log.error(
            "function %s failed: %s",
            function.name,
            failure,
            exc_info=failure.error,
            extra={
                "function": function.name,
                "invocation_id": invocation_id,
                "not_logged_before": suppressed,
            },
        )
