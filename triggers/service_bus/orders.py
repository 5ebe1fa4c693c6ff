"""The queue `order-replies`: what the services answer to the sagas."""

import azure.durable_functions as df
import azure.functions as func

from core.bus import Bus
from core.contracts import InvalidContract, contract_name, encode
from core.envelope import Envelope
from services.inventory.messages import Rejected, Released, Reserved
from services.orders.decider import OrderNotFound
from services.orders.handlers import Orders, note_late_reply
from services.payments.messages import Charged, Declined, Refunded
from services.shipping.messages import ShipmentCancelled, ShipmentCreated, ShipmentRefused
from triggers.sagas import raise_event
from triggers.service_bus.receiving import receive

QUEUE = "order-replies"
REPLIES = frozenset(
    contract_name(reply)
    for reply in (
        Reserved,
        Rejected,
        Released,
        Charged,
        Declined,
        Refunded,
        ShipmentCreated,
        ShipmentRefused,
        ShipmentCancelled,
    )
)


def blueprint(orders: Orders, bus: Bus) -> df.Blueprint:
    bp = df.Blueprint()

    @bp.service_bus_queue_trigger(arg_name="message", connection="ServiceBusConnection", queue_name=QUEUE)
    @bp.durable_client_input(client_name="client")
    async def handle_order_replies(
        message: func.ServiceBusMessage, client: df.DurableOrchestrationClient
    ) -> None:
        async def handle(reply: Envelope) -> None:
            await handle_reply(orders, client, reply)

        await receive(message, queue=QUEUE, bus=bus, handle=handle, accepts=REPLIES)

    return bp


async def handle_reply(orders: Orders, client: df.DurableOrchestrationClient, reply: Envelope) -> None:
    """Give the saga the event that it waits for, named by the command's id.

    Without an instance to take it, the reply is noted on the order's stream. Nothing is lost if the saga is
    to be started again: it sends the command again, and the service answers from its inbox.
    """
    event = {"type": reply.type, "data": encode(reply.data)}
    if not await raise_event(client, reply.subject, reply.causation_id, event):
        try:
            await note_late_reply(orders, reply)
        except OrderNotFound as error:
            raise InvalidContract("subject: there is no such order") from error
