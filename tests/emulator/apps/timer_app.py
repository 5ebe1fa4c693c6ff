"""Timer functions that record when they ran."""

import asyncio

import azure.functions as func

app = func.FunctionApp()

ticks: list[tuple[float, bool]] = []
"""Seconds of loop time, and whether it was past due."""
last: list[str] = []
seconds = [0.0]
"""How long a tick takes."""
failures = [0]
"""How many of the next ticks fail."""


def forget() -> None:
    ticks.clear()
    last.clear()
    seconds[0], failures[0] = 0.0, 0


async def _tick(timer: func.TimerRequest) -> None:
    ticks.append((asyncio.get_running_loop().time(), timer.past_due))
    last.append(timer.schedule_status["Last"])
    await asyncio.sleep(seconds[0])
    if failures[0]:
        failures[0] -= 1
        raise ValueError("asked to fail")


@app.timer_trigger(arg_name="timer", schedule="0 * * * * *")
async def each_minute(timer: func.TimerRequest) -> None:
    await _tick(timer)


@app.timer_trigger(arg_name="timer", schedule="%TIMER_SCHEDULE%", run_on_startup=True)
async def at_start(timer: func.TimerRequest) -> None:
    await _tick(timer)


@app.timer_trigger(arg_name="timer", schedule="0 0 * * * *")
@app.retry(strategy="fixed_delay", max_retry_count="3", delay_interval="00:00:10")
async def retried(timer: func.TimerRequest) -> None:
    await _tick(timer)


@app.timer_trigger(arg_name="timer", schedule="0 0 * * * *")
def synchronous(timer: func.TimerRequest) -> None:
    ticks.append((0.0, timer.past_due))
