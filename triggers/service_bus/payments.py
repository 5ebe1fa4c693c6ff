"""The queue `payments`: charges and refunds."""

from functools import partial

import azure.durable_functions as df
import azure.functions as func

from core.bus import Bus
from core.clock import Clock
from core.documents import Documents
from services.payments.gateway import PaymentGateway
from services.payments.handlers import COMMANDS, handle_command
from triggers.service_bus.receiving import receive

QUEUE = "payments"


def blueprint(
    documents: Documents, bus: Bus, gateway: PaymentGateway, clock: Clock, timeout_s: float
) -> df.Blueprint:
    """`timeout_s` is how long the gateway may take to answer."""
    functions = df.Blueprint()
    handle = partial(handle_command, documents, bus, gateway, clock, timeout_s)

    @functions.service_bus_queue_trigger(
        arg_name="message", connection="ServiceBusConnection", queue_name=QUEUE
    )
    async def handle_payment_commands(message: func.ServiceBusMessage) -> None:
        await receive(message, queue=QUEUE, bus=bus, handle=handle, accepts=COMMANDS)

    return functions
