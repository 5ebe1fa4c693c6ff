"""When timer functions run: once among all instances, made up for once when missed."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from emulator.host.functions import AppRefused
from emulator.host.simulated import Simulated, simulated
from emulator.host.timer_trigger import LEASE_SECONDS, Schedule
from tests.emulator.hosting import app_of, on_simulated_time

SCRIPT = "timer_app.py"


@pytest.fixture(autouse=True)
def timer_app(monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    monkeypatch.setenv("TIMER_SCHEDULE", "0 0 0 * * *")
    app_of(SCRIPT)
    import timer_app

    timer_app.forget()
    return timer_app


def running(folder: Path, function: str, number: int = 0) -> AbstractAsyncContextManager[Simulated]:
    return simulated(app_of(SCRIPT, only=[function]), folder, owner=f"instance-{number}", first=number == 0)


def moments(timer_app) -> list[int]:
    return [round(moment) for moment, _ in timer_app.ticks]


@on_simulated_time
async def test_a_timer_runs_on_its_schedule(tmp_path, timer_app) -> None:
    async with running(tmp_path, "each_minute"):
        await asyncio.sleep(190)
    assert moments(timer_app) == [60, 120, 180]
    assert [late for _, late in timer_app.ticks] == [False] * 3


@on_simulated_time
async def test_two_instances_run_it_once(tmp_path, timer_app) -> None:
    async with running(tmp_path, "each_minute", 0), running(tmp_path, "each_minute", 1):
        await asyncio.sleep(190)
    assert moments(timer_app) == [60, 120, 180]


@on_simulated_time
async def test_what_was_missed_is_made_up_for_once_and_said_to_be_past_due(tmp_path, timer_app) -> None:
    async with running(tmp_path, "each_minute"):
        await asyncio.sleep(70)
    await asyncio.sleep(300)
    async with running(tmp_path, "each_minute"):
        await asyncio.sleep(60)
    assert moments(timer_app) == [60, 370, 420]
    assert [late for _, late in timer_app.ticks] == [False, True, False]
    assert timer_app.last[1].startswith("2027-01-15T08:01:00"), "simulated time begins at 08:00"


@on_simulated_time
async def test_a_run_does_not_overlap_the_one_before(tmp_path, timer_app) -> None:
    timer_app.seconds[0] = 90
    async with running(tmp_path, "each_minute", 0), running(tmp_path, "each_minute", 1):
        await asyncio.sleep(290)
    assert moments(timer_app) == [60, 180]


@on_simulated_time
async def test_a_run_that_died_with_its_instance_is_run_again_by_another(tmp_path, timer_app) -> None:
    timer_app.seconds[0] = 20
    async with running(tmp_path, "each_minute", 0) as run:
        await run.until(lambda: len(timer_app.ticks) == 1)
    async with running(tmp_path, "each_minute", 1) as run:
        await run.until(lambda: len(timer_app.ticks) == 2, seconds=LEASE_SECONDS + 6)
    assert timer_app.ticks[1][1], "past due"


@on_simulated_time
async def test_run_on_startup_is_obeyed_at_each_start_by_the_first_instance(tmp_path, timer_app) -> None:
    for _ in range(2):
        async with running(tmp_path, "at_start", 0), running(tmp_path, "at_start", 1):
            await asyncio.sleep(30)
    assert moments(timer_app) == [0, 30]


@on_simulated_time
async def test_a_retry_policy_repeats_a_failed_run(tmp_path, timer_app) -> None:
    timer_app.failures[0] = 2
    async with running(tmp_path, "retried"):
        await asyncio.sleep(3700)
    assert moments(timer_app) == [3600, 3610, 3620]


@on_simulated_time
async def test_a_failed_run_is_over_without_a_policy(tmp_path, timer_app) -> None:
    timer_app.failures[0] = 1
    async with running(tmp_path, "each_minute"):
        await asyncio.sleep(130)
    assert moments(timer_app) == [60, 120]


@on_simulated_time
async def test_a_synchronous_function_is_served(tmp_path, timer_app) -> None:
    async with running(tmp_path, "synchronous"):
        await asyncio.sleep(3700)
    assert len(timer_app.ticks) == 1


@on_simulated_time
async def test_a_changed_schedule_counts_from_the_next_start(tmp_path, timer_app) -> None:
    os.environ["TIMER_SCHEDULE"] = "0 0 9 * * *"
    async with running(tmp_path, "at_start", 1):
        await asyncio.sleep(10)
    os.environ["TIMER_SCHEDULE"] = "30 * * * * *"
    async with running(tmp_path, "at_start", 1):
        await asyncio.sleep(30)
    assert moments(timer_app) == [30]


@on_simulated_time
async def test_a_stopping_instance_finishes_the_run_in_hand(tmp_path, timer_app) -> None:
    timer_app.seconds[0] = 40
    async with running(tmp_path, "each_minute") as run:
        await run.until(lambda: len(timer_app.ticks) == 1)
        await run.stop()
    assert asyncio.get_running_loop().time() == pytest.approx(100, abs=1)
    async with running(tmp_path, "each_minute"):
        await asyncio.sleep(10)
    assert len(timer_app.ticks) == 1


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 */5 * * * *", "1970-01-01T00:05:00"),
        ("*/10 * * * * *", "1970-01-01T00:00:10"),
        ("0 30 9 * * 1-5", "1970-01-01T09:30:00"),
        ("0 0 0 1 * Mon", "1970-06-01T00:00:00"),  # a first that is a Monday, not firsts and Mondays
    ],
)
def test_schedules_have_the_seconds_first_and_all_fields_must_hold(expression: str, expected: str) -> None:
    found = datetime.fromtimestamp(Schedule("f", expression).after(0), UTC)
    assert found == datetime.fromisoformat(expected).replace(tzinfo=UTC)


@pytest.mark.parametrize("expression", ["* * * * *", "0 61 * * * *", "often", "00:05:00", "0 0 0 31 2 *"])
def test_a_schedule_that_is_none_is_refused_by_name(expression: str) -> None:
    with pytest.raises(AppRefused, match="function f: the schedule"):
        Schedule("f", expression)
