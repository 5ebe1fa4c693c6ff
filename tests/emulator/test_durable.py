"""Orchestrations with the real SDK on the embedded engine, in simulated time."""

from datetime import timedelta

from emulator.simulation import run_simulated
from tests.emulator.durable_app import App, ended, running


def test_activities_in_sequence_hand_on_their_results(tmp_path):
    def sequence(context):
        first = yield context.call_activity("double", context.get_input())
        second = yield context.call_activity("double", first)
        return {"result": second}

    async def main():
        app = App({"sequence": sequence}, {"double": lambda number: number * 2})
        async with running(tmp_path, app) as (engine, client):
            await client.start_new("sequence", "i", 5)
            status = await ended(engine, "i")
            assert status["output"] == {"result": 20}
            assert app.ran == [("double", 5), ("double", 10)]

    run_simulated(main())


def test_a_race_between_an_event_and_a_timer_is_won_by_the_event(tmp_path):
    def race(context):
        reply = context.wait_for_external_event("reply")
        timer = context.create_timer(context.current_utc_datetime + timedelta(seconds=30))
        yield context.task_all([context.call_activity("send"), context.task_any([reply, timer])])
        if reply.is_completed:
            timer.cancel()
            return reply.result
        return "timed out"

    async def main():
        app = App({"race": race}, {"send": lambda _: None})
        async with running(tmp_path, app) as (engine, client):
            await client.start_new("race", "answered")
            await client.raise_event("answered", "reply", {"type": "done"})
            await client.start_new("race", "silent")
            assert (await ended(engine, "answered"))["output"] == '{"type": "done"}'
            assert (await ended(engine, "silent"))["output"] == "timed out"

    run_simulated(main())
