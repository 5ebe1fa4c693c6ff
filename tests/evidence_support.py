"""What a run leaves behind, made by hand: one completed and one cancelled order, a return, their stock."""

from typing import Any

type Documents = dict[str, list[dict[str, Any]]]

TIME = "2026-01-01T00:00:00+00:00"
LINES = [
    {"sku": "A", "quantity": 1, "unit_price": 300},
    {"sku": "B", "quantity": 2, "unit_price": 100},
    {"sku": "B", "quantity": 1, "unit_price": 50},
]
CREATED = {"customer_id": "c1", "currency": "GBP", "total": 550, "lines": LINES}


def event(stream: str, version: int, type_: str, **data: Any) -> dict[str, Any]:
    return {
        "id": str(version),
        "stream": stream,
        "kind": "event",
        "version": version,
        "type": f"orders.{type_}",
        "time": TIME,
        "data": data,
    }


def history(stream: str, *types: tuple[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return [event(stream, version, type_, **data) for version, (type_, data) in enumerate(types, start=1)]


def completed_order(id: str) -> list[dict[str, Any]]:
    steps = ("inventory_reserved", "payment_processed", "shipping_requested", "shipping_created", "completed")
    return history(id, ("created", CREATED), *((step, {}) for step in steps))


def cancelled_order(id: str) -> list[dict[str, Any]]:
    """The carrier refused: what had been done is undone."""
    return history(
        id,
        ("created", CREATED),
        ("inventory_reserved", {}),
        ("payment_processed", {}),
        ("shipping_requested", {}),
        ("cancellation_started", {"reason": "shipping_failed:no_route", "undo": ["payment", "inventory"]}),
        ("payment_refunded", {}),
        ("inventory_released", {}),
        ("cancelled", {"reason": "shipping_failed:no_route"}),
    )


def returned(id: str, first: int) -> list[dict[str, Any]]:
    """Of the second line, of SKU B, two pieces: one goes back on the shelf, nothing is paid back."""
    return_id = f"{id}-r1"
    found = {"line": 2, "restocked": 1, "written_off": 1, "refunded": 0}
    happened: list[tuple[str, dict[str, Any]]] = [
        ("requested", {"lines": [{"line": 2, "quantity": 2, "reason": "broken"}]}),
        ("approved", {}),
        ("label_created", {}),
        ("received", {}),
        ("inspected", {"lines": [found], "refund": 0}),
        ("restocked", {}),
        ("completed", {}),
    ]
    return [
        event(id, version, f"return_{type_}", return_id=return_id, **data)
        for version, (type_, data) in enumerate(happened, start=first)
    ]


def audit_pages(documents: Documents) -> list[dict[str, Any]]:
    """As the feeds copy the events and the histories of holds, each stream as one page."""
    streams: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for chain in ("orders", "payments", "shipments"):
        for item in documents.get(chain, []):
            if item.get("kind") == "event":
                streams.setdefault((chain, item["stream"]), []).append(dict(item))
    for item in documents.get("reservations", []):
        if item.get("history"):
            streams["reservations", item["order_id"]] = list(item["history"])
    return [
        {"kind": "page", "chain": chain, "stream": stream, "first": 1, "entries": entries}
        for (chain, stream), entries in streams.items()
    ]


def snapshot(id: str, status: str, version: int) -> dict[str, Any]:
    state = {"status": status, **CREATED}
    return {
        "id": "snapshot",
        "stream": id,
        "kind": "snapshot",
        "version": version,
        "updated_at": TIME,
        "state": state,
    }


def listed(id: str, status: str, version: int) -> dict[str, Any]:
    return {"id": id, "status": status, "version": version, "updated_at": TIME, **CREATED}


def inbox(id: str, command: str, reply: str) -> dict[str, Any]:
    return {"id": f"inbox:{id}:{command}", "stream": id, "kind": "inbox", "reply": {"type": reply}}


def reservation(id: str, status: str, **replies: str | None) -> dict[str, Any]:
    return {
        "id": "reservation",
        "order_id": id,
        "status": status,
        "commands": {
            f"{id}:inventory.{command}": {"type": command, "reply": reply and {"type": f"inventory.{reply}"}}
            for command, reply in replies.items()
        },
    }


def hold(id: str, sku: str, quantity: int, state: str) -> dict[str, Any]:
    return {
        "id": f"hold:{id}",
        "sku": sku,
        "kind": "hold",
        "order_id": id,
        "quantity": quantity,
        "state": state,
    }


def stock(sku: str, **figures: int) -> dict[str, Any]:
    return {"id": "stock", "sku": sku, "kind": "stock", **figures}


def movement(sku: str, number: int, quantity: int, reason: str | None = None) -> dict[str, Any]:
    return {
        "id": f"movement:{number}",
        "sku": sku,
        "kind": "movement",
        "number": number,
        "movement": "adjustment" if reason else "receipt",
        "quantity": quantity,
        "reason": reason,
    }


def came_back(id: str, order_id: str, sku: str, restocked: int, written_off: int) -> dict[str, Any]:
    return {
        "id": f"return:{id}",
        "sku": sku,
        "kind": "return",
        "order_id": order_id,
        "return_id": id,
        "restocked": restocked,
        "written_off": written_off,
    }


def charge(id: str, order_id: str, status: str) -> dict[str, Any]:
    return {"id": id, "kind": "charge", "order_id": order_id, "status": status, "amount": 550}


def shipment(order_id: str, carrier: str = "") -> dict[str, Any]:
    return {
        "id": f"shipment:{order_id}",
        "kind": "shipment",
        "order_id": order_id,
        "carrier": carrier,
        "status": "created",
    }


def parcel(id: str, version: int, type: str, **data: Any) -> dict[str, Any]:
    """An event of the stream of a parcel."""
    return event(id, version, type, **data) | {"type": f"shipping.{type}"}


def sound() -> Documents:
    """One completed and one cancelled order of SKUs A and B; 10 of each were received, 1 of A got lost, 2 of
    B came back, one of them broken."""
    return {
        "orders": [
            *completed_order("good"),
            *returned("good", 7),
            snapshot("good", "completed", 13),
            *cancelled_order("bad"),
            snapshot("bad", "cancelled", 8),
        ],
        "order-list": [listed("good", "completed", 13), listed("bad", "cancelled", 8)],
        "inventory": [
            stock("A", received=10, adjusted=-1, available=8, held=0, shipped=1, version=5),
            movement("A", 1, 10),
            movement("A", 2, -1, "lost"),
            hold("good", "A", 1, "committed"),
            hold("bad", "A", 1, "released"),
            stock(
                "B",
                received=10,
                adjusted=0,
                available=8,
                held=0,
                shipped=3,
                returned=2,
                written_off=1,
                version=5,
            ),
            movement("B", 1, 10),
            hold("good", "B", 3, "committed"),
            hold("bad", "B", 3, "released"),
            came_back("good-r1", "good", "B", 1, 1),
        ],
        "stock-levels": [
            {"id": "A", "sku": "A", "available": 8, "held": 0, "shipped": 1},
            {"id": "B", "sku": "B", "available": 8, "held": 0, "shipped": 3, "returned": 2, "written_off": 1},
        ],
        "reservations": [
            {
                **reservation("good", "committed", reserve="reserved"),
                "commands": {
                    **reservation("good", "committed", reserve="reserved")["commands"],
                    "good:inventory.restock:good-r1": {"reply": {"type": "inventory.restocked"}},
                },
            },
            reservation("bad", "released", reserve="reserved", release="released"),
        ],
        "payments": [
            inbox("good", "payments.charge", "payments.charged"),
            inbox("bad", "payments.charge", "payments.charged"),
            inbox("bad", "payments.refund", "payments.refunded"),
        ],
        "shipments": [
            inbox("good", "shipping.create", "shipping.created"),
            inbox("bad", "shipping.create", "shipping.refused"),
        ],
        "sandbox": [
            charge("charge:good", "good", "charged"),
            charge("charge:bad", "bad", "refunded"),
            shipment("good"),
            shipment("good-r1"),
        ],
        "notifications": [],
    }
