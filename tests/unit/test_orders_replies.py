"""What becomes of a reply: an event for the saga, a note on the stream, or a parked message."""

import azure.functions as func
import pytest
from azure.functions.servicebus import ServiceBusMessage

from core.envelope import Envelope, reply_to, to_message, wrap
from services.inventory.messages import Reserved
from services.orders.handlers import Orders, place
from services.payments.messages import Charge, Charged, PaymentPending
from tests.durable_client import FakeDurableClient
from tests.fakes import START, FakeBus, FakeClock, FakeDocuments
from tests.unit.test_orders_decider import PLACE
from triggers.sagas import SagaUnreachable
from triggers.service_bus.orders import QUEUE, REPLIES, handle_reply
from triggers.service_bus.receiving import receive

ORDER_ID = PLACE.order_id
COMMAND_ID = f"{ORDER_ID}:payments.charge"
CHARGED = Charged(ORDER_ID, "pay-1", 215, "GBP")


def reply(data: object = CHARGED, order_id: str = ORDER_ID) -> Envelope:
    answered = f"{order_id}:payments.charge"
    return wrap(
        data,
        id=f"{answered}:reply",
        source="payments",
        subject=order_id,
        time=START,
        correlation_id=order_id,
        causation_id=answered,
    )


class Scene:
    def __init__(self) -> None:
        self.documents = FakeDocuments()
        self.orders = Orders(self.documents, FakeClock())
        self.client = FakeDurableClient()
        self.bus = FakeBus()

    async def with_order(self, saga: str | None) -> "Scene":
        await place(self.orders, PLACE, "")
        if saga is not None:
            self.client.instances[ORDER_ID] = saga
        return self

    def events(self) -> list[str]:
        items = [item for item in self.documents.items("orders") if item["kind"] == "event"]
        return [item["type"] for item in sorted(items, key=lambda item: item["version"])]

    async def receive(self, envelope: Envelope) -> None:
        async def handle(reply: Envelope) -> None:
            await handle_reply(self.orders, self.client, reply)

        await receive(incoming(envelope), queue=QUEUE, bus=self.bus, handle=handle, accepts=REPLIES)


def incoming(envelope: Envelope) -> func.ServiceBusMessage:
    message = to_message(envelope)
    return ServiceBusMessage(
        body=message.body,
        message_id=message.message_id,
        label=message.subject,
        correlation_id=message.correlation_id,
        content_type=message.content_type,
        application_properties={},
        user_properties={},
    )


async def test_a_running_saga_gets_the_event_that_the_command_names() -> None:
    scene = await Scene().with_order("Running")
    await scene.receive(reply())
    data = {"order_id": ORDER_ID, "payment_id": "pay-1", "amount": 215, "currency": "GBP"}
    assert scene.client.raised == [(ORDER_ID, COMMAND_ID, {"type": "payments.charged", "data": data})]
    assert scene.events() == ["orders.created"]


PENDING = reply_to(
    COMMAND_ID,
    PaymentPending(ORDER_ID, "needs_action", START),
    source="payments",
    order_id=ORDER_ID,
    time=START,
    pending=True,
)


async def test_that_the_charge_is_pending_is_an_event_of_its_own_name() -> None:
    scene = await Scene().with_order("Running")
    await scene.receive(PENDING)
    assert scene.client.raised == [
        (
            ORDER_ID,
            f"{COMMAND_ID}:pending",
            {
                "type": "payments.pending",
                "data": {"order_id": ORDER_ID, "reason": "needs_action", "since": "2027-01-15T08:00:00Z"},
            },
        )
    ]


async def test_that_the_charge_was_pending_is_not_noted_when_nobody_waits() -> None:
    scene = await Scene().with_order("Completed")
    await scene.receive(PENDING)
    assert scene.events() == ["orders.created"]
    assert scene.bus.sent["parked"] == []


@pytest.mark.parametrize("saga", [None, "Completed", "Failed", "Terminated"])
async def test_without_a_saga_the_reply_is_noted_once(saga: str | None) -> None:
    scene = await Scene().with_order(saga)
    for _ in range(2):
        await scene.receive(reply())
    assert scene.events() == ["orders.created", "orders.late_reply"]
    assert scene.bus.sent["parked"] == []


async def test_a_late_reply_says_what_it_was() -> None:
    scene = await Scene().with_order("Completed")
    await scene.receive(reply())
    (note,) = (item for item in scene.documents.items("orders") if item.get("type") == "orders.late_reply")
    assert note["data"] == {
        "order_id": ORDER_ID,
        "reply_type": "payments.charged",
        "reply_id": f"{COMMAND_ID}:reply",
    }
    assert (note["causation_id"], note["actor"]) == (f"{COMMAND_ID}:reply", "payments")


async def test_an_unreachable_saga_is_no_finished_one() -> None:
    scene = await Scene().with_order("Running")
    scene.client.fault = True
    with pytest.raises(SagaUnreachable):
        await handle_reply(scene.orders, scene.client, reply())
    assert scene.events() == ["orders.created"]


async def test_a_reply_for_an_order_that_is_not_there_is_parked() -> None:
    scene = Scene()
    await scene.receive(reply(order_id="ord-unknown"))
    (parked,) = scene.bus.sent["parked"]
    assert parked.properties["reason"] == "subject: there is no such order"
    assert parked.properties["source"] == QUEUE


async def test_a_reply_that_is_no_answer_to_the_command_it_names_is_parked() -> None:
    """The saga that waits for a payment would fail of it."""
    scene = await Scene().with_order("Running")
    await scene.receive(reply(Reserved(ORDER_ID)))
    (parked,) = scene.bus.sent["parked"]
    assert parked.properties["reason"] == (
        f"causationid: must be '{ORDER_ID}:inventory.reserve', the command that inventory.reserved answers"
    )
    assert scene.client.raised == []


async def test_a_command_among_the_replies_is_parked() -> None:
    scene = await Scene().with_order("Running")
    await scene.receive(reply(Charge(ORDER_ID, "c-1", 215, "GBP", "tok_ok")))
    (parked,) = scene.bus.sent["parked"]
    assert "payments.charge" in parked.properties["reason"]
    assert scene.client.raised == []
