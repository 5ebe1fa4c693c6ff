"""Orchestrations with the real SDK on the embedded engine, in simulated time."""

import asyncio
from itertools import pairwise

import azure.durable_functions as df
import pytest

from emulator.simulation import run_simulated
from tests.emulator.durable_app import App, ended, race_of_an_event, running


def test_activities_in_sequence_hand_on_their_results(tmp_path):
    def sequence(context):
        first = yield context.call_activity("double", context.get_input())
        second = yield context.call_activity("double", first)
        return {"result": second}

    async def main():
        app = App({"sequence": sequence}, {"double": lambda number: number * 2})
        async with running(tmp_path, app) as (engine, client):
            await client.start_new("sequence", "i", 5)
            assert (await ended(engine, "i"))["output"] == {"result": 20}
            assert app.ran == [("double", 5), ("double", 10)]
            assert engine.metrics.total("durable") == 1 + 2 * 2

    run_simulated(main())


def test_activities_in_parallel_run_at_the_same_time(tmp_path):
    def fan_out(context):
        results = yield context.task_all([context.call_activity("wait", number) for number in range(8)])
        return results

    async def wait(number):
        await asyncio.sleep(10)
        return number * number

    async def main():
        async with running(tmp_path, App({"fan_out": fan_out}, {"wait": wait})) as (engine, client):
            await client.start_new("fan_out", "i")
            began = engine.clock.time()
            assert (await ended(engine, "i"))["output"] == [number * number for number in range(8)]
            assert engine.clock.time() - began == pytest.approx(10, abs=0.5)

    run_simulated(main())


def test_events_that_wait_together_are_taken_in_one_episode(tmp_path):
    def fan_out(context):
        results = yield context.task_all([context.call_activity("wait", number) for number in range(8)])
        return results

    async def wait(number):
        await asyncio.sleep(0.1 + number / 10)
        if number == 5:
            raise ValueError("five")

    async def main():
        app = App({"fan_out": fan_out}, {"wait": wait})
        async with running(tmp_path, app) as (engine, client):
            await client.start_new("fan_out", "i")
            # A success changes nothing while others are open; the SDK is told of the failure at once.
            await asyncio.sleep(0.65)
            assert len(app.contexts) == 2
            assert (await ended(engine, "i"))["runtimeStatus"] == "Failed"
            assert len(app.contexts) == 3

    run_simulated(main())


def test_no_more_activities_run_than_allowed(tmp_path):
    busy = []
    most = []

    def fan_out(context):
        yield context.task_all([context.call_activity("wait", number) for number in range(10)])

    async def wait(number):
        busy.append(number)
        most.append(len(busy))
        await asyncio.sleep(1)
        busy.remove(number)

    async def main():
        app = App({"fan_out": fan_out}, {"wait": wait})
        async with running(tmp_path, app, max_concurrent_activities=3) as (engine, client):
            await client.start_new("fan_out", "i")
            await ended(engine, "i")
            assert max(most) == 3
            assert len(app.ran) == 10

    run_simulated(main())


@pytest.mark.parametrize("delay", [0.0, 5.0])
def test_an_event_wins_its_race_whether_it_comes_before_or_after_the_wait(tmp_path, delay):
    async def main():
        app = App({"race": race_of_an_event}, {"send": lambda _: None})
        async with running(tmp_path, app) as (engine, client):
            await client.start_new("race", "i")
            await asyncio.sleep(delay)
            await client.raise_event("i", "reply", {"type": "done"})
            began = engine.clock.time()
            # The client encodes twice, so what arrives is the JSON text (azure-functions-durable-python#295).
            assert (await ended(engine, "i"))["output"] == '{"type": "done"}'
            assert engine.clock.time() - began < 1

    run_simulated(main())


def test_a_race_without_an_event_is_won_by_its_timer(tmp_path):
    async def main():
        async with running(tmp_path, App({"race": race_of_an_event}, {"send": lambda _: None})) as (
            engine,
            client,
        ):
            await client.start_new("race", "i")
            began = engine.clock.time()
            assert (await ended(engine, "i"))["output"] == "timed out"
            assert engine.clock.time() - began == pytest.approx(30, abs=0.5)

    run_simulated(main())


def test_an_event_raised_twice_counts_once_for_one_wait(tmp_path):
    async def main():
        app = App({"race": race_of_an_event}, {"send": lambda _: None})
        async with running(tmp_path, app) as (engine, client):
            await client.start_new("race", "i")
            await asyncio.gather(*[client.raise_event("i", "reply", number) for number in range(2)])
            assert (await ended(engine, "i"))["output"] == "0"

    run_simulated(main())


def test_events_of_several_names_may_come_in_any_order(tmp_path):
    def waits(context):
        first = context.wait_for_external_event("first")
        second = context.wait_for_external_event("second")
        results = yield context.task_all([first, second])
        return results

    async def main():
        async with running(tmp_path, App({"waits": waits})) as (engine, client):
            await client.start_new("waits", "i")
            await client.raise_event("i", "second", 2)
            await client.raise_event("i", "FIRST", 1)  # the host ignores case, the SDK does not
            await asyncio.sleep(5)
            await client.raise_event("i", "first", 1)
            assert (await ended(engine, "i"))["output"] == ["1", "2"]

    run_simulated(main())


def test_a_failing_activity_is_repeated_as_its_retry_options_say(tmp_path):
    attempts = []

    def patient(context):
        result = yield context.call_activity_with_retry("flaky", df.RetryOptions(5000, 3))
        return result

    async def main():
        def flaky(_):
            attempts.append(engine.clock.time())
            if len(attempts) < 3:
                raise ValueError("not yet")
            return "at last"

        async with running(tmp_path, App({"patient": patient}, {"flaky": flaky})) as (engine, client):
            await client.start_new("patient", "i")
            assert (await ended(engine, "i"))["output"] == "at last"
            gaps = [round(later - earlier) for earlier, later in pairwise(attempts)]
            assert gaps == [5, 5]

    run_simulated(main())


def test_an_activity_that_never_succeeds_fails_the_orchestration_after_its_last_attempt(tmp_path):
    def patient(context):
        yield context.call_activity_with_retry("broken", df.RetryOptions(5000, 3))

    def broken(_):
        raise ValueError("no")

    async def main():
        app = App({"patient": patient}, {"broken": broken})
        async with running(tmp_path, app) as (engine, client):
            await client.start_new("patient", "i")
            status = await ended(engine, "i")
            assert status["runtimeStatus"] == "Failed"
            assert "Activity function 'broken' failed: ValueError: no" in status["output"]
            assert len(app.ran) == 3

    run_simulated(main())


def test_the_orchestrator_may_catch_the_failure_of_an_activity(tmp_path):
    def careful(context):
        try:
            yield context.call_activity("broken")
        except Exception as error:
            return str(error)

    def broken(_):
        raise KeyError("order")

    async def main():
        async with running(tmp_path, App({"careful": careful}, {"broken": broken})) as (engine, client):
            await client.start_new("careful", "i")
            status = await ended(engine, "i")
            assert status["output"] == "Activity function 'broken' failed: KeyError: 'order' \n a stack"

    run_simulated(main())


def test_a_sub_orchestration_returns_its_result_and_its_failure(tmp_path):
    def parent(context):
        good = yield context.call_sub_orchestrator("child", 5, instance_id="c1")
        try:
            yield context.call_sub_orchestrator("child", -1)
        except Exception as error:
            return [good, str(error)]

    def child(context):
        if context.get_input() < 0:
            raise ValueError("negative")
        result = yield context.call_activity("double", context.get_input())
        return result

    async def main():
        app = App({"parent": parent, "child": child}, {"double": lambda number: number * 2})
        async with running(tmp_path, app) as (engine, client):
            await client.start_new("parent", "p")
            good, bad = (await ended(engine, "p"))["output"]
            assert good == 10
            assert "Orchestrator function 'child' failed: negative" in bad
            assert (await client.get_status("c1")).runtime_status.value == "Completed"
            assert [context["parentInstanceId"] for context in app.contexts][:3] == [None, "p", "p"]

    run_simulated(main())


def test_a_failing_sub_orchestration_is_repeated_as_its_retry_options_say(tmp_path):
    runs = []

    def parent(context):
        result = yield context.call_sub_orchestrator_with_retry("child", df.RetryOptions(1000, 5))
        return result

    def child(context):
        number = yield context.call_activity("count")
        if number < 3:
            raise ValueError("again")
        return number

    async def main():
        def count(_):
            runs.append(1)
            return len(runs)

        async with running(tmp_path, App({"parent": parent, "child": child}, {"count": count})) as (
            engine,
            client,
        ):
            await client.start_new("parent", "p")
            assert (await ended(engine, "p"))["output"] == 3

    run_simulated(main())


def test_an_orchestration_that_continues_as_new_keeps_the_events_that_come_later(tmp_path):
    def counter(context):
        seen = context.get_input()
        value = yield context.wait_for_external_event("add")
        seen = [*seen, int(value)]
        if len(seen) == 3:
            return seen
        context.continue_as_new(seen)

    async def main():
        app = App({"counter": counter})
        async with running(tmp_path, app) as (engine, client):
            await client.start_new("counter", "i", [])
            for number in (1, 2, 3):
                await client.raise_event("i", "add", number)
                await asyncio.sleep(5)
            assert (await ended(engine, "i"))["output"] == [1, 2, 3]
            assert max(len(context["history"]) for context in app.contexts) < 8  # each began anew

    run_simulated(main())
