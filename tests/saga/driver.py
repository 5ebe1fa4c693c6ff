"""The order saga with its real activities, driven without a host (run.py)."""

from datetime import datetime
from typing import Any

import azure.durable_functions as df

from activities import orders as order_activities
from core.contracts import contract_name, encode
from core.envelope import Envelope, from_json, pending_id
from orchestrators.order_saga import order_saga
from orchestrators.steps import BY_NAME, ORDER_SAGA
from services.inventory.messages import Rejected, Released, Reserved
from services.orders.commands import Place
from services.orders.decider import ORDERS
from services.orders.events import OrderLine, ShippingAddress
from services.orders.handlers import Orders, place, request_cancel
from services.orders.policy import CANCEL_EVENT, SAGA, Policy, start_input
from services.orders.saga import Ports
from services.payments.messages import Charge, Charged, Declined, PaymentPending, PendingReason, Refunded
from services.shipping.messages import ShipmentCancelled, ShipmentCreated, ShipmentRefused
from tests.fakes import FakeClock, FakeDocuments
from tests.saga.run import LoggingBus, Run, Saga, carry_out

POLICY = Policy(step_timeout_s=30.0, step_attempts=3, undo_attempts=2, attention_interval_s=60.0)
ORDER_ID = "ord-1"
HOLD_S = 90_000.0


def event_name(command: type) -> str:
    return f"{ORDER_ID}:{contract_name(command)}"


ORDER = Saga(SAGA, ORDER_ID, df.Orchestrator.create(order_saga), event_name)

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
        self.pending_since: datetime | None = None
        app = df.DFApp()
        app.register_functions(
            order_activities.blueprint(Ports(self.documents, self.bus, self.clock, HOLD_S), policy)
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
        self.run = Run(ORDER, self.clock, start_input(self.policy, traceparent))

    async def work(self, *, in_vain: bool = False) -> None:
        """As `carry_out`."""
        await carry_out(self.run, self.functions, in_vain=in_vain)

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

    def said_pending(self, reason: PendingReason = "needs_action") -> str:
        """The event that the charge is pending, since the first time that it was said."""
        if self.pending_since is None:
            self.pending_since = self.clock.now()
        told = PaymentPending(ORDER_ID, reason, self.pending_since)
        name = pending_id(event_name(Charge))
        return self.run.raised(name, {"type": contract_name(PaymentPending), "data": encode(told)})

    def told_pending(self) -> None:
        self.run.episode(self.said_pending())

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
