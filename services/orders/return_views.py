"""What the API shows of a return: from its order's snapshot, so that it is right at once."""

from typing import TypedDict

from core.decider import load
from core.documents import Documents
from core.json import Link
from services.orders.decider import ORDERS, OrderNotFound
from services.orders.return_events import InspectedLine, ReturnLine
from services.orders.returns import Return, ReturnNotFound, ReturnStatus, find
from services.orders.state import OrderState


class ReturnedLine(TypedDict):
    """`line` counts the order's lines from 1."""

    line: int
    sku: str
    quantity: int
    reason: str


class ReturnLinks(TypedDict):
    self: Link
    order: Link
    cancel: Link


class ReturnView(TypedDict):
    """`refund` and `refunded` in minor units of `currency`; `inspected` is empty until the goods were.

    `needs_attention` is the step that does not succeed, if there is one; `unexpected_parcel`: its parcel has
    come although it came to nothing.
    """

    id: str
    order_id: str
    status: ReturnStatus
    lines: list[ReturnedLine]
    inspected: list[InspectedLine]
    currency: str
    refund: int
    refunded: int
    shipment_id: str
    tracking_number: str
    reason: str
    needs_attention: str
    unexpected_parcel: bool
    links: ReturnLinks


class ReturnList(TypedDict):
    items: list[ReturnView]


def order_of(return_id: str) -> str:
    """The order that the return is a part of. Raises ReturnNotFound for what is no return's id."""
    order_id, separator, number = return_id.rpartition("-r")
    if not separator or not order_id or not number.isdecimal():
        raise ReturnNotFound
    return order_id


async def read_return(documents: Documents, return_id: str) -> ReturnView:
    """One point read. Raises ReturnNotFound."""
    loaded = await load(documents, ORDERS, order_of(return_id))
    return return_view(loaded.state, find(loaded.state.returns, return_id))


async def list_returns(documents: Documents, order_id: str) -> ReturnList:
    """One point read; in the order in which they were asked for. Raises OrderNotFound."""
    state = (await load(documents, ORDERS, order_id)).state
    if state.status == "none":
        raise OrderNotFound
    return {"items": [return_view(state, each) for each in state.returns]}


def return_view(order: OrderState, found: Return) -> ReturnView:
    return {
        "id": found.return_id,
        "order_id": order.order_id,
        "status": found.status,
        "lines": [_line(order, line) for line in found.lines],
        "inspected": list(found.inspected),
        "currency": order.currency,
        "refund": found.refund,
        "refunded": found.refunded,
        "shipment_id": found.shipment_id,
        "tracking_number": found.tracking_number,
        "reason": found.reason,
        "needs_attention": found.attention_step,
        "unexpected_parcel": found.unexpected_parcel,
        "links": {
            "self": f"/api/returns/{found.return_id}",
            "order": f"/api/orders/{order.order_id}",
            "cancel": f"/api/returns/{found.return_id}/cancel",
        },
    }


def _line(order: OrderState, line: ReturnLine) -> ReturnedLine:
    sku = order.lines[line.line - 1].sku
    return {"line": line.line, "sku": sku, "quantity": line.quantity, "reason": line.reason}
