"""The read container `order-list`: one row per order, by customer and by status.

    {"id": order id, "customer_id", "status", "version", "currency", "total", "skus", "created_at",
    "updated_at"}

`skus` has a field for each SKU of the order (`sku_field`), so that a plain comparison finds the orders of
one, in every store, and no other container is to be kept. `version` is that of the last event in the row. A
write says which version it continues from, so events that come twice change nothing, and when some are
missing the row is made again from the order's stream.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from core.decider import BrokenStream, RecordedEvent, history, read_event
from core.documents import (
    DocumentConflict,
    DocumentNotFound,
    Documents,
    PatchOperation,
    PreconditionFailed,
    SetField,
    Where,
)
from core.json import JsonObject
from core.read_models import Key, ReadModel, repair
from services.orders.decider import ORDERS
from services.orders.events import OrderCreated
from services.orders.state import OrderState, evolve

CONTAINER = "order-list"
CUSTOMERS_REMEMBERED = 20_000


def sku_field(sku: str) -> str:
    """The field of `skus` that says that the order is of this SKU. A SKU may hold what no field path may."""
    return "s" + hashlib.sha256(sku.encode()).hexdigest()[:32]


class Customers:
    """Whose order it is: the partition of its row. Later events do not say, so it is remembered from the
    first.

    One that is not remembered (an instance that has just started) is read from the stream.
    """

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._known: OrderedDict[str, str] = OrderedDict()

    def remember(self, order_id: str, customer_id: str) -> None:
        self._known[order_id] = customer_id
        if len(self._known) > CUSTOMERS_REMEMBERED:
            self._known.popitem(last=False)

    async def of(self, order_id: str) -> str:
        """Raises BrokenStream when the stream does not begin with the order's creation."""
        customer_id = self._known.get(order_id)
        if customer_id is None:
            try:
                first = await self._documents.read(ORDERS.container, order_id, "1")
            except DocumentNotFound as error:
                raise BrokenStream(f"stream {order_id}: version 1 is missing") from error
            customer_id = _created(read_event(first.item)).customer_id
            self.remember(order_id, customer_id)
        return customer_id


async def project(
    documents: Documents, customers: Customers, events: Sequence[RecordedEvent], container: str = CONTAINER
) -> None:
    """Take events of one order, ascending, into its row: one request when they continue it.

    Raises BrokenStream when the order's stream cannot be read.
    """
    order_id, first, last = events[0].stream, events[0].version, events[-1].version
    if first == 1:
        created = _created(events[0])
        customers.remember(order_id, created.customer_id)
    customer_id = await customers.of(order_id)
    if last - first + 1 == len(events) and await _continue(documents, container, customer_id, events):
        return
    await repair(documents, replace(ORDER_LIST, container=container), Key(customer_id, order_id))


async def _continue(
    documents: Documents, container: str, customer_id: str, events: Sequence[RecordedEvent]
) -> bool:
    """False when the row lacks events before these."""
    order_id, first, last = events[0].stream, events[0].version, events[-1].version
    if first == 1:
        try:
            await documents.create(container, customer_id, _row(events))
        except DocumentConflict:
            pass
        else:
            return True
    try:
        await documents.patch(
            container,
            customer_id,
            order_id,
            _changes(events),
            (Where("version", ">=", first - 1), Where("version", "<", last)),
        )
    except DocumentNotFound:
        return False
    except PreconditionFailed:
        return await _contains(documents, container, customer_id, order_id, last)
    return True


def _changes(events: Sequence[RecordedEvent]) -> list[PatchOperation]:
    last = events[-1]
    changes: list[PatchOperation] = [
        SetField("version", last.version),
        SetField("updated_at", last.time.isoformat()),
    ]
    status = _fold(events).status
    if status != "none":
        changes.append(SetField("status", status))
    return changes


async def _contains(
    documents: Documents, container: str, customer_id: str, order_id: str, version: int
) -> bool:
    try:
        row = (await documents.read(container, customer_id, order_id)).item
    except DocumentNotFound:
        return False
    found = row.get("version")
    return isinstance(found, int) and found >= version


def _row(events: Sequence[RecordedEvent]) -> JsonObject:
    """The row of an order, from its events up to some version."""
    created = _created(events[0])
    return {
        "id": created.order_id,
        "customer_id": created.customer_id,
        "status": _fold(events).status,
        "version": events[-1].version,
        "currency": created.currency,
        "total": created.total,
        "skus": {sku_field(line.sku): True for line in created.lines},
        "created_at": created.placed_at.isoformat(),
        "updated_at": events[-1].time.isoformat(),
    }


def _fold(events: Sequence[RecordedEvent]) -> OrderState:
    """Its status is `none` when none of the events changes the status."""
    state = OrderState()
    for event in events:
        state = evolve(state, event.data)
    return state


def _created(event: RecordedEvent) -> OrderCreated:
    if not isinstance(event.data, OrderCreated):
        raise BrokenStream(f"stream {event.stream}: begins with {event.type}")
    return event.data


async def _truth(documents: Documents, key: Key) -> JsonObject | None:
    events = await history(documents, ORDERS, key.id)
    if not events or _created(events[0]).customer_id != key.partition:
        return None
    return _row(events)


def _source_key(item: JsonObject) -> Key:
    created = _created(read_event(item))
    return Key(created.customer_id, created.order_id)


def _row_key(item: JsonObject) -> Key:
    return Key(cast(str, item["customer_id"]), cast(str, item["id"]))


ORDER_LIST = ReadModel(
    name="orders",
    container=CONTAINER,
    second="order-list-2",
    source=ORDERS.container,
    where=(Where("kind", "=", "event"), Where("version", "=", 1)),
    source_key=_source_key,
    row_key=_row_key,
    truth=_truth,
)
