"""The one place where the saga waits.

A command and the wait for its reply are one yield, `task_all([activity, task_any([reply, cancel, timer])])`.
What azure-functions-durable 1.7 and the host's replay of its actions do makes this necessary:

- An event that comes before its wait is handed by the SDK to every later wait of that name, by the host to
  one. A wait registered together with the send is never too late.
- An event goes to the newest wait of its name, and a wait that was given up still takes one. So
  `Conversation` keeps the tasks of all attempts and looks at all: a reply counts whichever wait it went to.
- The SDK fails a `task_all` with its first failure, the host's waits for all children. After a failed
  activity the timer is cancelled, which ends the race, and with it the `task_all`, in the host as well.
- A task that was yielded before is not an action again. So none is yielded twice.
- What may come again and again before the reply has an event of its own name, for which nobody waits once it
  has come: the SDK would hand a doubled one to every later wait.
"""

from collections.abc import Generator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orjson
from azure.durable_functions import DurableOrchestrationContext

from core.envelope import pending_id
from core.json import JsonObject
from services.orders.policy import LONGEST_PAUSE_S

type Waiting[R] = Generator[Any, Any, R]
"""A part of an orchestrator: what it yields are the SDK's tasks."""


@dataclass(frozen=True, slots=True)
class Reply:
    """`id` is that of the message that it came in, for the record."""

    id: str
    type: str
    data: JsonObject


@dataclass(frozen=True, slots=True)
class Woken:
    """The event that the conversation may be woken by came first: `cancel`, or `operator`."""


@dataclass(frozen=True, slots=True)
class TimedOut:
    """No reply to any attempt: whether the command was carried out is unknown."""


type Outcome = Reply | Woken | TimedOut


class Conversation:
    """One command of one orchestration, sent until it is answered.

    pending: whether the other side may say first that the answer will take long.
    """

    def __init__(
        self,
        context: DurableOrchestrationContext,
        command_id: str,
        woken_by: str | None = None,
        *,
        pending: bool = False,
    ) -> None:
        self._context = context
        self._command_id = command_id
        self._woken_by = woken_by
        self._may_be_pending = pending
        self._replies: list[Any] = []
        self._wakes: list[Any] = []
        self._pendings: list[Any] = []

    def attempt(self, activity: str, work: JsonObject, seconds: float) -> Waiting[Outcome]:
        """Send once and wait. A failed activity may have sent the command, so the wait goes on without it.

        The first news that the answer is `pending` ends the wait, as a timeout does.
        """
        race, timer = self._race(seconds)
        try:
            yield self._context.task_all([self._context.call_activity(activity, work), race])
        except Exception:  # the SDK raises nothing narrower; the host logs what it was
            if not timer.is_completed:
                timer.cancel()
            if self._outcome() is None:
                race, timer = self._race(seconds)
                yield race
        if not timer.is_completed:
            timer.cancel()
        return self.outcome()

    def outcome(self) -> Outcome:
        """What has come until now, to whichever attempt. A reply counts more than a wake-up."""
        return self._outcome() or TimedOut()

    @property
    def pending(self) -> Reply | None:
        """What was said first of an answer that takes long."""
        for told in self._pendings:
            if told.is_completed:
                return self._read(pending_id(self._command_id), told.result)
        return None

    def _outcome(self) -> Reply | Woken | None:
        for reply in self._replies:
            if reply.is_completed:
                return self._read(f"{self._command_id}:reply", reply.result)
        return Woken() if any(wake.is_completed for wake in self._wakes) else None

    def _race(self, seconds: float) -> tuple[Any, Any]:
        context = self._context
        tasks = [context.wait_for_external_event(self._command_id)]
        self._replies.append(tasks[0])
        if self._woken_by is not None:
            tasks.append(context.wait_for_external_event(self._woken_by))
            self._wakes.append(tasks[-1])
        if self._may_be_pending and self.pending is None:
            tasks.append(context.wait_for_external_event(pending_id(self._command_id)))
            self._pendings.append(tasks[-1])
        timer = context.create_timer(context.current_utc_datetime + timedelta(seconds=seconds))
        return context.task_any([*tasks, timer]), timer

    def _read(self, id: str, value: Any) -> Reply:  # noqa: ANN401  (any JSON)
        # raise_event encodes its data twice; which host undoes both is not for us to know.
        raw = orjson.loads(value) if isinstance(value, str) else value
        return Reply(id, raw["type"], raw["data"])


def persist(
    context: DurableOrchestrationContext, activity: str, work: JsonObject, seconds: float
) -> Waiting[Any]:
    """Call an activity until it succeeds, with pauses from `seconds` up to an hour: nothing replaces it."""
    while True:
        try:
            return (yield context.call_activity(activity, work))
        except Exception:  # as above
            yield context.create_timer(context.current_utc_datetime + timedelta(seconds=seconds))
            seconds = min(seconds * 2, LONGEST_PAUSE_S)
