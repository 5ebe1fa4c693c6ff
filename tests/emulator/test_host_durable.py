"""Orchestrators, activities and durable clients as the host runs them."""

import asyncio
from pathlib import Path

import orjson

from emulator.host.simulated import Simulated, simulated
from emulator.metrics import current_trigger
from tests.emulator.hosting import app_of, on_simulated_time

STATUS = "/runtime/webhooks/durabletask/instances/"


async def run_to_its_end(run: Simulated, name: str) -> dict[str, object]:
    assert (await run.request("GET", f"/api/begin/{name}/i-1")).status == 202
    return await ended(run)


async def ended(run: Simulated) -> dict[str, object]:
    while True:
        status = orjson.loads((await run.request("GET", f"{STATUS}i-1", {"host": "127.0.0.1:7071"})).body)
        if status["runtimeStatus"] not in {"Pending", "Running"}:
            return dict(status)
        await asyncio.sleep(0.05)


@on_simulated_time
async def test_functions_run_under_their_durable_names_and_are_counted_by_trigger(tmp_path: Path) -> None:
    app = app_of("saga_app.py")
    import saga_app

    saga_app.triggers.clear()
    async with simulated(app, tmp_path) as run:
        status = await run_to_its_end(run, "renamed")
        assert (status["runtimeStatus"], status["output"]) == ("Completed", {"n": 2})
    assert saga_app.triggers == ["http", "orchestration", "activity", "orchestration"]
    assert current_trigger.get() == "none"


@on_simulated_time
async def test_an_activity_belongs_to_the_trace_that_the_start_named(tmp_path: Path) -> None:
    app = app_of("saga_app.py")
    import saga_app

    saga_app.traces.clear()
    trace = f"00-{'e' * 32}-{'f' * 16}-01"
    async with simulated(app, tmp_path) as run:
        path = "/runtime/webhooks/durabletask/orchestrators/renamed/i-1"
        answer = await run.request(
            "POST", path, {"traceparent": trace, "host": "127.0.0.1:7071"}, b'{"n": 1}'
        )
        assert answer.status == 202
        await ended(run)
    assert [each[:36] for each in saga_app.traces] == [trace[:36]]


@on_simulated_time
async def test_an_orchestrator_sees_the_type_and_text_of_a_failed_activity(tmp_path: Path) -> None:
    async with simulated(app_of("saga_app.py"), tmp_path) as run:
        status = await run_to_its_end(run, "meets_a_failure")
        assert status["runtimeStatus"] == "Completed"
        assert "RuntimeError: asked to fail" in str(status["output"])


@on_simulated_time
async def test_an_orchestrator_that_raises_has_failed(tmp_path: Path) -> None:
    async with simulated(app_of("saga_app.py"), tmp_path) as run:
        status = await run_to_its_end(run, "fails_itself")
        assert status["runtimeStatus"] == "Failed"
        assert "the orchestrator gave up" in str(status["output"])


@on_simulated_time
async def test_an_app_without_durable_functions_has_no_durable_api(tmp_path: Path) -> None:
    async with simulated(app_of("http_app.py"), tmp_path) as run:
        assert (await run.request("GET", f"{STATUS}i-1")).status == 404


@on_simulated_time
async def test_what_one_function_leaves_in_its_context_does_not_reach_the_others(tmp_path: Path) -> None:
    app = app_of("saga_app.py")
    import saga_app

    saga_app.marks.clear()
    async with simulated(app, tmp_path) as run:
        await run_to_its_end(run, "renamed")
    assert saga_app.marks == ["none"] * 3
