"""The arithmetic of the bench of the wire endpoints, and one short run of it."""

import asyncio
import math

import pytest

from tests.sdk_pace import faster_sdk
from tools.bench_endpoints import Cost, Reading, _until, cost, measure, total

BEFORE = Reading(at=100.0, server_s=10.0, client_s=1.0)
AFTER = Reading(at=102.0, server_s=10.5, client_s=1.4)


def test_the_cost_of_each_is_without_what_the_idle_emulator_uses() -> None:
    assert cost("read", 8, 1000, BEFORE, AFTER, idle=0.05) == Cost("read", 8, 1000, 500.0, 400.0, 400.0)


def test_an_emulator_that_used_less_than_idle_cost_nothing() -> None:
    assert cost("read", 1, 10, BEFORE, AFTER, idle=1.0).server_us == 0.0


def test_where_nothing_was_done_the_cost_is_infinite() -> None:
    nothing = cost("read", 1, 0, BEFORE, AFTER, idle=0.0)
    assert (nothing.per_s, nothing.server_us, nothing.client_us) == (0.0, math.inf, math.inf)


def test_the_cost_of_a_message_is_that_of_sending_and_of_receiving_it() -> None:
    sent = Cost("send", 8, 400, 1000.0, 50.0, 100.0)
    received = Cost("receive", 1, 400, 250.0, 70.0, 200.0)
    assert total("both", sent, received) == Cost("both", 8, 400, 200.0, 120.0, 300.0)


async def test_work_of_several_callers_at_once_is_counted_once_each() -> None:
    steps = 0

    async def step(_: int) -> int:
        nonlocal steps
        await asyncio.sleep(0)
        steps += 1
        return 1

    assert await _until(60.0, step, [1, 2, 3], most=100)() == steps >= 100


@pytest.mark.slow
async def test_the_bench_measures_each_kind_of_request_on_a_real_emulator(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tools.bench_endpoints.IDLE_S", 0.2)
    with faster_sdk():
        costs = await measure(0.2)
    kinds = [each.kind for each in costs]
    assert kinds[-10:] == ["read", "create", "replace", "patch", "batch of 3"] * 2
    assert sum("receive, complete" in kind for kind in kinds) == 2
    assert all(each.number > 0 and 0 < each.client_us < math.inf for each in costs)
    assert all(0 <= each.server_us < math.inf for each in costs)
