"""An instance as the management API shows it."""

import json
from datetime import UTC, datetime
from typing import Any

from emulator.durable import history
from emulator.durable.client import Status

type Json = dict[str, Any]

_SCHEDULES = {
    history.TASK_SCHEDULED: "TaskScheduled",
    history.SUB_ORCHESTRATION_CREATED: "SubOrchestrationInstanceCreated",
}
_ENDS = (
    history.TASK_COMPLETED,
    history.TASK_FAILED,
    history.SUB_ORCHESTRATION_COMPLETED,
    history.SUB_ORCHESTRATION_FAILED,
)
_RESULTS = (history.TASK_COMPLETED, history.SUB_ORCHESTRATION_COMPLETED, history.EXECUTION_COMPLETED)


def status_payload(status: Status, *, show_input: bool, events: list[Json] | None = None) -> Json:
    """`events` are those of `shown_history`."""
    return {
        "name": status.name,
        "instanceId": status.instance_id,
        "runtimeStatus": status.status,
        "input": _value(status.raw_input) if show_input else None,
        "customStatus": _value(status.custom_status),
        "output": _value(status.output),
        "createdTime": to_the_second(status.created),
        "lastUpdatedTime": to_the_second(status.updated),
        **({} if events is None else {"historyEvents": events}),
    }


def shown_history(events: list[Json], *, show_output: bool, show_input: bool) -> list[Json]:
    """As GetDurableOrchestrationStatusAsync of the extension: what was scheduled is told with its end."""
    scheduled = {
        (event["EventType"], event["EventId"]): event for event in events if event["EventType"] in _SCHEDULES
    }
    ended = set()
    shown = []
    for event in events:
        kind = event["EventType"]
        if kind in (history.ORCHESTRATOR_STARTED, history.ORCHESTRATOR_COMPLETED):
            continue
        item = {key: value for key, value in event.items() if key not in ("EventId", "IsPlayed")}
        item["EventType"] = history.NAMES[kind]
        if kind in _ENDS:
            first = history.TASK_SCHEDULED if kind in _ENDS[:2] else history.SUB_ORCHESTRATION_CREATED
            begun = (first, item.pop("TaskScheduledId"))
            ended.add(begun)
            item["ScheduledTime"] = scheduled[begun]["Timestamp"]
            item["FunctionName"] = scheduled[begun]["Name"]
        elif kind == history.EXECUTION_STARTED:
            item["FunctionName"] = item.pop("Name")
            del item["Version"], item["OrchestrationInstance"]
        elif kind == history.TIMER_FIRED:
            del item["TimerId"]
        if kind in _RESULTS:
            result = item.pop("Result")
            if show_output:
                item["Result"] = _value(result)
        if not show_input:
            item.pop("Input", None)
        shown.append(((kind, event["EventId"]), item))
    return [item for key, item in shown if key not in ended]


def _value(text: str | None) -> Any:  # noqa: ANN401
    """JSON where it is JSON; a failure's or a termination's text as it is."""
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return text


def to_the_second(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
