"""Drives the order saga without a host: the real SDK replays a history, and the rules of the real host decide
what of its actions happens (`emulator.durable.replay`).

After each episode SDK and host must agree: an orchestrator that has gone past an action that its host still
awaits stands still for ever in Azure.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import azure.durable_functions as df

from activities import orders as order_activities
from core.bus import OutgoingMessage
from core.contracts import contract_name, encode
from core.envelope import Envelope, from_json
from emulator.durable import history
from emulator.durable.history import Event
from emulator.durable.replay import ACTIVITY, TIMER, Decision, Replayed, replay
from emulator.durable.sdk_state import SdkState, parse_state
from orchestrators.order_saga import order_saga
from orchestrators.steps import BY_NAME, ORDER_SAGA
from services.inventory.messages import Rejected, Released, Reserved
from services.orders.commands import Place
from services.orders.decider import ORDERS
from services.orders.events import OrderLine, ShippingAddress
from services.orders.handlers import Orders, place, request_cancel
from services.orders.policy import CANCEL_EVENT, SAGA, Policy, start_input
from services.orders.saga import Ports
from services.payments.messages import Charged, Declined, Refunded
from services.shipping.messages import ShipmentCancelled, ShipmentCreated, ShipmentRefused
from tests.fakes import FakeBus, FakeClock, FakeDocuments

POLICY = Policy(step_timeout_s=30.0, step_attempts=3, undo_attempts=2, attention_interval_s=60.0)
ORDER_ID = "ord-1"
HOLD_S = 90_000.0

_orchestrator = df.Orchestrator.create(order_saga)


@dataclass
class Run:
    """One execution of the orchestration, from ExecutionStarted to its end or to its continuing as new."""

    clock: FakeClock
    given: dict[str, Any]
    carried: Sequence[str] = ()
    texts: list[str] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    activities: list[Decision] = field(default_factory=list)
    timers: list[Decision] = field(default_factory=list)
    state: SdkState | None = None
    host: Replayed | None = None

    def __post_init__(self) -> None:
        started = history.execution_started(
            self._at, SAGA, "1.0", json.dumps(json.dumps(self.given)), ORDER_ID, "execution-1"
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
        return Run(self.clock, self.continued, raised[len(raised) - self.host.carried :])

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
        return self.raised(event_name(command), {"type": contract_name(type(reply)), "data": encode(reply)})

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
        self.state = parse_state(_orchestrator(self.context()))
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
                "instanceId": ORDER_ID,
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


def event_name(command: type) -> str:
    return f"{ORDER_ID}:{contract_name(command)}"


DONE: dict[str, object] = {
    "inventory": Reserved(ORDER_ID),
    "payment": Charged(ORDER_ID, "pay-1", 340, "GBP"),
    "shipping": ShipmentCreated(ORDER_ID, "shp-1", "TRACK1"),
}
REFUSED: dict[str, object] = {
    "inventory": Rejected(ORDER_ID, "out_of_stock", "a"),
    "payment": Declined(ORDER_ID, "declined"),
    "shipping": ShipmentRefused(ORDER_ID, "refused"),
}
UNDONE: dict[str, object] = {
    "inventory": Released(ORDER_ID),
    "payment": Refunded(ORDER_ID, 340, "GBP"),
    "shipping": ShipmentCancelled(ORDER_ID),
}
STEPS = tuple(step.name for step in ORDER_SAGA)


class World:
    """The saga with its real activities, on the fakes of the ports. The services are the test's to play."""

    def __init__(self, policy: Policy = POLICY) -> None:
        self.clock = FakeClock()
        self.documents = FakeDocuments(self.clock)
        self.bus = LoggingBus(self.clock)
        self.orders = Orders(self.documents, self.clock)
        self.policy = policy
        app = df.DFApp()
        app.register_functions(
            order_activities.blueprint(Ports(self.documents, self.bus, self.clock, HOLD_S))
        )
        self.functions = {each.get_function_name(): each.get_user_function() for each in app.get_functions()}
        self.run: Run = None  # type: ignore[assignment]

    async def placed(self) -> "World":
        """With one order, and its saga started."""
        address = ShippingAddress("Ann", "1 Road", "Leeds", "LS1", "GB")
        lines = (OrderLine("a", 2, 100), OrderLine("b", 1, 50), OrderLine("a", 1, 90))
        command = Place(ORDER_ID, "c-1", "GBP", lines, address, "tok_ok", "standard", "digest")
        await place(self.orders, command, "")
        self.start()
        return self

    def start(self, traceparent: str = "") -> None:
        """From the top."""
        self.run = Run(self.clock, start_input(self.policy, traceparent))

    async def work(self, *, in_vain: bool = False) -> None:
        """Carry out the one activity that is scheduled; what it raises comes before its end.

        in_vain: it does all that it does, but the saga is told that it failed.
        """
        (name,) = self.run.pending
        function = self.functions[name]
        given = self.run.input_of(name)
        raised: list[str] = []
        if hasattr(function, "client_function"):
            result = await function.client_function(given, _Client(self.run, raised))
        else:
            result = await function(given)
        end = self.run.failed(name) if in_vain else self.run.completed(name, result)
        self.run.episode(*raised, end)

    async def waiting_for(self, step: str) -> "World":
        """Everything went well until this step's command was sent."""
        await self.placed()
        await self.work()
        for before in STEPS[: STEPS.index(step)]:
            self.answer(before, DONE[before])
            await self.work()
        return self

    def reply(self, step: str, reply: object) -> str:
        """The event that a reply becomes, of the step's do or undo."""
        calls = (BY_NAME[step].do, BY_NAME[step].undo)
        (call,) = (call for call in calls if type(reply) in (call.succeeded, call.refused))
        return self.run.reply(call.command, reply)

    def answer(self, step: str, reply: object) -> None:
        self.run.episode(self.reply(step, reply))

    async def undo(self, *steps: str) -> None:
        """Carry out and answer the undo of each of these, in this order, then what follows."""
        for step in steps:
            assert self.run.pending == [BY_NAME[step].undo.activity]
            await self.work()
            self.answer(step, UNDONE[step])
        await self.work()

    def undo_commands(self) -> list[str]:
        undos = {BY_NAME[step].undo.command_type for step in STEPS}
        return [sent for sent in self.sent() if sent.partition("/")[0] in undos]

    async def cancel(self) -> None:
        """As `POST cancel` does, without the event."""
        await request_cancel(self.orders, ORDER_ID, "changed my mind", "")

    def wake(self) -> None:
        self.run.episode(self.run.raised(CANCEL_EVENT, {}))

    def sent(self) -> list[str]:
        """Message ids of the commands in the order in which they were sent, without the order's id."""
        return [message.message_id.removeprefix(f"{ORDER_ID}:") for _, message in self.bus.log]

    def last_command(self, queue: str) -> Envelope:
        return from_json(self.bus.sent[queue][-1].body)

    def stream(self) -> list[str]:
        items = [item for item in self.documents.items(ORDERS.container) if item["kind"] == "event"]
        return [
            item["type"].removeprefix("orders.") for item in sorted(items, key=lambda item: item["version"])
        ]

    def snapshot(self) -> dict[str, Any]:
        (item,) = (item for item in self.documents.items(ORDERS.container) if item["kind"] == "snapshot")
        return item["state"]


class LoggingBus(FakeBus):
    """Also keeps what was sent in one sequence."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.log: list[tuple[str, OutgoingMessage]] = []

    async def send(self, entity: str, messages: Sequence[OutgoingMessage]) -> None:
        await super().send(entity, messages)
        self.log += [(entity, message) for message in messages]


class _Client:
    def __init__(self, run: Run, raised: list[str]) -> None:
        self._run = run
        self._raised = raised

    async def raise_event(self, instance_id: str, name: str, value: object) -> None:
        assert instance_id == ORDER_ID
        await asyncio.sleep(0)
        self._raised.append(self._run.raised(name, value))
