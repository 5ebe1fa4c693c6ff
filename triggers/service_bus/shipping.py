"""The queue `shipping`: shipments and their cancellations."""

from functools import partial

import azure.durable_functions as df
import azure.functions as func

from core.bus import Bus
from core.clock import Clock
from core.documents import Documents
from services.shipping.carrier import Carrier
from services.shipping.handlers import COMMANDS, handle_command
from triggers.service_bus.receiving import receive

QUEUE = "shipping"


def blueprint(
    documents: Documents, bus: Bus, carrier: Carrier, clock: Clock, timeout_s: float
) -> df.Blueprint:
    """`timeout_s` is how long the carrier may take to answer."""
    functions = df.Blueprint()
    handle = partial(handle_command, documents, bus, carrier, clock, timeout_s)

    @functions.service_bus_queue_trigger(
        arg_name="message", connection="ServiceBusConnection", queue_name=QUEUE
    )
    async def handle_shipping_commands(message: func.ServiceBusMessage) -> None:
        await receive(message, queue=QUEUE, bus=bus, handle=handle, accepts=COMMANDS)

    return functions
