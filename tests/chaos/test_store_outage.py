"""Half a minute without the store, or without the queues, or with bad ones, in the middle of many orders."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest

from emulator.engines import Engines
from emulator.host.simulated import Simulated
from emulator.simulation import run_simulated
from tests.chaos.paths import MIX, SagaPath
from tests.simulated import evidence, load_stock, orders_of, problems, running, settle

pytestmark = pytest.mark.slow

ORDERS = 150
EVERY_S = 0.3
BEGINS_S, LASTS_S = 10.0, 30.0
LATE = 0.5
"""The chance of each message to come up to 5 s late: so it begins while work of every kind is under way."""


def store_fails(engines: Engines, until: float) -> None:
    engines.documents.fail_until(until)


def store_throttles(engines: Engines, until: float) -> None:
    engines.documents.fail_until(until, retry_after_s=1.0)


def one_request_in_three_fails(engines: Engines, until: float) -> None:
    engines.documents.fail_until(until, one_in=3)


def one_answer_in_three_is_lost(engines: Engines, until: float) -> None:
    engines.documents.fail_until(until, one_in=3, after_effect=True)


def queues_refuse(engines: Engines, until: float) -> None:
    engines.bus.fail_until(until)


def both_fail(engines: Engines, until: float) -> None:
    store_fails(engines, until)
    queues_refuse(engines, until)


class Client:
    """Repeats what is answered with 503 until it is answered otherwise."""

    def __init__(self, run: Simulated) -> None:
        self._run = run
        self.due: dict[str, tuple[str, str]] = {}
        """By accepted order the status and reason that it must end with."""

    async def buy(self, number: int, way: SagaPath, order: bytes) -> None:
        headers = {"idempotency-key": f"key-{number}", "content-type": "application/json"}
        status, answer = await self._insist("/api/orders", headers, order)
        assert status == 202, answer
        id = orjson.loads(answer)["id"]
        self.due[id] = way.end()
        if way.cancel_at is not None:
            status, answer = await self._insist(f"/api/orders/{id}/cancel", {}, b"")
            assert status in (202, 409), answer
            self.due[id] = way.end(status)

    async def _insist(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        while True:
            answer = await self._run.request("POST", path, headers, body)
            if answer.status != 503:
                return answer.status, answer.body
            await asyncio.sleep(1.0)


async def many_orders(folder: Path, fails: Callable[[Engines, float], None]) -> Iterator[float]:
    """The moments, in seconds after the outage began, at which orders were completed."""
    chance = Random(4)
    async with running(folder, reorder=LATE) as run:
        await load_stock(run, {"GLASS": 900, "VASE": 900})
        client = Client(run)
        begins = run.engines.clock.time() + BEGINS_S
        asyncio.get_running_loop().call_later(BEGINS_S, fails, run.engines, begins + LASTS_S)
        async with asyncio.TaskGroup() as customers:
            for number in range(ORDERS):
                way = chance.choice(MIX)
                order = way.order
                if order.payment_method == "tok_ok":
                    order = replace(order, payment_method=f"tok_slow_{chance.randrange(3)}")
                customers.create_task(client.buy(number, way, order.body()))
                await asyncio.sleep(EVERY_S)
        await settle(run, 900)
        found = evidence(run, folder, client.due)
    assert problems(found) == []
    assert len(client.due) == ORDERS
    assert {id: (order.status, order.reason) for id, order in orders_of(found).items()} == client.due
    ends: list[dict[str, Any]] = [
        event for event in found.items("orders", "event") if event["type"] == "orders.completed"
    ]
    return (datetime.fromisoformat(event["time"]).timestamp() - begins for event in ends)


@pytest.mark.parametrize("fails", [store_fails, store_throttles, both_fail])
def test_without_the_store_nothing_happens_and_nothing_is_lost_or_parked(
    fails: Callable[[Engines, float], None], tmp_path: Path
) -> None:
    completed = list(run_simulated(many_orders(tmp_path, fails)))
    assert [at for at in completed if at < 0]
    assert [at for at in completed if 0 < at < LASTS_S] == []
    assert [at for at in completed if at > LASTS_S]


@pytest.mark.parametrize("fails", [one_request_in_three_fails, one_answer_in_three_is_lost, queues_refuse])
def test_with_a_bad_store_or_no_queues_nothing_is_lost_or_parked(
    fails: Callable[[Engines, float], None], tmp_path: Path
) -> None:
    completed = list(run_simulated(many_orders(tmp_path, fails)))
    assert [at for at in completed if at < 0]
    assert [at for at in completed if at > LASTS_S]
