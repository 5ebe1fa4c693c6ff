"""The real app on simulated time: for tests that count what it does, break things under it, or crash it."""

import logging
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import orjson

from core import resilience
from core.documents import Documents
from core.outside_policy import OutsidePolicy
from core.read_model_places import Places
from emulator.host.app import App, load_app
from emulator.host.simulated import Simulated, simulated
from emulator.servicebus.schema import LOCKED, READY, SCHEDULED
from services.orders.list_projection import Customers
from tools.api import NewOrder
from tools.emulator_process import PROJECT
from tools.evidence import Evidence, OrderFacts, order_facts, read_evidence
from tools.invariants import Violation, check

SETTINGS = {
    "ORDERFLOW_ADAPTERS": "embedded",
    "ORDERFLOW_LOG_LEVEL": "ERROR",
    # Two attempts wait 45 s: longer than an outage of 30 s, and than messages that come 5 s late both ways.
    "ORDERFLOW_STEP_TIMEOUT_SECONDS": "15",
    "ORDERFLOW_STEP_ATTEMPTS": "2",
    # Longer than those 45 s, so that a charge can be pending for longer than any other step may take.
    "ORDERFLOW_PAYMENT_ACTION_SECONDS": "60",
    "ORDERFLOW_UNDO_ATTEMPTS": "1",
    "ORDERFLOW_ATTENTION_INTERVAL_SECONDS": "20",
    "ORDERFLOW_IDLE_SECONDS": "60",
    "ORDERFLOW_GATEWAY_TIMEOUT_SECONDS": "3",
    "ORDERFLOW_CARRIER_TIMEOUT_SECONDS": "3",
    "ORDERFLOW_SENDER_TIMEOUT_SECONDS": "3",
    # An outage of the documents is one of the sandbox, which keeps its charges and shipments there.
    "ORDERFLOW_GATEWAY_CIRCUIT_SECONDS": "5",
    "ORDERFLOW_CARRIER_CIRCUIT_SECONDS": "5",
    # How soon a return finds what it was not told: it looks once a day, or in so long if that is less.
    "ORDERFLOW_RETURN_PARCEL_SECONDS": "3600",
}


_caches: list[Customers | Places] = []
_init = Customers.__init__
_init_places = Places.__init__
_policies: list[OutsidePolicy] = []
_init_policy = OutsidePolicy.__init__


def _noted_policy(policy: OutsidePolicy, *arguments: Any, **named: Any) -> None:
    _init_policy(policy, *arguments, **named)
    _policies.append(policy)


def _noted(customers: Customers, documents: Documents) -> None:
    _init(customers, documents)
    _caches.append(customers)


def _noted_places(places: Places, documents: Documents) -> None:
    _init_places(places, documents)
    _caches.append(places)


def _as_a_new_process(seed: int) -> None:
    """The app is loaded once, but a process that starts remembers nothing, and its jitter is the seed's."""
    for each in _caches:
        each._known.clear()
    for policy in _policies:
        policy.reset()
    resilience._chance.seed(seed)


@cache
def orderflow() -> App:
    """The function app of this repository, with SETTINGS. Once per process: the worker library is global."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    sys.modules.pop("function_app", None)  # imported by another test, with other settings
    with (
        mock.patch.dict(os.environ, SETTINGS),
        mock.patch.object(Customers, "__init__", _noted),
        mock.patch.object(Places, "__init__", _noted_places),
        mock.patch.object(OutsidePolicy, "__init__", _noted_policy),
    ):
        app = load_app(PROJECT)
    root.handlers, root.level = handlers, level
    return app


@asynccontextmanager
async def running(
    folder: Path,
    *,
    seed: int = 0,
    feed_pace_s: float | None = 0.1,
    crash_after: int | None = None,
    redeliver: float = 0.0,
    reorder: float = 0.0,
) -> AsyncIterator[Simulated]:
    """An instance alone on the store of this folder. The same seed on the same store does the same again."""
    app = orderflow()
    _as_a_new_process(seed)
    async with simulated(
        app,
        folder,
        seed=seed,
        scan_s=30.0,
        feed_pace_s=feed_pace_s,
        crash_after=crash_after,
        redeliver=redeliver,
        reorder=reorder,
    ) as run:
        yield run


async def load_stock(run: Simulated, pieces_by_sku: Mapping[str, int]) -> None:
    for sku, on_hand in pieces_by_sku.items():
        body = orjson.dumps({"on_hand": on_hand})
        answer = await run.request("PUT", f"/api/inventory/{sku}", {"content-type": "application/json"}, body)
        assert answer.status == 200, answer.body


async def submit(run: Simulated, order: NewOrder, key: str) -> str:
    """The id of the accepted order."""
    headers = {"idempotency-key": key, "content-type": "application/json"}
    answer = await run.request("POST", "/api/orders", headers, order.body())
    assert answer.status == 202, answer.body
    return str(orjson.loads(answer.body)["id"])


def at_rest(run: Simulated) -> Callable[[], bool]:
    """Says whether nothing is under way: nothing will change any more, but for what a timer may find to do.

    No order is open, no orchestration runs, no message waits (the parked and the dead apart), every change
    feed is read to its end.
    """
    store = run.engines.store

    def none(sql: str, *parameters: Any) -> bool:
        return not store.read(f"{sql} LIMIT 1", parameters)

    def feeds_are_read() -> bool:
        leases = store.read(
            "SELECT id, json_extract(body, '$.continuation') FROM documents WHERE container = 'leases'"
        )
        return all(
            none(
                "SELECT 1 FROM documents WHERE container = ? AND feed_range = ? AND sequence > ?",
                *id.split(".")[1:],  # of `project_ordersorderflow.orders.3`
                continuation,
            )
            for id, continuation in leases
        )

    def check_now() -> bool:
        return (
            none(
                "SELECT 1 FROM documents WHERE container = 'orders' AND id = 'snapshot' "
                "AND json_extract(body, '$.state.status') NOT IN ('completed', 'cancelled')"
            )
            and none(
                "SELECT 1 FROM durable_instances WHERE status NOT IN ('Completed', 'Failed', 'Terminated')"
            )
            and none(
                "SELECT 1 FROM bus_messages m JOIN bus_entities e ON e.id = m.entity "
                "WHERE m.state IN (?, ?, ?) AND e.path NOT LIKE '%/$DeadLetterQueue' AND e.path <> 'parked'",
                READY,
                LOCKED,
                SCHEDULED,
            )
            and feeds_are_read()
        )

    return check_now


async def settle(run: Simulated, seconds: float = 4 * 3600.0) -> None:
    await run.until(at_rest(run), seconds, step_s=0.5)


def evidence(run: Simulated, folder: Path, accepted: Iterable[str]) -> Evidence:
    return read_evidence(folder, accepted=accepted, now=run.engines.clock.time())


def problems(found: Evidence) -> list[str]:
    """Violated invariants, and messages that were given up."""
    violations: list[Violation] = check(found)
    given_up = [
        f"{path}: {account}"
        for path, account in found.messages.items()
        if account.dead_lettered or (path == "parked" and account.accepted)
    ]
    return [*map(str, violations), *given_up]


def orders_of(found: Evidence) -> dict[str, OrderFacts]:
    return {stream: order_facts(stream, events) for stream, events in found.streams("orders").items()}
