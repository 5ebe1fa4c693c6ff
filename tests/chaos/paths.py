"""The ways through the saga, and the customer who takes one."""

import asyncio
from dataclasses import dataclass, field

import orjson

from emulator.host.simulated import Simulated
from tests.simulated import submit
from tools.api import Line, NewOrder
from tools.evidence import OrderFacts

STOCK = {"GLASS": 100, "VASE": 100}


@dataclass(frozen=True, slots=True)
class SagaPath:
    """One way through the saga, and how an order takes it.

    ends, reason: how the order must end, whatever crashes: what goes wrong here is not a matter of time.
    sees: the type of an event that makes this path what it is, when nothing crashes.
    told: the type of an event that must be there in the end, whatever crashes.
    cancel_at, replace_at: the status at which the customer cancels, or asks for other lines; who is first
    then decides how the order ends.
    later_s: for how long to go on once all seems done, for what a timer is to find.
    """

    name: str
    ends: str
    reason: str = ""
    sku: str = "GLASS"
    quantity: int = 2
    payment_method: str = "tok_ok"
    delivery: str = "standard"
    cancel_at: str | None = None
    replace_at: str | None = None
    submissions: int = 1
    sees: str = "orders.created"
    told: str = "orders.created"
    later_s: float = 0.0

    def end(self, cancellation: int | None = None) -> tuple[str, str]:
        """The status and reason due, given how a cancellation, or the wish for other lines, was answered."""
        return ("completed", "") if cancellation == 409 else (self.ends, self.reason)

    @property
    def order(self) -> NewOrder:
        return NewOrder(
            "C-1",
            (Line(self.sku, self.quantity, 250), Line("VASE", 1, 1000)),
            payment_method=self.payment_method,
            delivery=self.delivery,
        )


PATHS = (
    SagaPath("completed", "completed"),
    SagaPath("submitted_twice", "completed", submissions=2),
    SagaPath("out_of_stock", "cancelled", "inventory_failed:out_of_stock", quantity=1000),
    SagaPath("unknown_sku", "cancelled", "inventory_failed:unknown_sku", sku="NO-SUCH"),
    SagaPath("card_declined", "cancelled", "payment_failed:card_declined", payment_method="tok_declined"),
    SagaPath(
        "carrier_refuses", "cancelled", "shipping_failed:address_not_served", delivery="sandbox-refused"
    ),
    SagaPath("payment_never_answers", "cancelled", "payment_timed_out", payment_method="tok_no_answer"),
    SagaPath("charged_but_never_answers", "completed", payment_method="tok_charged_no_answer"),
    SagaPath("carrier_never_answers", "cancelled", "shipping_timed_out", delivery="sandbox-no-answer"),
    SagaPath("delivered", "completed", delivery="sandbox-delivers-2", told="orders.delivered"),
    SagaPath("first_carrier_refuses", "completed", delivery="sandbox-post-refused"),
    SagaPath("first_carrier_does_not_answer", "completed", delivery="sandbox-post-no-answer"),
    SagaPath("first_carrier_is_late", "completed", delivery="sandbox-post-late-20", later_s=620.0),
    SagaPath("payment_ends_by_webhook", "completed", payment_method="tok_pending_2"),
    SagaPath(
        "customer_acts_after_all_attempts",
        "completed",
        payment_method="tok_action_50",
        sees="orders.payment_pending",
    ),
    SagaPath(
        "payment_is_declined_later",
        "cancelled",
        "payment_failed:card_declined",
        payment_method="tok_pending_declined_20",
        sees="orders.payment_pending",
    ),
    SagaPath(
        "payment_is_abandoned",
        "cancelled",
        "payment_timed_out",
        payment_method="tok_action_abandoned",
        sees="orders.payment_pending",
    ),
    SagaPath(
        "payment_ends_after_the_cancellation",
        "cancelled",
        "payment_timed_out",
        payment_method="tok_pending_stuck_130",
        sees="orders.payment_pending",
    ),
    SagaPath(
        "cancelled_while_payment_is_pending",
        "cancelled",
        "customer_request",
        payment_method="tok_action_abandoned",
        cancel_at="inventory_reserved",
    ),
    SagaPath("payment_outage", "completed", payment_method="tok_outage_5"),
    SagaPath("carrier_outage", "cancelled", "shipping_timed_out", delivery="sandbox-outage-60"),
    SagaPath(
        "refund_outage_needs_attention",
        "cancelled",
        "shipping_failed:address_not_served",
        payment_method="tok_refund_outage_20",
        delivery="sandbox-refused",
        sees="orders.needs_attention",
    ),
    SagaPath("cancelled_at_once", "cancelled", "customer_request", cancel_at="created"),
    SagaPath(
        "cancelled_while_charging",
        "cancelled",
        "customer_request",
        payment_method="tok_slow_2",
        cancel_at="inventory_reserved",
    ),
    SagaPath(
        "replaced_while_charging",
        "cancelled",
        "replaced",
        payment_method="tok_slow_2",
        replace_at="inventory_reserved",
        sees="orders.replacement_requested",
    ),
)


def path(name: str) -> SagaPath:
    (found,) = [each for each in PATHS if each.name == name]
    return found


MIX = (
    *[path("completed")] * 4,
    path("out_of_stock"),
    path("card_declined"),
    path("carrier_refuses"),
    path("cancelled_at_once"),
)
"""What customers buy where many do, each as likely as the others; none takes long of itself."""


@dataclass
class Customer:
    """Sends until it is answered, as any client does whose connection broke; remembers the answers.

    cancelled: how the cancellation, or the wish for other lines, was answered; None before.
    replacement: the order that takes the place of the first, once that was accepted.
    """

    path: SagaPath
    accepted: set[str] = field(default_factory=set)
    submitted: int = 0
    cancelled: int | None = None
    replacement: str | None = None

    async def act(self, run: Simulated) -> None:
        while self.submitted < self.path.submissions:
            self.accepted.add(await submit(run, self.path.order, "key-1"))
            self.submitted += 1
        if self.path.cancel_at is not None and self.cancelled is None:
            (order_id,) = self.accepted
            await self._reach(run, order_id, self.path.cancel_at)
            answer = await run.request("POST", f"/api/orders/{order_id}/cancel", {}, b"")
            assert answer.status in (202, 409), answer.body
            self.cancelled = answer.status

        if self.path.replace_at is not None and self.cancelled is None:
            (order_id,) = self.accepted
            await self._reach(run, order_id, self.path.replace_at)
            await self._replace(run, order_id)

    async def _replace(self, run: Simulated, order_id: str) -> None:
        headers = {"idempotency-key": "other", "content-type": "application/json"}
        body = orjson.dumps({"lines": [{"sku": "VASE", "quantity": 3, "unit_price": 900}]})
        answer = await run.request("POST", f"/api/orders/{order_id}/replacement", headers, body)
        assert answer.status in (202, 409), answer.body
        if answer.status == 202:
            self.replacement = str(orjson.loads(answer.body)["replaced_by"])
            self.accepted.add(self.replacement)
        self.cancelled = answer.status

    async def _reach(self, run: Simulated, order_id: str, status: str) -> None:
        """Or a status that can only be later, since all that is between was missed."""
        while True:
            answer = await run.request("GET", f"/api/orders/{order_id}")
            if orjson.loads(answer.body)["status"] in (status, "completed", "cancelled", "cancelling"):
                return
            await asyncio.sleep(0.02)

    def disappointments(self, orders: dict[str, OrderFacts]) -> list[str]:
        """Where an order did not end as it must."""
        due = dict.fromkeys(self.accepted, self.path.end(self.cancelled))
        if self.replacement is not None:
            due[self.replacement] = ("completed", "")
        return [
            f"{id} is {orders[id].status} for {orders[id].reason!r}, {due[id]} is due"
            for id in self.accepted & orders.keys()
            if (orders[id].status, orders[id].reason) != due[id]
        ]
