"""The queue `shipping`: shipments, their cancellations, and news of parcels."""

from functools import partial

import azure.durable_functions as df
import azure.functions as func

from core.bus import Bus
from core.documents import Documents
from services.shipping.calls import Carriers
from services.shipping.handlers import COMMANDS, handle_command
from triggers.service_bus.receiving import receive

QUEUE = "shipping"


def blueprint(documents: Documents, bus: Bus, carriers: Carriers) -> df.Blueprint:
    functions = df.Blueprint()
    handle = partial(handle_command, documents, bus, carriers)

    @functions.service_bus_queue_trigger(
        arg_name="message", connection="ServiceBusConnection", queue_name=QUEUE
    )
    async def handle_shipping_commands(message: func.ServiceBusMessage) -> None:
        await receive(message, queue=QUEUE, bus=bus, handle=handle, accepts=COMMANDS)

    return functions
