"""The timer that starts what a crash left without a saga."""

from dataclasses import replace

import pytest

from core.decider import Cause, execute
from core.resilience import TransientError
from emulator.simulation import run_simulated
from services.orders.commands import RecordCancellation
from services.orders.decider import ORDERS
from services.orders.handlers import Orders, place
from services.orders.idle import PAGE
from tests.durable_client import FakeDurableClient
from tests.fakes import FakeClock, FakeDocuments
from tests.unit.http_support import POLICY
from tests.unit.test_orders_decider import PLACE
from triggers.timers.orders import restart_idle

IDLE_S = 300.0


class Scene:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.documents = FakeDocuments(self.clock)
        self.orders = Orders(self.documents, self.clock)
        self.client = FakeDurableClient()

    async def order(self, id: str, saga: str | None = None) -> None:
        await place(self.orders, replace(PLACE, order_id=id), "")
        if saga is not None:
            self.client.instances[id] = saga

    async def end(self, id: str) -> None:
        command = RecordCancellation("x", (), finish=True)
        await execute(self.documents, ORDERS, id, command, Cause("c", id, "c"), self.clock.now())

    async def tick(self) -> list[str]:
        await restart_idle(self.orders, POLICY, self.client, IDLE_S)
        return [instance for _, instance, _ in self.client.started]


@pytest.mark.parametrize("saga", [None, "Failed", "Terminated", "Completed"])
async def test_an_idle_order_without_a_saga_gets_one(saga: str | None) -> None:
    scene = Scene()
    await scene.order("ord-1", saga)
    scene.clock.advance(IDLE_S + 1)
    assert await scene.tick() == ["ord-1"]
    ((name, _, given),) = scene.client.started
    assert name == "order_saga"
    assert set(given) == {"traceparent", "policy"}


@pytest.mark.parametrize("saga", ["Pending", "Running"])
async def test_an_order_whose_saga_is_there_is_left_alone(saga: str) -> None:
    scene = Scene()
    await scene.order("ord-1", saga)
    scene.clock.advance(IDLE_S + 1)
    assert await scene.tick() == []


async def test_an_order_is_not_idle_at_once() -> None:
    scene = Scene()
    await scene.order("ord-1")
    scene.clock.advance(IDLE_S - 1)
    assert await scene.tick() == []


async def test_an_order_that_has_ended_is_left_alone() -> None:
    scene = Scene()
    await scene.order("ord-1", "Completed")
    await scene.end("ord-1")
    scene.clock.advance(IDLE_S + 1)
    assert await scene.tick() == []


async def test_every_page_is_looked_at() -> None:
    scene = Scene()
    number = PAGE + 7
    for n in range(number):
        await scene.order(f"ord-{n}")
    scene.clock.advance(IDLE_S + 1)
    assert len(set(await scene.tick())) == number


async def test_the_next_tick_does_not_start_it_again() -> None:
    scene = Scene()
    await scene.order("ord-1")
    scene.clock.advance(IDLE_S + 1)
    await scene.tick()
    assert await scene.tick() == ["ord-1"]


def test_an_unreachable_host_is_told_and_starts_nothing() -> None:
    async def scenario() -> None:
        scene = Scene()
        await scene.order("ord-1")
        scene.clock.advance(IDLE_S + 1)
        scene.client.fault = True
        with pytest.raises(TransientError):
            await scene.tick()
        assert scene.client.started == []

    run_simulated(scenario())
