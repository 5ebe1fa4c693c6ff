"""Orders on the fake documents, and their events as a change feed gives them."""

from typing import Any

from core.clock import Clock
from core.decider import Cause, Loaded, execute
from core.documents import Documents
from services.orders import commands as c
from services.orders.decider import ORDERS
from services.orders.events import OrderLine, ShippingAddress
from tests.fakes import FakeClock, FakeDocuments

ADDRESS = ShippingAddress("Ada", "1 Analytical Row", "London", "N1", "GB")


def place(order_id: str, customer_id: str = "ada", lines: int = 1) -> c.Place:
    return c.Place(
        order_id=order_id,
        customer_id=customer_id,
        currency="GBP",
        lines=tuple(OrderLine(f"sku-{number}", 1, 250) for number in range(lines)),
        shipping_address=ADDRESS,
        payment_method="tok_ok",
        delivery="standard",
        request_digest="d",
    )


COMPLETION: tuple[c.OrderCommand, ...] = (
    c.RecordReservation(),
    c.RecordPayment("pay-1", 250, "GBP"),
    c.RecordShipment("shp-1", "TRACK-1"),
)
CANCELLATION: tuple[c.OrderCommand, ...] = (
    c.RecordReservation(),
    c.RequestCancel("changed my mind"),
    c.RecordCancellation("customer_request", ("inventory",)),
    c.RecordCancellation("customer_request", ("inventory",), c.Undone("inventory"), finish=True),
)


async def append(
    documents: Documents, order_id: str, *commands: c.OrderCommand, clock: Clock | None = None
) -> None:
    clock = clock or FakeClock()
    for number, command in enumerate(commands):
        cause = Cause(f"{order_id}:{number}", order_id, f"{order_id}:{number}")
        loaded = Loaded(ORDERS.initial) if isinstance(command, c.Place) else None
        await execute(documents, ORDERS, order_id, command, cause, clock.now(), loaded=loaded)


def feed(documents: FakeDocuments, order_id: str) -> list[dict[str, Any]]:
    """All documents of an order, its events in order."""
    return sorted(documents.items("orders", order_id), key=lambda item: item.get("version", 0))


def events(documents: FakeDocuments, order_id: str) -> list[dict[str, Any]]:
    return [item for item in feed(documents, order_id) if item["kind"] == "event"]
