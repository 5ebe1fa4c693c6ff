"""History events: the JSON texts that the SDK reads, and the little of them that the host's own replay needs.

An event is written once, as text, and never parsed on the hot path: a context is texts joined by commas.
"""

import json
from datetime import UTC, datetime
from functools import lru_cache
from math import modf
from typing import Any, Final, NamedTuple

import orjson

EXECUTION_STARTED: Final = 0
EXECUTION_COMPLETED: Final = 1
EXECUTION_TERMINATED: Final = 3
TASK_SCHEDULED: Final = 4
TASK_COMPLETED: Final = 5
TASK_FAILED: Final = 6
SUB_ORCHESTRATION_CREATED: Final = 7
SUB_ORCHESTRATION_COMPLETED: Final = 8
SUB_ORCHESTRATION_FAILED: Final = 9
TIMER_CREATED: Final = 10
TIMER_FIRED: Final = 11
ORCHESTRATOR_STARTED: Final = 12
ORCHESTRATOR_COMPLETED: Final = 13
EVENT_RAISED: Final = 15
EXECUTION_SUSPENDED: Final = 19
EXECUTION_RESUMED: Final = 20

NAMES: Final = {
    EXECUTION_STARTED: "ExecutionStarted",
    EXECUTION_COMPLETED: "ExecutionCompleted",
    EXECUTION_TERMINATED: "ExecutionTerminated",
    TASK_SCHEDULED: "TaskScheduled",
    TASK_COMPLETED: "TaskCompleted",
    TASK_FAILED: "TaskFailed",
    SUB_ORCHESTRATION_CREATED: "SubOrchestrationInstanceCreated",
    SUB_ORCHESTRATION_COMPLETED: "SubOrchestrationInstanceCompleted",
    SUB_ORCHESTRATION_FAILED: "SubOrchestrationInstanceFailed",
    TIMER_CREATED: "TimerCreated",
    TIMER_FIRED: "TimerFired",
    ORCHESTRATOR_STARTED: "OrchestratorStarted",
    ORCHESTRATOR_COMPLETED: "OrchestratorCompleted",
    EVENT_RAISED: "EventRaised",
    EXECUTION_SUSPENDED: "ExecutionSuspended",
    EXECUTION_RESUMED: "ExecutionResumed",
}


class Event(NamedTuple):
    """What the host's replay looks at.

    `task_id` is the id of the task that the event schedules or ends, else -1. `name` is the function's, the
    external event's, or for ORCHESTRATOR_STARTED the time.
    """

    kind: int
    task_id: int
    name: str


def timestamp(seconds: float) -> str:
    """As in `2027-01-15T08:00:00.000000Z`; always 27 characters, so that texts compare as times do."""
    fraction, whole = modf(seconds)
    microseconds = round(fraction * 1_000_000)
    if 0 <= microseconds < 1_000_000:
        return f"{_to_the_second(whole)}.{microseconds:06d}Z"
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")[:26] + "Z"


@lru_cache(64)
def _to_the_second(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:19]


def seconds(text: str) -> float:
    """The inverse of `timestamp`."""
    return datetime.fromisoformat(text).timestamp()


def quote(text: str) -> str:
    """`text` as a JSON string."""
    try:
        return orjson.dumps(text).decode()
    except TypeError:  # a lone surrogate, which JSON can escape and UTF-8 cannot hold
        return json.dumps(text)


def quote_or_null(text: str | None) -> str:
    return "null" if text is None else quote(text)


def loads(text: str) -> Any:  # noqa: ANN401
    """Parse what Python's `json` may have written, `NaN` and lone surrogates included."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text)


def _event(kind: int, event_id: int, at: str, rest: str = "") -> str:
    return f'{{"EventType":{kind},"EventId":{event_id},"IsPlayed":false,"Timestamp":"{at}"{rest}}}'


def orchestrator_started(at: str) -> str:
    return _event(ORCHESTRATOR_STARTED, -1, at)


def orchestrator_completed(at: str) -> str:
    return _event(ORCHESTRATOR_COMPLETED, -1, at)


def execution_started(
    at: str, name: str, version: str | None, raw_input: str | None, instance_id: str, execution_id: str
) -> str:
    instance = f'{{"InstanceId":{quote(instance_id)},"ExecutionId":"{execution_id}"}}'
    rest = (
        f',"Name":{quote(name)},"Version":{quote_or_null(version)},"Input":{quote_or_null(raw_input)},'
        f'"OrchestrationInstance":{instance}'
    )
    return _event(EXECUTION_STARTED, -1, at, rest)


def execution_completed(at: str, event_id: int, status: str, result: str | None) -> str:
    rest = f',"OrchestrationStatus":"{status}","Result":{quote_or_null(result)}'
    return _event(EXECUTION_COMPLETED, event_id, at, rest)


def execution_terminated(at: str, reason: str) -> str:
    return _event(EXECUTION_TERMINATED, -1, at, f',"Input":{quote(reason)}')


def execution_suspended(at: str, reason: str) -> str:
    return _event(EXECUTION_SUSPENDED, -1, at, f',"Reason":{quote(reason)}')


def execution_resumed(at: str, reason: str) -> str:
    return _event(EXECUTION_RESUMED, -1, at, f',"Reason":{quote(reason)}')


def task_scheduled(at: str, task_id: int, name: str) -> str:
    return _event(TASK_SCHEDULED, task_id, at, f',"Name":{quote(name)}')


def task_completed(at: str, task_id: int, result: str) -> str:
    return _event(TASK_COMPLETED, -1, at, f',"TaskScheduledId":{task_id},"Result":{quote(result)}')


def task_failed(at: str, task_id: int, reason: str, details: str) -> str:
    rest = f',"TaskScheduledId":{task_id},"Reason":{quote(reason)},"Details":{quote(details)}'
    return _event(TASK_FAILED, -1, at, rest)


def sub_orchestration_created(at: str, task_id: int, name: str, instance_id: str) -> str:
    return _event(
        SUB_ORCHESTRATION_CREATED, task_id, at, f',"Name":{quote(name)},"InstanceId":{quote(instance_id)}'
    )


def sub_orchestration_completed(at: str, task_id: int, result: str | None) -> str:
    rest = f',"TaskScheduledId":{task_id},"Result":{quote_or_null(result)}'
    return _event(SUB_ORCHESTRATION_COMPLETED, -1, at, rest)


def sub_orchestration_failed(at: str, task_id: int, reason: str) -> str:
    rest = f',"TaskScheduledId":{task_id},"Reason":{quote(reason)},"Details":""'
    return _event(SUB_ORCHESTRATION_FAILED, -1, at, rest)


def timer_created(at: str, task_id: int, fire_at: str) -> str:
    return _event(TIMER_CREATED, task_id, at, f',"FireAt":"{fire_at}"')


def timer_fired(at: str, task_id: int, fire_at: str) -> str:
    return _event(TIMER_FIRED, -1, at, f',"FireAt":"{fire_at}","TimerId":{task_id}')


def event_raised(at: str, name: str, data: str) -> str:
    """`data` is the JSON text of the event's value."""
    return _event(EVENT_RAISED, -1, at, f',"Name":{quote(name)},"Input":{quote(data)}')


def read(fields: dict[str, Any]) -> Event:
    """What the host's replay needs of one parsed event."""
    kind: int = fields["EventType"]
    if kind in (TASK_SCHEDULED, SUB_ORCHESTRATION_CREATED):
        return Event(kind, fields["EventId"], fields["Name"])
    if kind in (TASK_COMPLETED, TASK_FAILED, SUB_ORCHESTRATION_COMPLETED, SUB_ORCHESTRATION_FAILED):
        return Event(kind, fields["TaskScheduledId"], "")
    if kind == TIMER_CREATED:
        return Event(kind, fields["EventId"], "")
    if kind == TIMER_FIRED:
        return Event(kind, fields["TimerId"], "")
    if kind == EVENT_RAISED:
        return Event(kind, -1, fields["Name"])
    return Event(kind, -1, fields["Timestamp"])


def played(text: str) -> str:
    """The same events as the SDK sees them in later episodes.

    The pattern cannot occur inside a value: there its quotes would be escaped.
    """
    return text.replace('"IsPlayed":false', '"IsPlayed":true')
