"""The real app on simulated time, for the tests that crash it: the app indexed once, a world, what "settled" means."""

import asyncio
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from emulator.host.app import App, load_app
from emulator.host.simulated import Simulated
from emulator.servicebus.schema import LOCKED, READY, SCHEDULED
from tools.evidence import read_evidence
from tools.invariants import Violation, check

ROOT = Path(__file__).resolve().parents[2]

STOCK = {"GLASS": 100, "VASE": 100}

# Short, so that a path with many time-outs is a few simulated minutes.
SETTINGS = {
    "ORDERFLOW_ADAPTERS": "embedded",
    "ORDERFLOW_LOG_LEVEL": "ERROR",
    "ORDERFLOW_STEP_TIMEOUT_SECONDS": "4",
    "ORDERFLOW_STEP_ATTEMPTS": "2",
    "ORDERFLOW_UNDO_ATTEMPTS": "3",
    "ORDERFLOW_ATTENTION_INTERVAL_SECONDS": "20",
    "ORDERFLOW_IDLE_SECONDS": "60",
    "ORDERFLOW_GATEWAY_TIMEOUT_SECONDS": "3",
}


@cache
def orderflow() -> App:
    """The function app of this repository, with SETTINGS. Indexed once per process: the worker library is global."""
    os.environ.update(SETTINGS)
    return load_app(ROOT)


@dataclass(frozen=True, slots=True)
class SagaPath:
    """One way through the saga, and how an order takes it.

    cancel_at: the status at which the customer cancels.
    """

    name: str
    ends: str
    sku: str = "GLASS"
    quantity: int = 2
    payment_method: str = "tok_ok"
    delivery: str = "standard"
    cancel_at: str | None = None
    submissions: int = 1

    @property
    def body(self) -> bytes:
        return orjson.dumps(
            {
                "customer_id": "C-1",
                "currency": "GBP",
                "lines": [
                    {"sku": self.sku, "quantity": self.quantity, "unit_price": 250},
                    {"sku": "VASE", "quantity": 1, "unit_price": 1000},
                ],
                "shipping_address": {
                    "name": "Ada Lovelace",
                    "street": "1 St James's Square",
                    "city": "London",
                    "postal_code": "SW1Y 4JH",
                    "country": "GB",
                },
                "payment_method": self.payment_method,
                "delivery": self.delivery,
            }
        )


PATHS = (
    SagaPath("completed", "completed"),
    SagaPath("submitted_twice", "completed", submissions=2),
    SagaPath("out_of_stock", "cancelled", quantity=1000),
    SagaPath("unknown_sku", "cancelled", sku="NO-SUCH"),
    SagaPath("card_declined", "cancelled", payment_method="tok_declined"),
    SagaPath("carrier_refuses", "cancelled", delivery="sandbox-refused"),
    SagaPath("payment_never_answers", "cancelled", payment_method="tok_no_answer"),
    SagaPath("charged_but_never_answers", "cancelled", payment_method="tok_charged_no_answer"),
    SagaPath("carrier_never_answers", "cancelled", delivery="sandbox-no-answer"),
    SagaPath("payment_outage", "completed", payment_method="tok_outage_5"),
    SagaPath("carrier_outage", "cancelled", delivery="sandbox-outage-150"),
    SagaPath("refund_outage_needs_attention", "cancelled", payment_method="tok_refund_outage_120", delivery="sandbox-refused"),
    SagaPath("cancelled_at_once", "cancelled", cancel_at="created"),
    SagaPath("cancelled_while_charging", "cancelled", payment_method="tok_slow_2", cancel_at="inventory_reserved"),
)


@dataclass
class Customer:
    """Sends until it is answered, as any client does whose connection broke; remembers what was accepted."""

    path: SagaPath
    accepted: set[str] = field(default_factory=set)
    submitted: int = 0
    cancelled: bool = False

    async def act(self, run: Simulated) -> None:
        while self.submitted < self.path.submissions:
            answer = await run.request(
                "POST", "/api/orders", {"Idempotency-Key": "key-1", "Content-Type": "application/json"}, self.path.body
            )
            assert answer.status == 202, answer.body
            self.accepted.add(orjson.loads(answer.body)["id"])
            self.submitted += 1
        if self.path.cancel_at is not None and not self.cancelled:
            (order_id,) = self.accepted
            order = await self._reach(run, order_id, self.path.cancel_at)
            if order not in ("completed", "cancelled"):
                answer = await run.request("POST", f"/api/orders/{order_id}/cancel", {}, b"")
                assert answer.status in (202, 409), answer.body
            self.cancelled = True

    async def _reach(self, run: Simulated, order_id: str, status: str) -> str:
        while True:
            answer = await run.request("GET", f"/api/orders/{order_id}")
            found: str = orjson.loads(answer.body)["status"]
            if found in (status, "completed", "cancelled", "cancelling", "needs_attention"):
                return found
            await asyncio.sleep(0.02)


async def load_stock(run: Simulated) -> None:
    for sku, on_hand in STOCK.items():
        answer = await run.request(
            "PUT", f"/api/inventory/{sku}", {"Content-Type": "application/json"}, orjson.dumps({"on_hand": on_hand})
        )
        assert answer.status == 200, answer.body


def at_rest(run: Simulated) -> Callable[[], bool]:
    """No order is open, no message waits (the parked and the dead apart), no orchestration runs."""
    store = run.engines.store

    def none(sql: str, parameters: tuple[Any, ...] = ()) -> bool:
        return not store.read(sql, parameters)

    def check_now() -> bool:
        return (
            none(
                "SELECT 1 FROM documents WHERE container = 'orders' AND id = 'snapshot' "
                "AND json_extract(body, '$.state.status') NOT IN ('completed', 'cancelled') LIMIT 1"
            )
            and none("SELECT 1 FROM durable_instances WHERE status NOT IN ('Completed', 'Failed', 'Terminated') LIMIT 1")
            and none(
                "SELECT 1 FROM bus_messages m JOIN bus_entities e ON e.id = m.entity WHERE m.state IN (?, ?, ?) "
                "AND e.path NOT LIKE '%/$DeadLetterQueue' AND e.path <> 'parked' LIMIT 1",
                (READY, LOCKED, SCHEDULED),
            )
        )

    return check_now


async def settle(run: Simulated, seconds: float = 4 * 3600.0) -> None:
    """Let time pass until nothing is under way, then a little more for the change feed to come after."""
    rested = at_rest(run)
    await run.until(rested, seconds)
    await asyncio.sleep(15)
    await run.until(rested, seconds)


def violations(folder: Path, now: float, accepted: set[str]) -> list[Violation]:
    return check(read_evidence(folder, accepted=accepted, now=now))


def copy_world(source: Path, target: Path) -> Path:
    shutil.copytree(source, target)
    return target
