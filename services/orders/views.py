"""What the API shows of an order: its snapshot on the write side, so that it is right at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from typing import cast

from pydantic import TypeAdapter

from core.contracts import encode
from core.decider import RecordedEvent, fold, history, read_event
from core.documents import DocumentNotFound, Documents, Query, Where
from core.json import Json, JsonObject
from services.orders.decider import ORDERS, OrderNotFound
from services.orders.list_projection import CONTAINER, sku_field
from services.orders.state import OrderState

HIDDEN_IN_HISTORY = frozenset({"request_digest", "payment_method"})
IN_LIST = ("id", "customer_id", "status", "version", "currency", "total", "created_at", "updated_at")

_state = TypeAdapter(OrderState)


async def read_order(documents: Documents, order_id: str) -> JsonObject:
    """One point read. Raises OrderNotFound.

    {"id", "customer_id", "status", "version", "currency", "total", "lines", "shipping_address", "delivery",
    "reason", "payment_id", "shipment_id", "tracking_number", "created_at", "updated_at", "replaces",
    "replaced_by", "links"}
    """
    try:
        snapshot = (await documents.read(ORDERS.container, order_id, "snapshot")).item
    except DocumentNotFound:
        return await _from_events(documents, order_id)
    if snapshot["schema"] != ORDERS.schema:
        return await _from_events(documents, order_id)
    state = cast(JsonObject, snapshot["state"])
    return order_view(state, cast(int, snapshot["version"]), cast(str, snapshot["updated_at"]))


async def read_order_at(documents: Documents, order_id: str, at: datetime) -> JsonObject:
    """The order as it was then: what its events up to that moment add up to. Raises OrderNotFound, also for
    a moment before the first of them.
    """
    events = await history(documents, ORDERS, order_id)
    return _order_of(list(takewhile(lambda event: event.time <= at, events)))


async def _from_events(documents: Documents, order_id: str) -> JsonObject:
    return _order_of(await history(documents, ORDERS, order_id))


def _order_of(events: Sequence[RecordedEvent]) -> JsonObject:
    if not events:
        raise OrderNotFound
    state = fold(ORDERS, ORDERS.initial, [event.data for event in events])
    last = events[-1]
    return order_view(_state.dump_python(state, mode="json"), last.version, last.time.isoformat())


def order_view(state: JsonObject, version: int, updated_at: str) -> JsonObject:
    """`state` is an `OrderState` as JSON."""
    return {
        "id": state["order_id"],
        "customer_id": state["customer_id"],
        "status": state["status"],
        "version": version,
        "currency": state["currency"],
        "total": state["total"],
        "lines": state["lines"],
        "shipping_address": state["shipping_address"],
        "delivery": state["delivery"],
        "reason": state["reason"],
        "payment_id": state["payment_id"],
        "shipment_id": state["shipment_id"],
        "tracking_number": state["tracking_number"],
        "created_at": cast(str, state["placed_at"]).replace("Z", "+00:00"),  # pydantic's form to the others'
        "updated_at": updated_at,
        "replaces": state["replaces"],
        "replaced_by": state["replaced_by"],
        "links": {**links(cast(str, state["order_id"])), **_neighbours(state)},
    }


def links(order_id: str) -> JsonObject:
    self = f"/api/orders/{order_id}"
    return {
        "self": self,
        "history": f"{self}/history",
        "cancel": f"{self}/cancel",
        "shipment": f"/api/shipments/{order_id}",
    }


def _neighbours(state: JsonObject) -> JsonObject:
    return {name: f"/api/orders/{state[name]}" for name in ("replaces", "replaced_by") if state[name]}


async def read_history(
    documents: Documents, order_id: str, limit: int, continuation: str | None
) -> JsonObject:
    """One page of what happened, oldest first: by whom (`actor`), because of which message or request
    (`causation_id`), for which order (`correlation_id`).

    Raises OrderNotFound, BadDocumentRequest for a continuation of another query.
    """
    where = (Where("kind", "=", "event"),)
    query = Query(where, order_id, "version", limit=limit, continuation=continuation)
    page = await documents.query(ORDERS.container, query)
    if not page.items and continuation is None and page.continuation is None:
        raise OrderNotFound
    events = [_event_view(read_event(item)) for item in page.items]
    return {"id": order_id, "events": events, "continuation": page.continuation}


def _event_view(event: RecordedEvent) -> Json:
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
) -> JsonObject:
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
    items: list[Json] = [{name: item.get(name) for name in IN_LIST} for item in page.items]
    return {"items": items, "continuation": page.continuation}
