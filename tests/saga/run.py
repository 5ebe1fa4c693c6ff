"""Runs a saga without a host: the real SDK replays a history, and the rules of the real host decide what of
its actions happens (`emulator.durable.replay`).

After each episode SDK and host must agree: an orchestrator that has gone past an action that its host still
awaits stands still for ever in Azure.
"""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from core.bus import OutgoingMessage
from core.contracts import contract_name, encode
from emulator.durable import history
from emulator.durable.history import Event
from emulator.durable.replay import ACTIVITY, TIMER, Decision, Replayed, replay
from emulator.durable.sdk_state import SdkState, parse_state
from tests.fakes import FakeBus, FakeClock


@dataclass(frozen=True)
class Saga:
    """`orchestrate` is the SDK's: the JSON of a context in, that of a state out. `event_name` is the event by
    which the saga hears the reply to a command of this type.
    """

    name: str
    instance_id: str
    orchestrate: Callable[[str], str]
    event_name: Callable[[type], str]


@dataclass
class Run:
    """One execution of the orchestration, from ExecutionStarted to its end or to its continuing as new."""

    saga: Saga
    clock: FakeClock
    given: dict[str, Any]
    carried: Sequence[str] = ()
    started: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    activities: list[Decision] = field(default_factory=list)
    timers: list[Decision] = field(default_factory=list)
    state: SdkState | None = None
    host: Replayed | None = None

    def __post_init__(self) -> None:
        started = history.execution_started(
            self._at,
            self.saga.name,
            "1.0",
            json.dumps(json.dumps(self.given)),
            self.saga.instance_id,
            "execution-1",
        )
        self.episode(started, *self.carried)

    @property
    def done(self) -> bool:
        return self.host.ended and self.state.is_done

    @property
    def output(self) -> Any:
        assert self.done
        return None if self.state.output is None else json.loads(self.state.output)

    @property
    def continued(self) -> dict[str, Any] | None:
        """The input of the next execution, once there is one."""
        return None if self.host.continued is None else json.loads(self.host.continued["input"])

    @property
    def pending(self) -> list[str]:
        return [decision.name for decision in self.activities]

    @property
    def open_timers(self) -> list[Decision]:
        """Those that were neither cancelled nor have fired."""
        cancelled = set(_cancelled(self.state.actions))
        return [timer for timer in self.timers if timer.fire_at not in cancelled]

    def next_run(self) -> "Run":
        raised = [text for text in self.texts if json.loads(text)["EventType"] == history.EVENT_RAISED]
        return Run(self.saga, self.clock, self.continued, raised[len(raised) - self.host.carried :])

    def input_of(self, name: str) -> dict[str, Any]:
        (decision,) = (each for each in self.activities if each.name == name)
        return json.loads(decision.action["input"])

    def complete(self, name: str, result: object = None) -> None:
        self.episode(self.completed(name, result))

    def fail(self, name: str) -> None:
        self.episode(self.failed(name))

    def completed(self, name: str, result: object = None) -> str:
        return history.task_completed(self._at, self._take(name).task_id, json.dumps(result))

    def failed(self, name: str) -> str:
        return history.task_failed(self._at, self._take(name).task_id, "it failed", "for a test")

    def raised(self, name: str, value: object) -> str:
        # As the client sends it: the JSON text of the value, as a JSON string.
        return history.event_raised(self._at, name, json.dumps(json.dumps(value)))

    def reply(self, command: type, reply: object) -> str:
        return self.raised(
            self.saga.event_name(command), {"type": contract_name(type(reply)), "data": encode(reply)}
        )

    def fire(self) -> None:
        """Let time pass until the next timer."""
        self.episode(self.fired())

    def fired(self) -> str:
        (timer,) = self.open_timers
        self.timers.remove(timer)
        seconds = history.seconds(timer.fire_at)
        self.clock.advance(max(0.0, seconds - self.clock.now().timestamp()))
        return history.timer_fired(self._at, timer.task_id, timer.fire_at)

    def episode(self, *texts: str) -> None:
        """What the host does when these events have come."""
        self.clock.advance(0.001)  # so that no two timers are due at the same moment
        self.texts += [history.orchestrator_started(self._at), *texts]
        self.events = [history.read(json.loads(text)) for text in self.texts]
        self.state = parse_state(self.saga.orchestrate(self.context()))
        self.host = replay(self.state.actions, self.events)
        if self.host.continued is None:
            self._agree()
        for decision in self.host.new:
            if decision.kind == ACTIVITY:
                self.activities.append(decision)
                self.texts.append(history.task_scheduled(self._at, decision.task_id, decision.name))
            elif decision.kind == TIMER:
                self.timers.append(decision)
                self.texts.append(history.timer_created(self._at, decision.task_id, decision.fire_at))
        if not self.done:
            self.texts.append(history.orchestrator_completed(self._at))
        assert len(self.open_timers) <= 1, "a timer that lost was not cancelled"

    def context(self) -> str:
        return json.dumps(
            {
                "history": [json.loads(text) for text in self.texts],
                "input": json.dumps(self.given),
                "instanceId": self.saga.instance_id,
                "parentInstanceId": None,
                "isReplaying": False,
                "upperSchemaVersion": 1,
                "upperSchemaVersionNew": 2,
            }
        )

    def _agree(self) -> None:
        assert self.host.waits_for is None, f"the host still awaits {self.host.waits_for}"
        if self.state.is_done:
            assert self.host.ended, f"open when the saga ended: {self.host.open_tasks}"

    def _take(self, name: str) -> Decision:
        (decision,) = (each for each in self.activities if each.name == name)
        self.activities.remove(decision)
        return decision

    @property
    def _at(self) -> str:
        return history.timestamp(self.clock.now().timestamp())


def _cancelled(actions: Sequence[dict[str, Any]]) -> list[str]:
    found = []
    for action in actions:
        found += _cancelled(action.get("compoundActions", ()))
        if action.get("isCanceled"):
            found.append(action["fireAt"])
    return found


async def carry_out(run: Run, functions: dict[str, Any], *, in_vain: bool = False) -> None:
    """The one activity that is scheduled; what it raises comes before its end.

    in_vain: it does all that it does, but the saga is told that it failed.
    """
    (name,) = run.pending
    function = functions[name]
    given = run.input_of(name)
    raised: list[str] = []
    if hasattr(function, "client_function"):
        result = await function.client_function(given, Client(run, raised))
    else:
        result = await function(given)
    end = run.failed(name) if in_vain else run.completed(name, result)
    run.episode(*raised, end)


class LoggingBus(FakeBus):
    """Also keeps what was sent in one sequence."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.log: list[tuple[str, OutgoingMessage]] = []

    async def send(self, entity: str, messages: Sequence[OutgoingMessage]) -> None:
        await super().send(entity, messages)
        self.log += [(entity, message) for message in messages]


class Client:
    """The durable client of an activity: what it raises is kept for the episode that follows."""

    def __init__(self, run: Run, raised: list[str]) -> None:
        self._run = run
        self._raised = raised

    async def raise_event(self, instance_id: str, name: str, value: object) -> None:
        assert instance_id == self._run.saga.instance_id
        await asyncio.sleep(0)
        self._raised.append(self._run.raised(name, value))

    async def start_new(self, name: str, instance_id: str, given: object) -> str:
        await asyncio.sleep(0)
        self._run.started.append(instance_id)
        return instance_id
