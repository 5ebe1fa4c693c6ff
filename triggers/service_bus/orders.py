"""The queue `order-replies`: what the services answer to the sagas."""

import azure.durable_functions as df
import azure.functions as func

from core.bus import Bus
from core.contracts import InvalidContract, contract_name, encode
from core.envelope import Envelope, command_id, pending_id
from services.inventory.messages import (
    Rejected,
    Release,
    Released,
    Reserve,
    Reserved,
    Restock,
    Restocked,
    RestockRefused,
)
from services.orders.decider import OrderNotFound
from services.orders.handlers import Orders, note_late_reply
from services.payments.messages import (
    Charge,
    Charged,
    Declined,
    PartRefunded,
    PartRefundRefused,
    PaymentPending,
    Refund,
    Refunded,
    RefundPart,
)
from services.shipping.messages import (
    CancelReturn,
    CancelShipment,
    CreateReturn,
    CreateShipment,
    ReturnCancelled,
    ReturnCreated,
    ReturnRefused,
    ShipmentCancelled,
    ShipmentCreated,
    ShipmentRefused,
)
from triggers.sagas import raise_event
from triggers.service_bus.receiving import receive

QUEUE = "order-replies"
ANSWERED = {
    contract_name(reply): contract_name(command)
    for reply, command in (
        (Reserved, Reserve),
        (Rejected, Reserve),
        (Released, Release),
        (Charged, Charge),
        (Declined, Charge),
        (PaymentPending, Charge),
        (Refunded, Refund),
        (ShipmentCreated, CreateShipment),
        (ShipmentRefused, CreateShipment),
        (ShipmentCancelled, CancelShipment),
        (Restocked, Restock),
        (RestockRefused, Restock),
        (PartRefunded, RefundPart),
        (PartRefundRefused, RefundPart),
        (ReturnCreated, CreateReturn),
        (ReturnRefused, CreateReturn),
        (ReturnCancelled, CancelReturn),
    )
}
"""The command that a reply answers, by their types."""

PENDING = contract_name(PaymentPending)
"""No answer yet: an event of another name, and of no use to anybody who does not wait."""

REPLIES = frozenset(ANSWERED)


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
    """Give the saga of the order, or of its return, the event that it waits for, named by the command's id.

    Without an instance to take it, the reply is noted on the order's stream. Nothing is lost if the saga is
    to be started again: it sends the command again, and the service answers from its inbox.

    Raises InvalidContract for what is no answer to the command that it names: the saga would fail of it.
    """
    return_id = getattr(reply.data, "return_id", "")
    answered = command_id(reply.subject, ANSWERED[reply.type], return_id)
    if reply.causation_id != answered:
        raise InvalidContract(f"causationid: must be {answered!r}, the command that {reply.type} answers")
    event = {"type": reply.type, "data": encode(reply.data)}
    pending = reply.type == PENDING
    name = pending_id(answered) if pending else answered
    if not await raise_event(client, return_id or reply.subject, name, event) and not pending:
        try:
            await note_late_reply(orders, reply)
        except OrderNotFound as error:
            raise InvalidContract("subject: there is no such order") from error
