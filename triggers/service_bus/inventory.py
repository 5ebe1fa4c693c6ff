"""Inventory's commands, and the shipments of which it must know."""

import azure.functions as func

from core.blobs import Blobs
from core.bus import Bus
from core.clock import Clock
from core.contracts import contract_name
from core.documents import Documents
from core.envelope import Envelope
from services.inventory.handlers import COMMANDS, commit, handle_command
from services.inventory.importing import import_chunk
from services.inventory.imports import IMPORT_CHUNK
from services.orders.events import ShippingCreated
from triggers.service_bus.receiving import receive

SUBSCRIPTION = "order-events/Subscriptions/inventory"
TAKEN = COMMANDS | {IMPORT_CHUNK}
SHIPPED = frozenset({contract_name(ShippingCreated)})


def blueprint(documents: Documents, bus: Bus, blobs: Blobs, clock: Clock) -> func.Blueprint:
    bp = func.Blueprint()

    async def execute(command: Envelope) -> None:
        if command.type == IMPORT_CHUNK:
            await import_chunk(documents, bus, blobs, command, clock.now())
        else:
            await handle_command(documents, bus, clock, command)

    @bp.service_bus_queue_trigger(
        arg_name="message", connection="ServiceBusConnection", queue_name="inventory"
    )
    async def handle_inventory_commands(message: func.ServiceBusMessage) -> None:
        await receive(message, queue="inventory", bus=bus, handle=execute, accepts=TAKEN)

    async def ship(event: Envelope) -> None:
        await handle_shipment(documents, clock, event)

    @bp.service_bus_topic_trigger(
        arg_name="message",
        connection="ServiceBusConnection",
        topic_name="order-events",
        subscription_name="inventory",
    )
    async def commit_holds(message: func.ServiceBusMessage) -> None:
        await receive(message, queue=SUBSCRIPTION, bus=bus, handle=ship, accepts=SHIPPED)

    return bp


async def handle_shipment(documents: Documents, clock: Clock, event: Envelope) -> None:
    """The parcel of an order was handed over: its goods have left."""
    await commit(documents, event.subject, clock.now())
