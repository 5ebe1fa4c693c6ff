"""Half a minute without the store, or without the queues, in the middle of a minute of orders."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from random import Random

import orjson
import pytest

from emulator.engines import Engines
from emulator.host.simulated import Simulated
from emulator.simulation import run_simulated
from tests.chaos.paths import MIX, SagaPath
from tests.simulated import evidence, load_stock, orders_of, problems, running, settle

ORDERS = 120
EVERY_S = 0.5
BEGINS_S, LASTS_S = 15.0, 30.0


def store_fails(engines: Engines, until: float) -> None:
    engines.documents.fail_until(until)


def store_throttles(engines: Engines, until: float) -> None:
    engines.documents.fail_until(until, retry_after_s=1.0)


def queues_refuse(engines: Engines, until: float) -> None:
    engines.bus.fail_until(until)


def both_fail(engines: Engines, until: float) -> None:
    store_fails(engines, until)
    queues_refuse(engines, until)


class Client:
    """Repeats what is not answered, or answered with 503, until it is."""

    def __init__(self, run: Simulated) -> None:
        self._run = run
        self.due: dict[str, tuple[str, str]] = {}
        """By accepted order the status and reason that it must end with."""

    async def buy(self, number: int, way: SagaPath) -> None:
        headers = {"idempotency-key": f"key-{number}", "content-type": "application/json"}
        status, answer = await self._insist("/api/orders", headers, way.order.body())
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


def times_of(found_events: Iterator[dict[str, object]]) -> list[float]:
    return [datetime.fromisoformat(str(event["time"])).timestamp() for event in found_events]


@pytest.mark.parametrize("fails", [store_fails, store_throttles, queues_refuse, both_fail])
def test_an_outage_of_half_a_minute_loses_and_parks_nothing(
    fails: Callable[[Engines, float], None], tmp_path: Path
) -> None:
    async def scenario() -> None:
        chance = Random(4)
        async with running(tmp_path) as run:
            await load_stock(run, {"GLASS": 500, "VASE": 500})
            client = Client(run)
            begins = run.engines.clock.time() + BEGINS_S
            ends = begins + LASTS_S
            asyncio.get_running_loop().call_later(BEGINS_S, fails, run.engines, ends)
            async with asyncio.TaskGroup() as customers:
                for number in range(ORDERS):
                    customers.create_task(client.buy(number, chance.choice(MIX)))
                    await asyncio.sleep(EVERY_S)
            await settle(run, 900)
            found = evidence(run, tmp_path, client.due)
        assert problems(found) == []
        assert len(client.due) == ORDERS
        assert {id: (order.status, order.reason) for id, order in orders_of(found).items()} == client.due
        completed = times_of(
            event for event in found.items("orders", "event") if event["type"] == "orders.completed"
        )
        assert [at for at in completed if begins + 1 < at < ends] == [], "the outage was none"
        assert [at for at in completed if at < begins]
        assert [at for at in completed if at > ends]

    run_simulated(scenario())
