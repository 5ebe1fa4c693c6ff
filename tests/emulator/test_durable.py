"""Orchestrations with the real SDK on the embedded engine, in simulated time."""

import asyncio
from datetime import timedelta
from itertools import pairwise

import azure.durable_functions as df
import pytest

from emulator.simulation import run_simulated
from tests.emulator.durable_app import App, ended, running, until


def race_of_an_event(context):
    reply = context.wait_for_external_event("reply")
    timer = context.create_timer(context.current_utc_datetime + timedelta(seconds=30))
    yield context.task_all([context.call_activity("send"), context.task_any([reply, timer])])
    if reply.is_completed:
        timer.cancel()
        return reply.result
    return "timed out"


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


def test_a_long_timer_fires_after_its_days(tmp_path):
    def sleeper(context):
        yield context.create_timer(context.current_utc_datetime + timedelta(hours=5))
        return str(context.current_utc_datetime)

    async def main():
        async with running(tmp_path, App({"sleeper": sleeper})) as (engine, client):
            await client.start_new("sleeper", "i")
            await asyncio.sleep(3600 * 4.9)
            assert (await client.get_status("i")).runtime_status.value == "Running"
            assert (await ended(engine, "i"))["output"].startswith("2027-01-15 13:00:00")

    run_simulated(main())


def test_an_orchestration_ends_only_when_its_timers_have_ended(tmp_path, caplog):
    """As in Azure: whoever does not cancel a timer that lost its race waits for it."""

    def careless(context):
        timer = context.create_timer(context.current_utc_datetime + timedelta(minutes=5))
        yield context.task_any([context.wait_for_external_event("go"), timer])
        return "done"

    async def main():
        async with running(tmp_path, App({"careless": careless})) as (engine, client):
            await client.start_new("careless", "i")
            await client.raise_event("i", "go")
            began = engine.clock.time()
            await ended(engine, "i")
            assert engine.clock.time() - began == pytest.approx(300, abs=1)
            assert "the instance ends only when the timer" in caplog.text

    run_simulated(main())


def test_custom_status_and_version_are_seen(tmp_path):
    def saga(context):
        context.set_custom_status({"step": "first", "version": context.version})
        yield context.wait_for_external_event("go")
        context.set_custom_status({"step": "second"})

    async def main():
        async with running(tmp_path, App({"saga": saga}), default_version="1.0") as (engine, client):
            await client.start_new("saga", "a")
            await client.start_new("saga", "b", version="2.0")
            statuses = [
                await until_status(client, instance_id, lambda status: status.custom_status)
                for instance_id in "ab"
            ]
            assert [status.custom_status["version"] for status in statuses] == ["1.0", "2.0"]
            await client.raise_event("a", "go")
            assert (await ended(engine, "a"))["customStatus"] == {"step": "second"}

    run_simulated(main())


async def until_status(client, instance_id, condition):
    for _ in range(1000):
        status = await client.get_status(instance_id)
        if condition(status):
            return status
        await asyncio.sleep(0.1)
    raise AssertionError(status.to_json())


def test_a_terminated_orchestration_does_nothing_more(tmp_path):
    async def main():
        app = App({"race": race_of_an_event}, {"send": lambda _: None})
        async with running(tmp_path, app) as (engine, client):
            await client.start_new("race", "i")
            await asyncio.sleep(1)
            await client.terminate("i", "enough")
            status = await ended(engine, "i")
            assert (status["runtimeStatus"], status["output"]) == ("Terminated", "enough")
            assert engine.store.read("SELECT count(*) FROM durable_timers") == [(0,)]
            with pytest.raises(Exception, match="gone"):
                await client.raise_event("i", "reply")

    run_simulated(main())


def test_a_suspended_orchestration_takes_up_what_has_waited_when_it_is_resumed(tmp_path):
    async def main():
        app = App({"race": race_of_an_event}, {"send": lambda _: None})
        async with running(tmp_path, app) as (engine, client):
            await client.start_new("race", "i")
            await asyncio.sleep(1)
            await client.suspend("i", "wait")
            await client.raise_event("i", "reply", "early")
            await asyncio.sleep(100)
            status = await client.get_status("i")
            assert status.runtime_status.value == "Suspended"
            await client.resume("i", "go on")
            assert (await ended(engine, "i"))["output"] == '"early"'

    run_simulated(main())


def test_an_id_may_be_started_again_only_when_it_has_ended(tmp_path):
    async def main():
        app = App({"race": race_of_an_event}, {"send": lambda _: None})
        async with running(tmp_path, app) as (engine, client):
            await client.start_new("race", "i")
            with pytest.raises(Exception, match="with the status Pending already exists"):
                await client.start_new("race", "i")
            await client.raise_event("i", "reply", 1)
            assert (await ended(engine, "i"))["output"] == "1"
            await client.start_new("race", "i")
            await until(lambda: len(app.ran) == 2)
            await client.raise_event("i", "reply", 2)
            assert (await ended(engine, "i"))["output"] == "2"
            assert await client.restart("i", restart_with_new_instance_id=False)
            await until(lambda: len(app.ran) == 3)

    run_simulated(main())


def test_a_fault_of_the_host_is_no_failure_of_the_function(tmp_path, caplog):
    """What the invoker raises besides FunctionFailed leaves the work where it is, to be tried again."""

    class Shaky(App):
        faults = 2

        async def run_activity(self, *arguments):
            if self.faults:
                self.faults -= 1
                raise OSError("the worker is away")
            return await super().run_activity(*arguments)

        async def run_orchestrator(self, *arguments):
            if self.faults:
                self.faults -= 1
                raise OSError("the worker is away")
            return await super().run_orchestrator(*arguments)

    def once(context):
        result = yield context.call_activity("one")
        return result

    async def main():
        async with running(tmp_path, Shaky({"once": once}, {"one": lambda _: 1})) as (engine, client):
            await client.start_new("once", "i")
            assert (await ended(engine, "i"))["output"] == 1
            engine.invoker.faults = 1
            await client.start_new("once", "j")
            assert (await ended(engine, "j"))["output"] == 1
        assert "could not be run" in caplog.text

    run_simulated(main())
