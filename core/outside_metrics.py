"""The policies as OpenTelemetry metrics, which do nothing without an SDK that is configured.

| metric | kind | value | attributes |
| --- | --- | --- | --- |
| `orderflow.outside.circuit.state` | gauge | 0 closed, 1 half-open, 2 open | provider |
| `orderflow.outside.calls` | gauge | calls that are made, or wait for their turn | provider, state |
| `orderflow.outside.calls.refused` | counter | calls that were not sent | provider, reason |

They are read when they are exported: a call pays nothing for them.
"""

from collections.abc import Iterable, Sequence

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from core.circuit import STATES
from core.outside_policy import OutsidePolicy

CIRCUIT_STATE = "orderflow.outside.circuit.state"
CALLS = "orderflow.outside.calls"
REFUSED = "orderflow.outside.calls.refused"


def observe(policies: Sequence[OutsidePolicy], meter: Meter) -> None:
    def circuits(_: CallbackOptions) -> Iterable[Observation]:
        for policy in policies:
            yield Observation(STATES.index(policy.circuit.state), {"provider": policy.name})

    def calls(_: CallbackOptions) -> Iterable[Observation]:
        for policy in policies:
            yield Observation(policy.bulkhead.running, {"provider": policy.name, "state": "running"})
            yield Observation(policy.bulkhead.waiting, {"provider": policy.name, "state": "waiting"})

    def refused(_: CallbackOptions) -> Iterable[Observation]:
        for policy in policies:
            for reason, count in policy.refused.items():
                yield Observation(count, {"provider": policy.name, "reason": reason})

    meter.create_observable_gauge(CIRCUIT_STATE, [circuits], description="0 closed, 1 half-open, 2 open.")
    meter.create_observable_gauge(CALLS, [calls], "{call}", "Calls under way, or waiting for their turn.")
    meter.create_observable_counter(REFUSED, [refused], "{call}", "Calls that were not sent.")
