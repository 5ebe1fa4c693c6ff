"""One episode of an orchestration: what the waiting events and the SDK's answer lead to. No I/O here."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from emulator.durable import history
from emulator.durable.history import Event
from emulator.durable.instance import (
    COMPLETED,
    FAILED,
    RUNNING,
    SUSPENDED,
    TERMINATED,
    Instance,
    parse_events,
)
from emulator.durable.invoker import FunctionFailed, Invoker
from emulator.durable.replay import (
    ACTIVITY,
    TIMER,
    Decision,
    NonDeterministic,
    Patience,
    Refused,
    Replayed,
    replay,
)
from emulator.durable.sdk_state import InvalidState, SdkState, parse_failure, parse_state
from emulator.durable.tasks import EndedActivity

log = logging.getLogger("emulator.durable")

_MAX_CUSTOM_STATUS_KIB = 16


class Message(NamedTuple):
    """An event that waits for its instance."""

    sequence: int
    """0 for the end of an activity that is not in the store yet."""
    text: str
    fields: dict[str, Any]


@dataclass(slots=True)
class Inbox:
    """The messages of an instance, sorted by what is to be done with them now."""

    run: list[Message] = field(default_factory=list)
    left: list[Message] = field(default_factory=list)
    """Stay where they are until the instance is resumed."""
    suspended: bool = False
    terminated: str | None = None
    """The reason given."""
    last: int = 0
    """The highest sequence seen."""
    ended: list[EndedActivity] = field(default_factory=list)


@dataclass(slots=True)
class Outcome:
    status: str
    custom_status: str | None = None
    output: str | None = None
    """JSON text, or the plain text of a failure or termination."""
    new: str = ""
    """This episode's history, joined by commas, not played."""
    events: list[Event] = field(default_factory=list)
    activities: list[Decision] = field(default_factory=list)
    timers: list[Decision] = field(default_factory=list)
    sub_orchestrations: list[Decision] = field(default_factory=list)
    continued_input: str | None = None
    """Raw input of the next execution, when there is one."""
    carried: list[str] = field(default_factory=list)
    """Events for the next execution."""
    patience: Patience = field(default_factory=Patience)


def sort_messages(
    instance: Instance, rows: Sequence[tuple[int, str | None, str]], ended: list[EndedActivity]
) -> Inbox:
    """`rows` are sequence, execution id and event text. What is for an earlier execution is dropped."""
    inbox = Inbox(suspended=instance.status == SUSPENDED, ended=ended)
    started = bool(instance.past)
    first = 0
    for sequence, execution_id, text in rows:
        inbox.last = sequence
        if execution_id is not None and execution_id != instance.execution_id:
            continue
        message = Message(sequence, text, history.loads(text))
        kind = message.fields["EventType"]
        if kind == history.EXECUTION_TERMINATED:
            inbox.terminated = message.fields["Input"]
        elif kind == history.EXECUTION_SUSPENDED:
            inbox.suspended = True
        elif kind == history.EXECUTION_RESUMED:
            inbox.suspended = False
            inbox.run += inbox.left
            inbox.left = []
        elif inbox.suspended:
            inbox.left.append(message)
        elif kind == history.EXECUTION_STARTED:
            if not started:
                inbox.run.insert(0, message)
                started = True
                first = 1
        elif execution_id is not None and kind == history.EVENT_RAISED:
            # Carried over from the execution before: older than whatever else waits.
            inbox.run.insert(first, message)
            first += 1
        else:
            inbox.run.append(message)
    for activity in ended:
        if activity.task.execution_id == instance.execution_id:
            message = Message(0, activity.event, history.loads(activity.event))
            (inbox.left if inbox.suspended else inbox.run).append(message)
    return inbox


def terminated(instance: Instance, reason: str, at: str) -> Outcome:
    ends = (
        history.execution_terminated(at, reason),
        history.execution_completed(at, -1, TERMINATED, reason),
    )
    return Outcome(TERMINATED, instance.custom_status, output=reason, new=",".join(ends))


async def run(instance: Instance, messages: Sequence[Message], at: str, invoker: Invoker) -> Outcome:
    """Let the SDK run, then the host. `at` is the episode's time.

    Raises what `invoker` raises as its own faults.
    """
    new = ",".join([history.orchestrator_started(at), *[message.text for message in messages]])
    events = [Event(history.ORCHESTRATOR_STARTED, -1, at)]
    events += [history.read(message.fields) for message in messages]
    failure = ""
    state: SdkState | None = None
    try:
        answer = await invoker.run_orchestrator(instance.name, instance.context(new), instance.traceparent)
        state = parse_state(answer)
    except FunctionFailed as error:
        state = parse_failure(error)
        failure = error.message
    except InvalidState as error:
        failure = str(error)
    outcome = Outcome(RUNNING, new=new, events=events)
    if state is None:
        _fail(outcome, instance, at, -1, f"Orchestrator function '{instance.name}' failed: {failure}")
        return outcome
    outcome.custom_status = state.custom_status
    if state.custom_status is None and not instance.past:
        outcome.custom_status = instance.custom_status  # as the execution before has left it
    try:
        replayed = replay(state.actions, [*instance.events, *events])
        _check(replayed, instance, invoker, outcome.custom_status)
    except NonDeterministic as error:
        _fail(outcome, instance, at, -1, f"Non-Deterministic workflow detected: {error}")
    except Refused as error:
        _fail(outcome, instance, at, -1, f"Orchestrator function '{instance.name}' failed: {error}")
    else:
        _decide(outcome, instance, state, replayed, at)
    return outcome


def _check(replayed: Replayed, instance: Instance, invoker: Invoker, custom_status: str | None) -> None:
    for decision in replayed.new:
        if decision.kind == TIMER:
            continue
        known = invoker.activities() if decision.kind == ACTIVITY else invoker.orchestrators()
        if decision.name not in known:
            # In Azure the out-of-process shim swallows this error and the orchestration hangs.
            article = "an activity" if decision.kind == ACTIVITY else "an orchestrator"
            raise Refused(
                f"The function '{decision.name}' doesn't exist, is disabled, or is not {article} function. "
                f"Known are: {', '.join(sorted(known)) or 'none'}"
            )
        child = decision.action.get("instanceId")
        if child and child in (instance.instance_id, instance.parent and instance.parent.instance_id):
            raise Refused(
                "The instance ID of a sub-orchestration must be different than the instance ID of a parent "
                "orchestration."
            )
    if custom_status is not None:
        size = len(custom_status.encode("utf-16-le")) // 1024
        if size > _MAX_CUSTOM_STATUS_KIB:
            raise Refused(
                "The UTF-16 size of the JSON-serialized payload must not exceed "
                f"{_MAX_CUSTOM_STATUS_KIB} KB. The current payload size is {size} KB."
            )


def _decide(outcome: Outcome, instance: Instance, state: SdkState, replayed: Replayed, at: str) -> None:
    texts = [outcome.new]
    for decision in replayed.new:
        if decision.kind == ACTIVITY:
            outcome.activities.append(decision)
            texts.append(history.task_scheduled(at, decision.task_id, decision.name))
            outcome.events.append(Event(history.TASK_SCHEDULED, decision.task_id, decision.name))
        elif decision.kind == TIMER:
            outcome.timers.append(decision)
            texts.append(history.timer_created(at, decision.task_id, decision.fire_at))
            outcome.events.append(Event(history.TIMER_CREATED, decision.task_id, ""))
        else:
            child = child_id(instance, decision)
            outcome.sub_orchestrations.append(decision)
            texts.append(history.sub_orchestration_created(at, decision.task_id, decision.name, child))
            outcome.events.append(Event(history.SUB_ORCHESTRATION_CREATED, decision.task_id, decision.name))
    if not replayed.ended:
        _warn_of_disagreement(instance, state, replayed)
        texts.append(history.orchestrator_completed(at))
        outcome.new = ",".join(texts)
        outcome.patience = replayed.patient
    elif state.error is not None:
        outcome.new = ",".join(texts)
        message = f"Orchestrator function '{instance.name}' failed: {state.error}"
        _fail(outcome, instance, at, replayed.next_id, message)
    elif not state.is_done:
        texts.append(history.orchestrator_completed(at))
        outcome.new = ",".join(texts)
    elif replayed.continued is not None:
        outcome.continued_input = history.quote(replayed.continued.get("input") or "null")
        outcome.carried = _last_raised(instance, outcome, replayed.carried)
    else:
        outcome.status = COMPLETED
        outcome.output = state.output
        texts.append(history.execution_completed(at, replayed.next_id, COMPLETED, state.output))
        texts.append(history.orchestrator_completed(at))
        outcome.new = ",".join(texts)


def child_id(instance: Instance, decision: Decision) -> str:
    given: str | None = decision.action.get("instanceId")
    return given or f"{instance.execution_id}:{decision.task_id}"


def _fail(outcome: Outcome, instance: Instance, at: str, event_id: int, message: str) -> None:
    log.warning("orchestration %s (%s) failed: %s", instance.instance_id, instance.name, message)
    outcome.status = FAILED
    outcome.output = message
    outcome.new = ",".join(
        (
            outcome.new,
            history.execution_completed(at, event_id, FAILED, message),
            history.orchestrator_completed(at),
        )
    )


def _last_raised(instance: Instance, outcome: Outcome, number: int) -> list[str]:
    if not number:
        return []
    joined = f"{instance.past},{outcome.new}" if instance.past else outcome.new
    raised = [event for event in parse_events(joined) if event["EventType"] == history.EVENT_RAISED]
    return [
        history.event_raised(event["Timestamp"], event["Name"], event["Input"]) for event in raised[-number:]
    ]


def _warn_of_disagreement(instance: Instance, state: SdkState, replayed: Replayed) -> None:
    """In Azure the instance would stand still without a word; say why, once for each cause."""
    returned = state.is_done or state.error is not None
    awaited = replayed.awaited if returned else replayed.waits_for
    if awaited is not None:
        cause = (
            f"the orchestrator has gone on, but the host still awaits {_name_of(awaited)}. "
            "It goes on when that ends, if it ever does"
        )
    elif returned:
        names = ", ".join(f"the {task.kind} {task.name or task.fire_at}" for task in replayed.open_tasks)
        cause = (
            f"the orchestrator has returned, but the instance ends only when {names} ends "
            "(cancel timers that lost)"
        )
    else:
        return
    if instance.warned != cause:
        instance.warned = cause
        log.warning("orchestration %s (%s): %s", instance.instance_id, instance.name, cause)


def _name_of(action: dict[str, Any]) -> str:
    if "compoundActions" in action:
        parts = ", ".join(_name_of(part) for part in action["compoundActions"])
        return f"{'any' if action['actionType'] == 11 else 'all'} of [{parts}]"
    if "externalEventName" in action:
        return f"the event '{action['externalEventName']}'"
    if "functionName" in action:
        return f"the function '{action['functionName']}'"
    return f"a timer at {action.get('fireAt')}"
