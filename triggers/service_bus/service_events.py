"""What the topic `service-events` has for the orders: a parcel was delivered, or came back."""

from functools import partial

import azure.durable_functions as df
import azure.functions as func

from core.bus import Bus
from core.contracts import InvalidContract, contract_name
from core.decider import Rejection
from core.envelope import Envelope
from services.orders.commands import RecordDelivery, RecordReturnToSender
from services.orders.handlers import Orders
from services.orders.parcel_handlers import record_news
from services.orders.policy import return_event
from services.orders.return_commands import ReceiveReturn
from services.orders.return_handlers import ask
from services.orders.return_saga import RECEIVED
from services.shipping.events import ParcelDelivered, ReturnedToSender, ReturnReceived
from triggers.sagas import raise_event
from triggers.service_bus.receiving import receive

SUBSCRIPTION = "service-events/Subscriptions/orders"
TAKEN = frozenset(contract_name(event) for event in (ParcelDelivered, ReturnedToSender, ReturnReceived))


def blueprint(orders: Orders, bus: Bus) -> df.Blueprint:
    bp = df.Blueprint()

    @bp.service_bus_topic_trigger(
        arg_name="message",
        connection="ServiceBusConnection",
        topic_name="service-events",
        subscription_name="orders",
    )
    @bp.durable_client_input(client_name="client")
    async def handle_service_events(
        message: func.ServiceBusMessage, client: df.DurableOrchestrationClient
    ) -> None:
        handle = partial(handle_event, orders, client)
        await receive(message, queue=SUBSCRIPTION, bus=bus, handle=handle, accepts=TAKEN)

    return bp


async def handle_event(orders: Orders, client: df.DurableOrchestrationClient, event: Envelope) -> None:
    """As `record`; then wake the saga of a return. Raises SagaUnreachable too."""
    await record(orders, event)
    if isinstance(event.data, ReturnReceived):
        return_id = event.data.return_id
        # Without an instance there is nothing to wake: one that is started looks at the stream.
        await raise_event(
            client, return_id, return_event(return_id, "parcel"), {"type": RECEIVED, "data": {}}
        )


async def record(orders: Orders, event: Envelope) -> None:
    """On the order's stream. Raises NotCompletedYet, and InvalidContract for what can never be recorded."""
    if event.subject != event.data.order_id:
        raise InvalidContract("subject: must be data.order_id")
    try:
        match event.data:
            case ParcelDelivered(shipment_id=shipment_id, at=at):
                await record_news(orders, event, RecordDelivery(shipment_id, at))
            case ReturnedToSender(shipment_id=shipment_id, at=at, detail=detail):
                await record_news(orders, event, RecordReturnToSender(shipment_id, at, detail))
            case ReturnReceived(order_id, return_id):
                command = ReceiveReturn(return_id, by_carrier=True)
                await ask(orders, order_id, return_id, command, event.traceparent, event.source)
            case _:
                raise InvalidContract(f"type: {event.type!r} is nothing to an order")
    except Rejection as rejection:
        raise InvalidContract(f"subject: {rejection}") from rejection
