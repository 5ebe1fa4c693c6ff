"""Shorter ways through the SDK's replay: it runs an orchestrator again from its first event in each episode.

As those of `emulator.durable.sdk`, each replaces names in modules of azure-functions-durable 1.x, changes
nothing but the cost, and returns a function that takes it back.
"""

from collections import abc
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from importlib import import_module
from operator import attrgetter
from typing import Any, Final

import orjson

from emulator.durable import history
from emulator.durable.sdk import Undo

_MODELS = "azure.durable_functions.models"
_REMEMBERED_TIMES = 2048
_WITHOUT_EFFECT: Final = frozenset(
    {history.TASK_SCHEDULED, history.TIMER_CREATED, history.ORCHESTRATOR_COMPLETED}
)


def install_fast_replay() -> Undo:
    undos = [
        _install_light_events(),
        _install_short_history(),
        _install_fast_questions(),
        _install_fast_answer(),
    ]
    return lambda: _undo_all(undos)


def _install_light_events() -> Undo:
    """An event of the history is an object around the parsed fields, and reads its time when asked.

    The SDK's own takes twelve assignments and a parsed time for each event, and asks hardly any of them.
    """
    events: Any = import_module(f"{_MODELS}.history.HistoryEvent")
    contexts: Any = import_module(f"{_MODELS}.DurableOrchestrationContext")
    parse = lru_cache(_REMEMBERED_TIMES)(events.dt_parse)

    class Event(events.HistoryEvent):  # type: ignore[misc]
        Name = InstanceId = TaskScheduledId = Reason = Details = Input = None
        _is_processed = False
        event_type = _event_type = property(attrgetter("EventType"))
        event_id = _event_id = property(attrgetter("EventId"))
        is_played = _is_played = property(attrgetter("IsPlayed"))
        timestamp = _timestamp = property(lambda self: parse(self.Timestamp))

    new = Event.__new__

    def event(fields: dict[str, object]) -> Event:
        made: Event = new(Event)
        made.__dict__ = fields
        return made

    def from_json(kind: Any, text: str) -> Any:  # noqa: ANN401
        given = contexts.json.loads(text)
        past = given["history"]
        if [each["EventType"] for each in past[:2]] != [
            history.ORCHESTRATOR_STARTED,
            history.EXECUTION_STARTED,
        ]:
            return kind(**given)
        given["history"] = past[:2]  # all that the constructor looks at
        context = kind(**given)
        context._histories += map(event, past[2:])
        return context

    undos = [
        _replace(contexts, "HistoryEvent", lambda **fields: event(fields)),
        _replace(contexts.DurableOrchestrationContext, "from_json", classmethod(from_json)),
    ]
    return lambda: _undo_all(undos)


def _install_short_history() -> Undo:
    """The executor is given only what can have an effect; the context's `histories` keep everything.

    About every event it asks six questions, and three about itself afterwards. Of the first two events it
    wants to know more, so they stay.
    """
    executor: Any = import_module(f"{_MODELS}.TaskOrchestrationExecutor").TaskOrchestrationExecutor
    execute = executor.execute

    def execute_short(self: Any, context: Any, events: list[Any], orchestrator: Any) -> str:  # noqa: ANN401
        effective = [event for event in events[2:] if event.event_type not in _WITHOUT_EFFECT]
        answer: str = execute(self, context, events[:2] + effective, orchestrator)
        return answer

    return _replace(executor, "execute", execute_short)


def _install_fast_questions() -> Undo:
    """Three questions that take several calls in Python, asked a hundred times for an orchestration.

    Is it an instance of a class in `typing` (that is, of the class which that stands for); what is the value
    of an enum's member; is everything in a `task_all` or `task_any` scheduled.
    """
    contexts: Any = import_module(f"{_MODELS}.DurableOrchestrationContext")
    schema: Any = import_module(f"{_MODELS}.ReplaySchema").ReplaySchema
    compound: Any = import_module(f"{_MODELS}.Task").CompoundTask

    def is_scheduled(task: Any) -> bool:  # noqa: ANN401
        for child in task.children:  # noqa: SIM110  (`all` makes a generator)
            if not child._is_scheduled:
                return False
        return True

    undos = [
        _replace(contexts, "Callable", abc.Callable),
        _replace(contexts, "Dict", dict),
        _replace(compound, "_is_scheduled", property(is_scheduled)),
    ]
    schema.value = property(attrgetter("_value_"))

    def undo() -> None:
        del schema.value
        _undo_all(undos)

    return undo


class _Unusual(Exception):
    """An action that the SDK is to write by itself."""


def _install_fast_answer() -> Undo:
    """What an orchestrator answers is written with orjson when it consists of the usual actions.

    The values are the same, the texts differ in blanks and escapes. An output, a custom status and an error
    are left to the SDK: of values of any class it refuses other ones than orjson does.
    """
    module: Any = import_module(f"{_MODELS}.OrchestratorState")
    write = module.OrchestratorState.to_json_string

    def to_json_string(state: Any) -> str:  # noqa: ANN401
        try:
            return orjson.dumps(_usual_answer(state)).decode()
        except (_Unusual, TypeError):
            text: str = write(state)
            return text

    return _replace(module.OrchestratorState, "to_json_string", to_json_string)


def _usual_answer(state: Any) -> dict[str, object]:  # noqa: ANN401
    if state._output is not None or state._custom_status or state._error or not state.schema_version:
        raise _Unusual
    return {
        "isDone": state._is_done,
        "schemaVersion": state.schema_version,
        "actions": [[_usual(action) for action in together] for together in state._actions],
    }


def _usual(action: Any) -> dict[str, object]:  # noqa: ANN401
    write = _WRITERS.get(type(action))
    if write is None:
        raise _Unusual
    return write(action)


def _text(value: object) -> str:
    if type(value) is not str:
        raise _Unusual
    return value


def _all_or_any(action: Any) -> dict[str, object]:  # noqa: ANN401
    return {
        "actionType": int(action.action_type),
        "compoundActions": [_usual(part) for part in action.compound_tasks],
    }


def _activity(action: Any) -> dict[str, object]:  # noqa: ANN401
    return {
        "actionType": int(action.action_type),
        "functionName": _text(action.function_name),
        "input": _text(action.input_),
    }


def _event_wait(action: Any) -> dict[str, object]:  # noqa: ANN401
    return {
        "actionType": int(action.action_type),
        "externalEventName": _text(action.external_event_name),
        "reason": _text(action.reason),
    }


def _timer(action: Any) -> dict[str, object]:  # noqa: ANN401
    at = action.fire_at
    if type(at) is not datetime or at.year < 1000:  # years of three digits are not padded by strftime
        raise _Unusual
    return {
        "actionType": int(action.action_type),
        "fireAt": at.isoformat(timespec="microseconds")[:26] + "Z",
        "isCanceled": bool(action.is_cancelled),
    }


def _class(name: str) -> type:
    found: type = getattr(import_module(f"{_MODELS}.actions.{name}"), name)
    return found


_WRITERS: Final[dict[type, Callable[[Any], dict[str, object]]]] = {
    _class("WhenAllAction"): _all_or_any,
    _class("WhenAnyAction"): _all_or_any,
    _class("CallActivityAction"): _activity,
    _class("WaitForExternalEventAction"): _event_wait,
    _class("CreateTimerAction"): _timer,
}


def _replace(owner: Any, name: str, value: object) -> Undo:  # noqa: ANN401
    original = owner.__dict__[name]
    setattr(owner, name, value)
    return lambda: setattr(owner, name, original)


def _undo_all(undos: list[Undo]) -> None:
    while undos:
        undos.pop()()
