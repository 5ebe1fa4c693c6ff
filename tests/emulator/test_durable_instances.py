"""Instances: long ones, what is seen of them, how they are ended, held and started again."""

import asyncio
from datetime import timedelta

import pytest

from emulator.simulation import run_simulated
from tests.emulator.durable_app import App, ended, race_of_an_event, running, until


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
