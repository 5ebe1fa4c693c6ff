"""The host's own replay of what the SDK asked for: which of it is new, and whether the host agrees.

The SDK answers each episode with all actions since the start. The real extension does not trust the SDK's
view: it runs the actions itself, one top-level action after another, each awaited before the next is
scheduled, against the whole history, and only what its own replay schedules happens. Where the two disagree,
an orchestration hangs or fails in Azure; so it does here. The rules are those of
Azure/azure-functions-durable-extension (`OutOfProcOrchestrationShim.cs`, `DurableOrchestrationContext.cs`)
and Azure/durabletask (`TaskOrchestrationContext.cs`, `TaskOrchestrationExecutor.cs`, `RetryInterceptor.cs`):

- task ids count activities, timers and sub-orchestrations in the order in which the host schedules them;
- a `WhenAll` ends when all have ended, a failed one included; the SDK's `task_all` ends at the first failure;
- a timer that the orchestrator cancelled *at any time* counts as cancelled from its creation, and a `WhenAny`
  with it as ended at once: the host may be ahead of the SDK;
- an external event goes to the newest waiter of its name (names ignore case), else into a queue;
- once the host has reached a continue-as-new, events go to the next execution, those included that the SDK
  consumed;
- an execution ends only when no activity, sub-orchestration or uncancelled timer is open.

Every episode replays from the start, as in Azure: a timer cancelled later changes what earlier events meant.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from emulator.durable import history
from emulator.durable.history import Event

type Action = dict[str, Any]

ACTIVITY: Final = "activity"
TIMER: Final = "timer"
SUB_ORCHESTRATION: Final = "sub-orchestration"

_CALL_ACTIVITY = 0
_CALL_ACTIVITY_WITH_RETRY = 1
_CALL_SUB_ORCHESTRATOR = 2
_CALL_SUB_ORCHESTRATOR_WITH_RETRY = 3
_CONTINUE_AS_NEW = 4
_CREATE_TIMER = 5
_WAIT_FOR_EXTERNAL_EVENT = 6
_WHEN_ANY = 11
_CHANGED = "Was a change made to the orchestrator code after this instance had already started running?"
_REFUSED = {
    7: "call_entity (durable entities)",
    8: "call_http",
    9: "signal_entity (durable entities)",
    10: "a scheduled signal_entity (durable entities)",
}


class NonDeterministic(Exception):
    """The history holds what the actions no longer ask for."""


class Refused(Exception):
    """An action that Azure or this emulator does not carry out."""


class Decision(NamedTuple):
    """Something to be scheduled. `name` and `action` are empty for a timer, `fire_at` for the others."""

    kind: str
    task_id: int
    name: str
    action: Action
    fire_at: str


@dataclass(slots=True)
class Replayed:
    new: list[Decision]
    """In the order of their ids."""
    next_id: int
    ended: bool
    """Every action has ended, and nothing is open: if the SDK says done, the execution is over."""
    awaited: Action | None
    """The top-level action that the host awaits."""
    waits_for: Action | None
    """The same, when the SDK has already gone past it."""
    open_tasks: list[Decision]
    """What keeps an orchestration from ending whose actions have all ended."""
    continued: Action | None
    carried: int
    """So many of the external events, the last ones, are for the next execution."""
    patient: Patience


@dataclass(slots=True)
class Patience:
    """Activities whose success changes nothing yet, as long as nothing else has come: children of the awaited
    `WhenAll`, of which more than `spare` are open. The SDK, which awaits the same, would answer what it has
    answered before."""

    activities: frozenset[int] = frozenset()
    spare: int = 0

    def waits_on(self, task_id: int) -> bool:
        """Asked once for each success."""
        if self.spare < 1 or task_id not in self.activities:
            return False
        self.spare -= 1
        return True


class _Task:
    """A .NET task: of one action, or of several. Plain, because hundreds are made in an episode."""

    __slots__ = ("any", "done", "parent", "remaining", "retry")

    def __init__(self) -> None:
        self.done = False
        self.any = False
        self.remaining = 0
        self.parent: _Task | None = None
        self.retry: _Retry | None = None


@dataclass(slots=True)
class _Retry:
    action: Action
    kind: str
    interval: timedelta
    attempts_left: int
    waiting: bool = False


def replay(actions: Sequence[Action], events: Sequence[Event]) -> Replayed:
    """Run `actions` against `events`. Raises NonDeterministic, Refused."""
    host = _Host(actions)
    carried = 0
    for event in events:
        kind = event.kind
        if kind == history.ORCHESTRATOR_STARTED:
            host.now = event.name
        elif kind == history.EVENT_RAISED:
            if host.continued is None:
                host.raise_event(event.name)
            else:
                carried += 1
        elif kind in _ENDS:
            host.end(event)
        elif kind in _CREATES:
            host.confirm(event, _CREATES[kind])
        elif kind == history.EXECUTION_STARTED:
            host.advance()
    at_end = host.position == len(actions) and host.current is None
    awaited = None if host.current is None else actions[host.position - 1]
    return Replayed(
        new=list(host.unconfirmed.values()),
        next_id=host.next_id,
        ended=at_end and not host.open,
        awaited=awaited,
        waits_for=awaited if host.position < len(actions) else None,
        open_tasks=[host.decisions[task_id] for task_id in host.open] if at_end else [],
        continued=host.continued,
        carried=carried,
        patient=host.patience(),
    )


_CREATES: Final = {
    history.TASK_SCHEDULED: ACTIVITY,
    history.TIMER_CREATED: TIMER,
    history.SUB_ORCHESTRATION_CREATED: SUB_ORCHESTRATION,
}
_FAILS: Final = frozenset({history.TASK_FAILED, history.SUB_ORCHESTRATION_FAILED})
_ENDS: Final = _FAILS | {
    history.TASK_COMPLETED,
    history.TIMER_FIRED,
    history.SUB_ORCHESTRATION_COMPLETED,
}


@dataclass(slots=True)
class _Host:
    actions: Sequence[Action]
    position: int = 0
    """Of the next action to invoke."""
    current: _Task | None = None
    next_id: int = 0
    now: str = ""
    continued: Action | None = None
    decisions: dict[int, Decision] = field(default_factory=dict)
    unconfirmed: dict[int, Decision] = field(default_factory=dict)
    """Scheduled by this replay and not (yet) found in the history."""
    open: dict[int, _Task] = field(default_factory=dict)
    waiters: dict[str, list[_Task]] = field(default_factory=dict)
    buffered: Counter[str] = field(default_factory=Counter)

    def advance(self) -> None:
        """Invoke actions up to the first that has to be awaited."""
        self.current = None
        while self.position < len(self.actions):
            task = self._invoke(self.actions[self.position])
            self.position += 1
            if not task.done:
                self.current = task
                return

    def patience(self) -> Patience:
        awaited = self.current
        if awaited is None or awaited.any or self.position < len(self.actions):
            return Patience()
        children = frozenset(
            task_id
            for task_id, task in self.open.items()
            if task.parent is awaited and task.retry is None and self.decisions[task_id].kind == ACTIVITY
        )
        return Patience(children, awaited.remaining - 1)

    def raise_event(self, name: str) -> None:
        name = name.lower()
        waiting = self.waiters.get(name)
        if waiting:
            self._complete(waiting.pop())
        else:
            self.buffered[name] += 1

    def end(self, event: Event) -> None:
        task = self.open.pop(event.task_id, None)
        if task is None:
            return  # a cancelled timer fires all the same
        if task.retry is None:
            self._complete(task)
        elif task.retry.waiting:
            task.retry.waiting = False
            if task.retry.attempts_left:
                self._attempt(task, task.retry)
            else:
                self._complete(task)
        elif event.kind in _FAILS:
            self._back_off(task, task.retry)
        else:
            self._complete(task)

    def confirm(self, event: Event, kind: str) -> None:
        """The history says that an earlier episode scheduled this: the actions must have asked for it too."""
        found = self.unconfirmed.pop(event.task_id, None)
        before = (
            f"A previous execution of this orchestration scheduled {_described(kind, event.name)} "
            f"with the sequence number {event.task_id}, but the current replay"
        )
        if found is None:
            raise NonDeterministic(f"{before} has not (yet?) scheduled this task. {_CHANGED}")
        if found.kind != kind or found.name.lower() != event.name.lower():
            now = _described(found.kind, found.name)
            raise NonDeterministic(f"{before} scheduled {now} at this number. {_CHANGED}")

    def _complete(self, task: _Task) -> None:
        task.done = True
        parent = task.parent
        while parent is not None and not parent.done:
            parent.remaining -= 1
            if parent.remaining and not parent.any:
                break
            parent.done = True
            parent = parent.parent
        if self.current is not None and self.current.done:
            self.advance()

    def _invoke(self, action: Action) -> _Task:
        kind = action["actionType"]
        if "compoundActions" in action:
            return self._invoke_all(action["compoundActions"], kind == _WHEN_ANY)
        task = _Task()
        if kind == _CALL_ACTIVITY:
            self._schedule(task, ACTIVITY, action)
        elif kind == _WAIT_FOR_EXTERNAL_EVENT:
            self._wait(task, action["externalEventName"].lower())
        elif kind == _CREATE_TIMER:
            self._create_timer(task, action["fireAt"])
            if action.get("isCanceled"):
                del self.open[self.next_id - 1]
                task.done = True
        elif kind == _CALL_SUB_ORCHESTRATOR:
            self._schedule(task, SUB_ORCHESTRATION, action)
        elif kind == _CONTINUE_AS_NEW:
            self.continued = action
            task.done = True
        elif kind in (_CALL_ACTIVITY_WITH_RETRY, _CALL_SUB_ORCHESTRATOR_WITH_RETRY):
            self._invoke_with_retry(
                task, action, ACTIVITY if kind == _CALL_ACTIVITY_WITH_RETRY else SUB_ORCHESTRATION
            )
        else:
            name = _REFUSED.get(kind, f"the action type {kind}")
            raise Refused(f"{name} is not served by the embedded emulator")
        return task

    def _invoke_with_retry(self, task: _Task, action: Action, kind: str) -> None:
        options = action["retryOptions"]
        interval = timedelta(milliseconds=options["firstRetryIntervalInMilliseconds"])
        task.retry = _Retry(action, kind, interval, options.get("maxNumberOfAttempts", 0))
        if task.retry.attempts_left > 0:
            self._attempt(task, task.retry)
        else:
            task.done = True

    def _invoke_all(self, actions: Sequence[Action], is_any: bool) -> _Task:
        tasks = [self._invoke(action) for action in actions]
        whole = _Task()
        whole.any = is_any
        for task in tasks:
            task.parent = whole
            if not task.done:
                whole.remaining += 1
        whole.done = whole.remaining < len(tasks) if is_any else whole.remaining == 0
        return whole

    def _schedule(self, task: _Task, kind: str, action: Action) -> None:
        self._register(task, Decision(kind, self.next_id, action["functionName"], action, ""))

    def _create_timer(self, task: _Task, fire_at: str) -> None:
        self._register(task, Decision(TIMER, self.next_id, "", {}, fire_at))

    def _register(self, task: _Task, decision: Decision) -> None:
        self.open[self.next_id] = task
        self.decisions[self.next_id] = self.unconfirmed[self.next_id] = decision
        self.next_id += 1

    def _wait(self, task: _Task, name: str) -> None:
        if self.buffered[name]:
            # As in the extension: the newest waiter takes it, which is this one.
            self.buffered[name] -= 1
            task.done = True
        else:
            self.waiters.setdefault(name, []).append(task)

    def _attempt(self, task: _Task, retry: _Retry) -> None:
        retry.attempts_left -= 1
        self._schedule(task, retry.kind, retry.action)

    def _back_off(self, task: _Task, retry: _Retry) -> None:
        """After the last attempt too there is a timer, due at once, for compatibility with old histories."""
        retry.waiting = True
        wait = retry.interval if retry.attempts_left else timedelta()
        fire_at = datetime.fromisoformat(self.now) + wait
        self._create_timer(task, fire_at.isoformat(timespec="microseconds")[:26] + "Z")


def _described(kind: str, name: str) -> str:
    return "a timer" if kind == TIMER else f"the {kind} '{name}'"
