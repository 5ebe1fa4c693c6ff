"""The return saga with its real activities, driven without a host (run.py).

The test plays the people and the services.
"""

from typing import Any

import azure.durable_functions as df

from activities import returns as return_activities
from core.contracts import contract_name
from core.envelope import Envelope, command_id, from_json
from orchestrators.return_saga import return_saga
from services.inventory.messages import Restock, Restocked, RestockRefused
from services.orders import return_commands as c
from services.orders.commands import RecordDelivery
from services.orders.decider import ORDERS
from services.orders.handlers import Orders
from services.orders.policy import CANCEL_EVENT, RETURN_SAGA, Policy, ReturnPolicy, return_event, return_input
from services.orders.return_events import InspectedLine, ReturnLine
from services.orders.return_handlers import ask, request_return
from services.orders.saga import Ports
from services.payments.messages import PartRefunded, PartRefundRefused
from services.shipping.messages import CreateReturn, ReturnCancelled, ReturnCreated, ReturnRefused
from tests.fakes import FakeClock, FakeDocuments
from tests.order_support import COMPLETION, append, place
from tests.saga.run import LoggingBus, Run, Saga, carry_out

POLICY = Policy(step_timeout_s=30.0, step_attempts=3, undo_attempts=2, attention_interval_s=60.0)
DAYS = ReturnPolicy(approval_s=2 * 86400.0, parcel_s=3 * 86400.0, look_s=86400.0)
ORDER_ID = "ord-1"
RETURN_ID = "ord-1-r1"
WINDOW_S = 30 * 86400.0

LABEL = ReturnCreated(ORDER_ID, RETURN_ID, "shp-2", "TRACK2")
LABEL_REFUSED = ReturnRefused(ORDER_ID, RETURN_ID, "address_not_served")
LABEL_CANCELLED = ReturnCancelled(ORDER_ID, RETURN_ID)
RESTOCKED = Restocked(ORDER_ID, RETURN_ID)
RESTOCK_REFUSED = RestockRefused(ORDER_ID, RETURN_ID, "more_than_shipped", "sku-0")
REFUNDED = PartRefunded(ORDER_ID, RETURN_ID, 250, "GBP")
REFUND_REFUSED = PartRefundRefused(ORDER_ID, RETURN_ID, "more_than_charged")


def event_name(command: type) -> str:
    return command_id(ORDER_ID, contract_name(command), RETURN_ID)


RETURN = Saga(RETURN_SAGA, RETURN_ID, df.Orchestrator.create(return_saga), event_name)


class ReturnWorld:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.documents = FakeDocuments(self.clock)
        self.bus = LoggingBus(self.clock)
        self.orders = Orders(self.documents, self.clock)
        app = df.DFApp()
        app.register_functions(return_activities.blueprint(Ports(self.documents, self.bus, self.clock, 0.0)))
        self.functions = {each.get_function_name(): each.get_user_function() for each in app.get_functions()}
        self.run: Run = None  # type: ignore[assignment]

    async def asked(self, *, window_s: float = WINDOW_S) -> "ReturnWorld":
        """A completed order of one piece, and the return of it; `window_s` 0 makes it late."""
        await append(self.documents, ORDER_ID, place(ORDER_ID), *COMPLETION, clock=self.clock)
        if not window_s:
            await self.deliver()
        line = ReturnLine(1, 1, "broken")
        await request_return(self.orders, ORDER_ID, c.RequestReturn((line,), "k", "d", window_s), "")
        self.start()
        return self

    async def deliver(self) -> None:
        await append(self.documents, ORDER_ID, RecordDelivery("shp-1", self.clock.now()), clock=self.clock)
        self.clock.advance(1.0)

    def start(self) -> None:
        """From the top."""
        self.run = Run(RETURN, self.clock, return_input(POLICY, DAYS, ORDER_ID, ""))

    async def labelled(self) -> "ReturnWorld":
        """Waiting for the parcel."""
        await self.asked()
        await self.work()
        await self.work()
        self.answer(CreateReturn, LABEL)
        await self.work()
        return self

    async def received(self) -> "ReturnWorld":
        """Waiting for the inspection."""
        await self.labelled()
        await self.people("parcel", c.ReceiveReturn(RETURN_ID))
        await self.work()
        return self

    async def inspected(self, *, refunded: int = 1) -> "ReturnWorld":
        """Waiting for the goods to be restocked."""
        await self.received()
        lines = (InspectedLine(1, 1, 0, refunded),)
        await self.people("inspection", c.InspectReturn(RETURN_ID, lines))
        await self.work()
        return self

    async def restocked(self) -> "ReturnWorld":
        """Waiting for the refund."""
        await self.inspected()
        self.answer(Restock, RESTOCKED)
        await self.work()
        return self

    async def people(self, stage: str, command: c.ReturnCommand, *, told: bool = True) -> None:
        """They decide or see something, and the saga is told, or is not."""
        await ask(self.orders, ORDER_ID, RETURN_ID, command, "", "operator")
        if told:
            type_ = {"parcel": "return.received", "inspection": "return.inspected"}.get(stage, "")
            if stage == "approval":
                type_ = "return.approved" if isinstance(command, c.ApproveReturn) else "return.rejected"
            event = return_event(RETURN_ID, stage)
            self.run.episode(self.run.raised(event, {"type": type_, "data": {}}))

    async def cancel(self, *, told: bool = True) -> None:
        await ask(self.orders, ORDER_ID, RETURN_ID, c.CancelReturn(RETURN_ID), "", "customer")
        if told:
            self.run.episode(self.run.raised(CANCEL_EVENT, {}))

    async def work(self, *, in_vain: bool = False) -> None:
        """As `carry_out`."""
        await carry_out(self.run, self.functions, in_vain=in_vain)

    def answer(self, command: type, reply: object) -> None:
        self.run.episode(self.run.reply(command, reply))

    def sent(self) -> list[str]:
        """Message ids of the commands in the order in which they were sent, without the order's id."""
        return [message.message_id.removeprefix(f"{ORDER_ID}:") for _, message in self.bus.log]

    def last_command(self, queue: str) -> Envelope:
        return from_json(self.bus.sent[queue][-1].body)

    def stream(self) -> list[str]:
        """What happened to the return, without `return_`."""
        items = [item for item in self.documents.items(ORDERS.container) if item["kind"] == "event"]
        types = [item["type"] for item in sorted(items, key=lambda item: item["version"])]
        return [type_.removeprefix("orders.return_") for type_ in types if "return_" in type_]

    def found(self) -> dict[str, Any]:
        (item,) = (item for item in self.documents.items(ORDERS.container) if item["kind"] == "snapshot")
        (found,) = item["state"]["returns"]
        state: dict[str, Any] = found
        return state
