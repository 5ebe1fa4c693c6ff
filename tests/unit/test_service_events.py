"""What the carrier's news mean for an order, and for the saga of its return."""

from datetime import timedelta

import pytest

from core.decider import Cause, execute, load
from core.envelope import Envelope, to_message, wrap
from core.redrive import redrive_subscription
from core.resilience import TRANSIENT
from services.orders import commands as c
from services.orders.decider import ORDERS
from services.orders.handlers import Orders
from services.orders.parcel_handlers import NotCompletedYet
from services.orders.return_commands import CancelReturn, FinishReturnCancellation, StartReturnCancellation
from services.orders.state import OrderState
from services.shipping.events import (
    OutForDelivery,
    ParcelDelivered,
    ReturnedToSender,
    ReturnReceived,
)
from tests.durable_client import FakeDurableClient
from tests.fakes import START, FakeBus, FakeClock, FakeDocuments
from tests.unit.test_orders_decider import PAID, PLACE, SHIPPED
from tests.unit.test_orders_replies import incoming
from tests.unit.test_orders_returns import LABEL, ask
from triggers.sagas import SagaUnreachable
from triggers.service_bus.receiving import receive
from triggers.service_bus.service_events import SUBSCRIPTION, TAKEN, handle_event, record

ORDER = PLACE.order_id
RETURN = f"{ORDER}-r1"
COMPLETED = (PLACE, c.RecordReservation(), PAID, SHIPPED)
AT = START + timedelta(days=2)
DELIVERED = ParcelDelivered(ORDER, "shp-1", "T1", AT)
CAME_BACK = ReturnedToSender(ORDER, "shp-1", "T1", AT, "refused")
RECEIVED = ReturnReceived(ORDER, RETURN, "shp-2", AT)


def event(data: object) -> Envelope:
    return wrap(
        data,
        id=f"{ORDER}:shipments:3",
        source="shipping",
        subject=ORDER,
        time=AT,
        correlation_id=ORDER,
        causation_id="evt-1",
    )


class Scene:
    def __init__(self) -> None:
        self.documents = FakeDocuments()
        self.orders = Orders(self.documents, FakeClock())
        self.client = FakeDurableClient()
        self.bus = FakeBus()

    async def after(self, *commands: c.OrderCommand) -> "Scene":
        for command in commands:
            await execute(self.documents, ORDERS, ORDER, command, Cause("c", ORDER, "c"), START)
        return self

    async def state(self) -> OrderState:
        return (await load(self.documents, ORDERS, ORDER)).state

    async def handle(self, data: object) -> None:
        await handle_event(self.orders, self.client, event(data))

    async def receive(self, data: object) -> None:
        async def handle(told: Envelope) -> None:
            await handle_event(self.orders, self.client, told)

        await receive(incoming(event(data)), queue=SUBSCRIPTION, bus=self.bus, handle=handle, accepts=TAKEN)

    def parked(self) -> list[str]:
        return [message.properties["reason"] for message in self.bus.sent["parked"]]

    def last_event(self) -> dict:
        events = [item for item in self.documents.items("orders") if item["kind"] == "event"]
        return max(events, key=lambda item: item["version"])


async def test_a_delivery_is_recorded_on_the_order_once() -> None:
    scene = await Scene().after(*COMPLETED)
    for _ in range(2):
        await scene.handle(DELIVERED)
    assert (await scene.state()).delivered_at == AT
    last = scene.last_event()
    assert (last["type"], last["version"]) == ("orders.delivered", 7)
    assert (last["causation_id"], last["actor"]) == (f"{ORDER}:shipments:3", "shipping")


@pytest.mark.parametrize("news", [DELIVERED, CAME_BACK], ids=["delivered", "returned"])
async def test_news_that_are_faster_than_the_saga_wait_until_the_order_is_completed(news: object) -> None:
    scene = await Scene().after(*COMPLETED[:3])
    with pytest.raises(NotCompletedYet) as raised:
        await scene.handle(news)
    assert isinstance(raised.value, TRANSIENT)
    await scene.after(SHIPPED)
    await scene.handle(news)
    assert scene.last_event()["type"] in ("orders.delivered", "orders.returned_to_sender")


async def test_a_parcel_that_comes_back_is_an_event_of_the_order_also_after_a_delivery() -> None:
    scene = await Scene().after(*COMPLETED)
    await scene.handle(DELIVERED)
    for _ in range(2):
        await scene.handle(CAME_BACK)
    assert (await scene.state()).returned_to_sender
    last = scene.last_event()
    assert (last["type"], last["version"]) == ("orders.returned_to_sender", 8)
    assert last["data"]["detail"] == "refused"


async def test_news_of_another_parcel_or_of_a_cancelled_order_change_nothing() -> None:
    scene = await Scene().after(*COMPLETED)
    await scene.handle(ParcelDelivered(ORDER, "shp-9", "T9", AT))
    await scene.handle(ReturnedToSender(ORDER, "shp-9", "T9", AT, ""))
    cancelled = await Scene().after(PLACE, c.RecordCancellation("customer_request", (), finish=True))
    await cancelled.handle(DELIVERED)
    for each, last in ((scene, "orders.completed"), (cancelled, "orders.cancelled")):
        assert each.last_event()["type"] == last


async def test_a_returns_parcel_that_arrives_is_received_and_wakes_its_saga() -> None:
    scene = await Scene().after(*COMPLETED, ask((1, 1)), LABEL)
    scene.client.instances[RETURN] = "Running"
    for _ in range(2):
        await scene.handle(RECEIVED)
    [found] = (await scene.state()).returns
    assert found.status == "received"
    assert scene.client.raised[0] == (RETURN, f"{RETURN}:parcel", {"type": "return.received", "data": {}})


async def test_a_saga_that_does_not_run_need_not_be_woken_but_one_that_cannot_be_reached_must() -> None:
    scene = await Scene().after(*COMPLETED, ask((1, 1)), LABEL)
    await scene.handle(RECEIVED)
    scene.client.fault = True
    with pytest.raises(SagaUnreachable):
        await scene.handle(RECEIVED)


async def test_goods_of_a_return_that_was_cancelled_are_put_on_record_once_for_a_person() -> None:
    scene = await Scene().after(*COMPLETED, ask((1, 1)), LABEL, CancelReturn(RETURN))
    await scene.after(
        StartReturnCancellation(RETURN, "customer_request"), FinishReturnCancellation(RETURN, True)
    )
    for _ in range(2):
        await scene.receive(RECEIVED)
        assert scene.last_event()["type"] == "orders.return_parcel_unexpected"
    [found] = (await scene.state()).returns
    assert (found.status, found.unexpected_parcel) == ("cancelled", True)
    assert scene.parked() == []


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (DELIVERED, "subject: there is no such order"),
        (RECEIVED, "subject: there is no such order"),
        (ParcelDelivered("ord-9", "shp-1", "T1", AT), "subject: must be data.order_id"),
        (OutForDelivery(ORDER, "shp-1", "T1", AT), "type: 'shipping.out_for_delivery' is not taken"),
    ],
)
async def test_what_can_never_be_recorded_is_parked(data: object, reason: str) -> None:
    scene = Scene()
    await scene.receive(data)
    [parked] = scene.parked()
    assert parked.startswith(reason)


async def test_a_delivery_that_was_dead_lettered_is_recorded_by_the_timer() -> None:
    scene = await Scene().after(*COMPLETED)
    scene.bus.dead_letter(SUBSCRIPTION, to_message(event(DELIVERED)), "MaxDeliveryCountExceeded")

    async def handle(told: Envelope) -> None:
        await record(scene.orders, told)

    await redrive_subscription(scene.bus, SUBSCRIPTION, handle)
    assert (await scene.state()).delivered_at == AT
    assert scene.bus.dead(SUBSCRIPTION) == []
