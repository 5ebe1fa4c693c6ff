"""One way through the app that gets every answer of every route: orders, returns, stock and mails.

It works on the sandbox gateway and carrier, whose behaviour an order chooses by its payment method.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import orjson
import requests

from core.signatures import sign
from tests.declared_answers import DOCUMENT, OPERATIONS, check

DEADLINE_S = 60.0
PAUSE_S = 0.05
REPORT_KEY = "a key of delivery reports, for tests"
SETTINGS = {"ORDERFLOW_LOG_LEVEL": "ERROR", "ORDERFLOW_DELIVERY_REPORT_KEY": REPORT_KEY}

PATHS = {
    operation["operationId"]: (method.upper(), path)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}
WANTED = {
    (name, int(status))
    for name, operation in OPERATIONS.items()
    for status in operation["responses"]
    if int(status) < 400
}
TOO_LONG = {
    ("close_alert", 200): "an alert that a person closes takes a carrier that is asked again for hours",
}
"""Of WANTED, what has its schema held against in tests/unit alone."""

TEMPLATE = {"kind": "order_shipped", "channel": "sms", "locale": "de"}
"""Of SMS, as the example of a body is."""


class Tour:
    """Asks, holds each answer against the document, and remembers which it has `seen`."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = requests.Session()
        self.seen: set[tuple[str, int]] = set()

    def ask(
        self,
        operation: str,
        status: int = 200,
        *,
        body: object = None,
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        **path: str,
    ) -> requests.Response:
        """`body` is sent as JSON unless it is bytes."""
        method, template = PATHS[operation]
        raw = body if isinstance(body, bytes) or body is None else orjson.dumps(body)
        sent = {"Content-Type": "application/json", **(headers or {})}
        response = self._session.request(
            method,
            self._url + template.format(**{name: quote(value, safe="") for name, value in path.items()}),
            data=raw,
            params=query,
            headers=sent,
            allow_redirects=False,
            timeout=DEADLINE_S,
        )
        assert response.status_code == status, f"{operation}: {response.status_code} {response.text}"
        check(operation, response.status_code, response.headers, response.content)
        self.seen.add((operation, status))
        return response

    def example(self, operation: str, status: int = 200, **given: Any) -> requests.Response:
        """With the body that the document shows."""
        (content,) = OPERATIONS[operation]["requestBody"]["content"].values()
        return self.ask(operation, status, body=content["example"], **given)

    def until(self, good: Callable[[Any], bool], operation: str, **given: Any) -> Any:
        """The body of the answer, once it is good."""
        ends_at = time.monotonic() + DEADLINE_S
        while True:
            body = self.ask(operation, **given).json()
            if good(body):
                return body
            assert time.monotonic() < ends_at, f"{operation}: {body}"
            time.sleep(PAUSE_S)


def key(value: str) -> dict[str, str]:
    return {"Idempotency-Key": value}


def signed(body: object) -> tuple[bytes, dict[str, str]]:
    """As the sandbox's webhooks are."""
    raw = orjson.dumps(body)
    return raw, {"Sandbox-Signature": sign("sandbox", raw, datetime.now(UTC))}


def go(tour: Tour) -> dict[str, list[str]]:
    """What there is then, by the name of the parameter that takes it."""
    of_system(tour)
    stock(tour)
    method_id = customers(tour)
    orders = place_orders(tour)
    import_id = imports(tour)
    returns = go_back(tour, orders["paid"], orders["not paid back"])
    parcels(tour, orders["paid"])
    payments(tour, orders["paid"])
    notification_id, token = notifications(tour, orders["paid"])
    operations(tour, orders["paid"])
    ends(tour, orders)
    return {
        "order_id": list(orders.values()),
        "return_id": returns,
        "parcel_id": [orders["paid"], returns[-1]],
        "stream": [orders["paid"], "TEAPOT"],
        "sku": ["TEAPOT", "CUP"],
        "import_id": [import_id],
        "customer_id": ["ada"],
        "method_id": [method_id],
        "id": [notification_id],
        "token": [token],
        "locale": ["en", "de"],
        "name": ["orders", "stock"],
        "provider": ["sandbox"],
        "carrier": ["sandbox"],
    }


def of_system(tour: Tour) -> None:
    tour.ask("get_health")
    tour.ask("get_openapi")
    tour.ask("get_docs")


def stock(tour: Tour) -> None:
    sku = {"sku": "TEAPOT"}
    tour.ask("put_inventory", body={"on_hand": 100}, **sku)
    tour.example("receive_inventory", headers=key("receipt"), **sku)
    tour.example("adjust_inventory", headers=key("adjustment"), **sku)
    tour.ask("count_inventory", body={"on_hand": 90, "reference": "stock-take"}, headers=key("count"), **sku)
    tour.example("put_inventory_threshold", **sku)
    tour.ask("delete_inventory_threshold", **sku)
    assert tour.ask("get_inventory", **sku).json()["on_hand"] == 90
    assert len(tour.ask("get_inventory_ledger", **sku).json()["items"]) == 4
    tour.until(lambda body: len(body["items"]) > 0, "list_inventory")


def imports(tour: Tour) -> str:
    csv, headers = b"sku,quantity\nCUP,40\nSAUCER,many\n", {"Content-Type": "text/csv"}
    accepted = tour.ask("import_inventory", 202, body=csv, headers=headers).json()
    given = {"import_id": accepted["id"]}
    report = tour.until(lambda body: body["status"] == "completed", "get_inventory_import", **given)
    assert (report["booked"], report["failed"]) == (1, 1)
    assert tour.ask("list_inventory_import_errors", **given).json()["items"]
    assert tour.ask("import_inventory", body=csv, headers=headers).json()["id"] == accepted["id"]
    return str(accepted["id"])


def customers(tour: Tour) -> str:
    customer = {"customer_id": "ada"}
    tour.example("add_payment_method", 201, **customer)
    card = {**customer, "method_id": tour.example("add_payment_method", **customer).json()["id"]}
    tour.ask("set_default_payment_method", **card)
    assert tour.ask("list_payment_methods", **customer).json()["payment_methods"]
    tour.ask("expire_payment_method", **card)
    tour.ask("remove_payment_method", 204, **card)
    kept = tour.ask("add_payment_method", 201, body={"token": "tok_amex"}, **customer).json()
    wanted = {
        "email": "ada@example.com",
        "phone": "+447700900123",
        "push": [
            {"endpoint": "https://fcm.googleapis.com/send/1", "keys": {"p256dh": "p" * 87, "auth": "a" * 22}}
        ],
        "quiet_hours": {"start": "03:00", "end": "03:01"},
        "channels": {"sms": {"order_shipped": "off"}},
    }
    tour.ask("put_notification_preferences", body=wanted, **customer)
    assert tour.ask("get_notification_preferences", **customer).json()["push"]
    return str(kept["id"])


def place_orders(tour: Tour) -> dict[str, str]:
    def place(name: str, payment_method: str) -> str:
        example = OPERATIONS["place_order"]["requestBody"]["content"]["application/json"]["example"]
        body = {**example, "payment_method": payment_method}
        return str(tour.ask("place_order", 202, body=body, headers=key(name)).json()["id"])

    # The gateway takes its time: until it answers, these may be changed and cancelled.
    cancelled, replaced = place("cancelled", "tok_slow_4"), place("replaced", "tok_slow_4")
    tour.example("put_order_address", order_id=cancelled)
    tour.ask("retry_order", 202, order_id=cancelled)
    tour.example("cancel_order_request", 202, order_id=cancelled)
    tour.example("replace_order", 202, order_id=replaced, headers=key("replacement"))
    paid, not_paid_back = place("paid", "tok_ok"), place("not paid back", "tok_refund_refused")
    for order_id in (paid, not_paid_back):
        query = {"wait": "5"}
        tour.until(lambda body: body["status"] == "completed", "get_order", order_id=order_id, query=query)
    return {"paid": paid, "not paid back": not_paid_back, "cancelled": cancelled, "replaced": replaced}


def ends(tour: Tour, orders: dict[str, str]) -> None:
    order = tour.ask("get_order", order_id=orders["paid"])
    tour.ask("get_order", order_id=orders["paid"], query={"at": order.json()["created_at"]})
    tour.ask("get_order", 304, order_id=orders["paid"], headers={"If-None-Match": order.headers["ETag"]})
    assert len(tour.ask("get_order_history", order_id=orders["paid"]).json()["events"]) > 4
    tour.until(lambda body: len(body["items"]) > 3, "list_orders", query={"customer_id": "ada"})
    for name in ("cancelled", "replaced"):
        tour.until(lambda body: body["status"] == "cancelled", "get_order", order_id=orders[name])


def deliver(tour: Tour, order_id: str, at: datetime) -> None:
    body = {
        "id": f"delivered-{order_id}",
        "type": "parcel.delivered",
        "parcel_id": order_id,
        "shipment_id": tour.ask("get_order", order_id=order_id).json()["shipment_id"],
        "at": at.isoformat(),
    }
    raw, headers = signed(body)
    tour.ask("take_shipping_webhook", 202, carrier="sandbox", body=raw, headers=headers)
    tour.until(
        lambda body: any(event["type"] == "orders.delivered" for event in body["events"]),
        "get_order_history",
        order_id=order_id,
    )


def go_back(tour: Tour, order_id: str, not_paid_back: str) -> list[str]:
    """A return that is cancelled, one that is rejected, one settled by hand, and one that completes."""

    def ask_for(order_id: str, name: str) -> dict[str, str]:
        asked = tour.example("request_return", 202, order_id=order_id, headers=key(name)).json()
        return {"return_id": asked["id"]}

    def until_status(status: str, back: dict[str, str]) -> None:
        tour.until(lambda body: body["status"] == status, "get_return", **back)

    def inspect(back: dict[str, str]) -> None:
        until_status("awaiting_parcel", back)
        tour.ask("receive_return", 202, **back)
        until_status("received", back)
        tour.example("inspect_return", 202, **back)

    cancelled, settled = ask_for(order_id, "cancelled"), ask_for(not_paid_back, "settled")
    tour.ask("retry_return", 202, **settled)
    tour.ask("cancel_return_request", 202, **cancelled)
    until_status("cancelled", cancelled)
    inspect(settled)
    tour.until(lambda body: body["needs_attention"] != "", "get_return", **settled)
    tour.until(lambda body: len(body["items"]) > 0, "list_alerts")
    tour.example("settle_return", 202, **settled)
    # Delivered so long ago, goods are taken back only if somebody says so.
    deliver(tour, order_id, datetime.now(UTC) - timedelta(days=60))
    rejected, completed = ask_for(order_id, "rejected"), ask_for(order_id, "completed")
    tour.example("reject_return", 202, **rejected)
    tour.ask("approve_return", 202, **completed)
    inspect(completed)
    until_status("completed", completed)
    assert len(tour.ask("list_returns", order_id=order_id).json()["items"]) == 3
    return [each["return_id"] for each in (cancelled, rejected, settled, completed)]


def parcels(tour: Tour, order_id: str) -> None:
    assert tour.example("quote_parcel").json()["offers"]
    assert tour.ask("get_shipment", parcel_id=order_id).json()["news"]
    label = {"parcel_id": order_id, "query": {"format": "zpl"}}
    tour.ask("get_shipment_label", 302, **label)
    tour.ask("get_shipment_label", headers={"Accept": "application/json"}, **label)
    ignored = {"id": "n-1", "type": "tariff.changed", "shipment_id": "x", "at": "2027-01-15T08:00:00Z"}
    raw, headers = signed(ignored)
    tour.ask("take_shipping_webhook", carrier="sandbox", body=raw, headers=headers)


def payments(tour: Tour, order_id: str) -> None:
    payment = tour.ask("get_payment", order_id=order_id).json()
    assert payment["refunds"]
    told = {"id": "n-1", "order_id": order_id, "payment_id": payment["payment_id"]}
    for type_, status in (("charge.succeeded", 202), ("tariff.changed", 200)):
        raw, headers = signed({**told, "type": type_})
        tour.ask("take_payment_webhook", status, provider="sandbox", body=raw, headers=headers)
    tour.ask("list_payment_differences")


def notifications(tour: Tour, order_id: str) -> tuple[str, str]:
    tour.ask("list_notification_kinds")
    tour.example("put_notification_template", **TEMPLATE | {"channel": "email"})
    tour.ask("get_notification_template", **TEMPLATE)
    tour.example("preview_notification_template", **TEMPLATE)
    tour.ask("withdraw_notification_template", **TEMPLATE | {"channel": "email"})
    sent = tour.until(
        lambda body: any(each["status"] == "sent" for each in body["items"]),
        "list_notifications",
        query={"order_id": order_id},
    )
    notification_id = str(sent["items"][0]["id"])
    tour.ask("get_notification", id=notification_id)
    messages = tour.ask("get_outbox", query={"limit": "100"}).json()["items"]
    url = next(each["unsubscribe_url"] for each in messages if each["unsubscribe_url"])
    token = url.rpartition("/")[2]
    tour.ask("show_unsubscribe", token=token)
    tour.ask("unsubscribe", token=token)
    reports(tour)
    return notification_id, token


def reports(tour: Tour) -> None:
    event = {"id": "e-1", "eventTime": "2027-01-15T08:00:00Z", "eventType": "Microsoft.Communication."}
    delivered = {"messageId": "unknown", "status": "Delivered"}
    asked = {
        **event,
        "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
        "data": {"validationCode": "code-1"},
    }
    report = {**event, "eventType": "Microsoft.Communication.EmailDeliveryReportReceived", "data": delivered}
    query = {"key": REPORT_KEY}
    assert tour.ask("take_delivery_reports", body=[asked], query=query).json() == {
        "validationResponse": "code-1"
    }
    assert tour.ask("take_delivery_reports", body=[report], query=query).json() == {"taken": 1}
    mail = (
        b"Content-Type: multipart/report; boundary=b\n\n--b\nContent-Type: message/delivery-status\n\n"
        b"Reporting-MTA: dns; mail.example.com\n\n"
        b"Final-Recipient: rfc822; ada@example.com\nAction: delivered\nStatus: 2.0.0\n\n--b--\n"
    )
    tour.ask("take_delivery_status", body=mail, query=query, headers={"Content-Type": "message/rfc822"})


def operations(tour: Tour, order_id: str) -> None:
    tour.ask("rebuild_projection", name="orders")
    tour.ask("get_projection", name="stock")
    tour.ask("replay_projection", name="stock")
    tour.until(lambda body: len(body["entries"]) > 4, "get_audit_trail", stream=order_id)
