"""What the API shows of an order: its snapshot on the write side, so that it is right at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from typing import NotRequired, TypedDict, cast

from pydantic import TypeAdapter

from core.contracts import encode
from core.decider import RecordedEvent, fold, history, read_event
from core.documents import DocumentNotFound, Documents, Query, Where
from core.json import JsonObject, Link, Timestamp
from services.orders.decider import ORDERS, OrderNotFound
from services.orders.list_projection import CONTAINER, sku_field
from services.orders.state import OrderState, OrderStatus

HIDDEN_IN_HISTORY = frozenset({"request_digest", "payment_method"})


class OrderLinks(TypedDict):
    """`replaces` and `replaced_by` only where there is such an order."""

    self: Link
    history: Link
    cancel: Link
    payment: Link
    shipment: Link
    returns: Link
    replaces: NotRequired[Link]
    replaced_by: NotRequired[Link]


class LineView(TypedDict):
    """`unit_price` in minor units."""

    sku: str
    quantity: int
    unit_price: int


class AddressView(TypedDict):
    name: str
    street: str
    city: str
    postal_code: str
    country: str


class _Kept(TypedDict):
    """What is shown as the state has it."""

    customer_id: str
    status: OrderStatus
    currency: str
    total: int
    lines: list[LineView]
    shipping_address: AddressView
    delivery: str
    reason: str
    payment_id: str
    payment_pending: str
    shipment_id: str
    tracking_number: str
    cancel_requested: bool
    returned_to_sender: bool
    replaces: str
    replaced_by: str


class OrderView(_Kept):
    """`total` in minor units of `currency`; `reason` of a cancellation. A text that is not known is empty.

    `cancel_requested`: also for the sake of a replacement. `delivered_at` is the carrier's time.
    """

    id: str
    version: int
    payment_due: Timestamp | None
    delivered_at: Timestamp | None
    created_at: Timestamp
    updated_at: Timestamp
    links: OrderLinks


class OrderEvent(TypedDict):
    """By whom it happened (`actor`), because of which message or request, for which order."""

    version: int
    type: str
    time: Timestamp
    actor: str
    causation_id: str
    correlation_id: str
    data: JsonObject


class PlacedOrder(TypedDict):
    id: str
    status: OrderStatus
    version: int
    links: OrderLinks


class OrderHistory(TypedDict):
    id: str
    events: list[OrderEvent]
    continuation: str | None


class OrderInList(TypedDict):
    id: str
    customer_id: str
    status: OrderStatus
    version: int
    currency: str
    total: int
    created_at: Timestamp
    updated_at: Timestamp


class OrderList(TypedDict):
    items: list[OrderInList]
    continuation: str | None


_state = TypeAdapter(OrderState)


async def read_order(documents: Documents, order_id: str) -> OrderView:
    """One point read. Raises OrderNotFound."""
    try:
        snapshot = (await documents.read(ORDERS.container, order_id, "snapshot")).item
    except DocumentNotFound:
        return await _from_events(documents, order_id)
    if snapshot["schema"] != ORDERS.schema:
        return await _from_events(documents, order_id)
    state = cast(JsonObject, snapshot["state"])
    return order_view(state, cast(int, snapshot["version"]), cast(str, snapshot["updated_at"]))


async def read_order_at(documents: Documents, order_id: str, at: datetime) -> OrderView:
    """The order as it was then: what its events up to that moment add up to. Raises OrderNotFound, also for
    a moment before the first of them.
    """
    events = await history(documents, ORDERS, order_id)
    return _order_of(list(takewhile(lambda event: event.time <= at, events)))


async def _from_events(documents: Documents, order_id: str) -> OrderView:
    return _order_of(await history(documents, ORDERS, order_id))


def _order_of(events: Sequence[RecordedEvent]) -> OrderView:
    if not events:
        raise OrderNotFound
    state = fold(ORDERS, ORDERS.initial, [event.data for event in events])
    last = events[-1]
    return order_view(_state.dump_python(state, mode="json"), last.version, last.time.isoformat())


def order_view(state: JsonObject, version: int, updated_at: str) -> OrderView:
    """`state` is an `OrderState` as JSON."""
    order_id = cast(str, state["order_id"])
    kept = cast(_Kept, {name: state[name] for name in _Kept.__annotations__})
    return {
        "id": order_id,
        "version": version,
        **kept,
        "payment_due": _time(state, "payment_due"),
        "delivered_at": _time(state, "delivered_at"),
        "created_at": _utc(cast(str, state["placed_at"])),
        "updated_at": updated_at,
        "links": _with_neighbours(links(order_id), kept),
    }


def _time(state: JsonObject, name: str) -> str | None:
    found = cast(str | None, state[name])
    return None if found is None else _utc(found)


def _utc(time: str) -> str:
    """From pydantic's form to the others'."""
    return time.replace("Z", "+00:00")


def links(order_id: str) -> OrderLinks:
    self = f"/api/orders/{order_id}"
    return {
        "self": self,
        "history": f"{self}/history",
        "cancel": f"{self}/cancel",
        "payment": f"/api/payments/{order_id}",
        "shipment": f"/api/shipments/{order_id}",
        "returns": f"{self}/returns",
    }


def _with_neighbours(links: OrderLinks, order: _Kept) -> OrderLinks:
    if order["replaces"]:
        links["replaces"] = f"/api/orders/{order['replaces']}"
    if order["replaced_by"]:
        links["replaced_by"] = f"/api/orders/{order['replaced_by']}"
    return links


async def read_history(
    documents: Documents, order_id: str, limit: int, continuation: str | None
) -> OrderHistory:
    """One page of what happened, oldest first.

    Raises OrderNotFound, BadDocumentRequest for a continuation of another query.
    """
    where = (Where("kind", "=", "event"),)
    query = Query(where, order_id, "version", limit=limit, continuation=continuation)
    page = await documents.query(ORDERS.container, query)
    if not page.items and continuation is None and page.continuation is None:
        raise OrderNotFound
    events = [_event_view(read_event(item)) for item in page.items]
    return {"id": order_id, "events": events, "continuation": page.continuation}


def _event_view(event: RecordedEvent) -> OrderEvent:
    data = encode(event.data)
    return {
        "version": event.version,
        "type": event.type,
        "time": event.time.isoformat(),
        "actor": event.actor,
        "causation_id": event.causation_id,
        "correlation_id": event.correlation_id,
        "data": {name: value for name, value in data.items() if name not in HIDDEN_IN_HISTORY},
    }


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which orders are listed; None takes all. Created at `start` or later, and before `end`."""

    customer_id: str | None = None
    status: str | None = None
    sku: str | None = None
    start: datetime | None = None
    end: datetime | None = None

    def where(self) -> tuple[Where, ...]:
        conditions = []
        if self.status is not None:
            conditions.append(Where("status", "=", self.status))
        if self.sku is not None:
            conditions.append(Where(f"skus.{sku_field(self.sku)}", "=", True))
        if self.start is not None:
            conditions.append(Where("created_at", ">=", self.start.isoformat()))
        if self.end is not None:
            conditions.append(Where("created_at", "<", self.end.isoformat()))
        return tuple(conditions)


async def list_orders(
    documents: Documents, wanted: Wanted, limit: int, continuation: str | None, container: str = CONTAINER
) -> OrderList:
    """Newest first, from the read container, which follows the orders by a moment.

    Raises BadDocumentRequest for a continuation of another query.
    """
    query = Query(
        wanted.where(),
        wanted.customer_id,
        "created_at",
        descending=True,
        limit=limit,
        continuation=continuation,
    )
    page = await documents.query(container, query)
    return {"items": [_row(item) for item in page.items], "continuation": page.continuation}


def _row(item: JsonObject) -> OrderInList:
    return cast(OrderInList, {name: item[name] for name in OrderInList.__annotations__})
