"""Never more calls at once, nor more waiting, than may be."""

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.bulkhead import FULL_S, Bulkhead, BulkheadFull
from emulator.simulation import run_simulated


async def hold(bulkhead: Bulkhead, seconds: float, patience_s: float = 60.0) -> None:
    await bulkhead.enter(patience_s)
    try:
        await asyncio.sleep(seconds)
    finally:
        bulkhead.leave()


def test_a_full_queue_is_refused_at_once():
    async def scenario() -> None:
        bulkhead = Bulkhead("gateway:test", concurrency=2, queue=1)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(3):
                tasks.create_task(hold(bulkhead, 5.0))
            await asyncio.sleep(0.1)
            assert (bulkhead.running, bulkhead.waiting) == (2, 1)
            with pytest.raises(BulkheadFull, match="gateway:test: 2 calls under way, 1 wait") as refused:
                await bulkhead.enter(60.0)
            assert asyncio.get_running_loop().time() == pytest.approx(0.1)
            assert refused.value.retry_after_s == FULL_S
        assert (bulkhead.running, bulkhead.waiting) == (0, 0)
        assert asyncio.get_running_loop().time() == pytest.approx(10.0)

    run_simulated(scenario())


def test_who_waits_too_long_is_refused_and_keeps_no_place():
    async def scenario() -> None:
        bulkhead = Bulkhead("gateway:test", concurrency=1, queue=1)
        holding = asyncio.create_task(hold(bulkhead, 10.0))
        await asyncio.sleep(0)
        with pytest.raises(BulkheadFull, match="no turn within 3"):
            await bulkhead.enter(3.0)
        assert (bulkhead.running, bulkhead.waiting) == (1, 0)
        await holding
        await bulkhead.enter(0.0)

    run_simulated(scenario())


def test_turns_come_in_the_order_of_arrival():
    async def scenario() -> list[int]:
        bulkhead = Bulkhead("gateway:test", concurrency=1, queue=10)
        order: list[int] = []

        async def call(number: int) -> None:
            await bulkhead.enter(60.0)
            order.append(number)
            await asyncio.sleep(1.0)
            bulkhead.leave()

        await asyncio.gather(*(call(number) for number in range(5)))
        return order

    assert run_simulated(scenario()) == [0, 1, 2, 3, 4]


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 30), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_however_calls_come_end_or_are_cancelled_its_bounds_hold(concurrency, queue, calls, chance):
    async def scenario() -> None:
        bulkhead = Bulkhead("gateway:test", concurrency, queue)
        most = 0

        async def call(random: random.Random) -> None:
            nonlocal most
            await asyncio.sleep(random.uniform(0.0, 5.0))
            try:
                await bulkhead.enter(random.uniform(0.0, 3.0))
            except BulkheadFull:
                return
            try:
                most = max(most, bulkhead.running)
                assert bulkhead.waiting <= queue
                await asyncio.sleep(random.uniform(0.0, 3.0))
            finally:
                bulkhead.leave()

        tasks = [asyncio.create_task(call(chance)) for _ in range(calls)]
        await asyncio.sleep(chance.uniform(0.0, 6.0))
        for task in chance.sample(tasks, len(tasks) // 3):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert most <= concurrency
        assert (bulkhead.running, bulkhead.waiting) == (0, 0)
        for _ in range(concurrency):  # no slot was lost
            await bulkhead.enter(0.0)
        assert bulkhead.running == concurrency

    run_simulated(scenario())
