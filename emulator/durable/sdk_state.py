"""What an orchestrator function answered, in the SDK's out-of-process schema."""

import json
from dataclasses import dataclass

from emulator.durable.history import loads
from emulator.durable.invoker import FunctionFailed
from emulator.durable.replay import Action

_STATE_LABEL = "$OutOfProcData$:"


class InvalidState(Exception):
    """The answer is not in a schema that this emulator knows."""


@dataclass(frozen=True, slots=True)
class SdkState:
    is_done: bool
    actions: list[Action]
    output: str | None
    """JSON text."""
    error: str | None
    custom_status: str | None
    """JSON text."""


def parse_state(text: str) -> SdkState:
    """Raises InvalidState."""
    try:
        state = loads(text)
        schema = state.get("schemaVersion", 0)
        if schema not in (1, 2) or len(state["actions"]) != 1:
            raise InvalidState(f"the orchestrator answered in the replay schema {schema}; served are 1 and 2")
        if state.get("output") is not None or state.get("customStatus") is not None:
            # Once more with Python's own parser: orjson reads an integer beyond 64 bits as a float.
            state = json.loads(text)
        return SdkState(
            is_done=state["isDone"],
            actions=state["actions"][0],
            output=_dumps(state.get("output")),
            error=state.get("error") or None,
            custom_status=_dumps(state.get("customStatus")),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidState("Out of proc orchestrators must return a valid JSON schema") from error


def parse_failure(failure: FunctionFailed) -> SdkState | None:
    """The state that the SDK puts into the message of an exception; None when it is not there."""
    _, label, text = failure.message.partition(_STATE_LABEL)
    if not label:
        return None
    state, _ = json.JSONDecoder().raw_decode(text)
    return parse_state(json.dumps(state))


def _dumps(value: object) -> str | None:
    return None if value is None else json.dumps(value, separators=(",", ":"))
