"""How long the saga of an order waits, and how often it tries."""

from dataclasses import asdict, dataclass

from core.json import JsonObject
from core.settings import Settings

SAGA = "order_saga"
"""The orchestrator's name. The instance id is the order's."""

CANCEL_EVENT = "cancel"
OPERATOR_EVENT = "operator"
LONGEST_PAUSE_S = 3600.0


@dataclass(frozen=True, slots=True)
class Policy:
    """Seconds and counts (`core.settings`). Travels in the input: a replay must see what was first seen."""

    step_timeout_s: float
    step_attempts: int
    undo_attempts: int
    attention_interval_s: float


def policy_of(settings: Settings) -> Policy:
    return Policy(
        settings.step_timeout_s, settings.step_attempts, settings.undo_attempts, settings.attention_interval_s
    )


def wait_s(policy: Policy, attempt: int) -> float:
    """How long to wait after the attempt-th send: each time twice as long, at most an hour."""
    return min(policy.step_timeout_s * 2.0 ** (attempt - 1), LONGEST_PAUSE_S)


def longest_forward_s(policy: Policy, steps: int) -> float:
    """How long `steps` steps may take before the saga gives the last of them up."""
    return steps * sum(wait_s(policy, attempt) for attempt in range(1, policy.step_attempts + 1))


def start_input(policy: Policy, traceparent: str) -> JsonObject:
    """The input of a saga that runs from the top, which is harmless at any time."""
    return {"traceparent": traceparent, "policy": asdict(policy)}
