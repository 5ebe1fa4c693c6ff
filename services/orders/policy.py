"""How long the sagas of an order and of a return wait, and how often they try."""

from dataclasses import asdict, dataclass

from core.json import JsonObject
from core.settings import PAYMENT_ACTION_S, Settings

SAGA = "order_saga"
"""The orchestrator's name. The instance id is the order's."""

RETURN_SAGA = "return_saga"
"""The orchestrator of a return. The instance id is the return's."""

CUSTOMER_REQUEST = "customer_request"
"""The reason of a cancellation that the customer asked for."""

CANCEL_EVENT = "cancel"
OPERATOR_EVENT = "operator"
LONGEST_PAUSE_S = 3600.0
DAY_S = 86400.0


@dataclass(frozen=True, slots=True)
class Policy:
    """Seconds and counts (`core.settings`). Travels in the input: a replay must see what was first seen.

    The default is for sagas whose input was made before there was such a setting.
    """

    step_timeout_s: float
    step_attempts: int
    undo_attempts: int
    attention_interval_s: float
    payment_action_s: float = PAYMENT_ACTION_S


def policy_of(settings: Settings) -> Policy:
    return Policy(
        settings.step_timeout_s,
        settings.step_attempts,
        settings.undo_attempts,
        settings.attention_interval_s,
        settings.payment_action_s,
    )


def wait_s(policy: Policy, attempt: int) -> float:
    """How long to wait after the attempt-th send: each time twice as long, at most an hour."""
    return min(policy.step_timeout_s * 2.0 ** (attempt - 1), LONGEST_PAUSE_S)


def longest_forward_s(policy: Policy, steps: int) -> float:
    """How long `steps` steps may take before the saga gives the last of them up."""
    return steps * sum(wait_s(policy, attempt) for attempt in range(1, policy.step_attempts + 1))


@dataclass(frozen=True, slots=True)
class ReturnPolicy:
    """approval_s, parcel_s: for how long a return waits for its approval, and for its parcel.
    look_s: how often it looks whether what it waits for has happened, should nobody have told.
    """

    approval_s: float
    parcel_s: float
    look_s: float


def return_policy_of(settings: Settings) -> ReturnPolicy:
    return ReturnPolicy(
        settings.return_approval_s,
        settings.return_parcel_s,
        min(DAY_S, settings.return_approval_s, settings.return_parcel_s),
    )


def return_event(return_id: str, stage: str) -> str:
    """The event by which the saga of a return hears that people have decided or seen something."""
    return f"{return_id}:{stage}"


def return_input(policy: Policy, returns: ReturnPolicy, order_id: str, traceparent: str) -> JsonObject:
    """The input of a return saga that runs from the top, which is harmless at any time."""
    return {**start_input(policy, traceparent), "returns": asdict(returns), "order_id": order_id}


def start_input(policy: Policy, traceparent: str) -> JsonObject:
    """The input of a saga that runs from the top, which is harmless at any time."""
    return {"traceparent": traceparent, "policy": asdict(policy)}
