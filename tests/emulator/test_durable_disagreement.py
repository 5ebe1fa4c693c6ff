"""Where host and SDK disagree, an orchestration hangs or fails in Azure; so it does here, and says why."""

import asyncio
from datetime import timedelta

import pytest

from emulator.simulation import run_simulated
from tests.emulator.durable_app import App, ended, running


async def still_runs(client, instance_id, seconds=600.0):
    await asyncio.sleep(seconds)
    status = await client.get_status(instance_id)
    return status.runtime_status.value == "Running"


def hangs(tmp_path, app, caplog, because, events=()):
    """Run `app`'s orchestrator "o", raise `events`, and expect that it stands still because of `because`."""

    async def main():
        async with running(tmp_path, app) as (_, client):
            await client.start_new("o", "i")
            for event in events:
                await client.raise_event("i", event)
                await asyncio.sleep(1)
            assert await still_runs(client, "i")
            assert because in caplog.text

    run_simulated(main())


def test_an_orchestrator_that_asks_for_something_else_on_replay_fails(tmp_path):
    names = iter(["one", "two", "two"])

    def fickle(context):
        yield context.call_activity(next(names))

    async def main():
        app = App({"o": fickle}, {"one": lambda _: 1, "two": lambda _: 2})
        async with running(tmp_path, app) as (engine, client):
            await client.start_new("o", "i")
            status = await ended(engine, "i")
            assert status["runtimeStatus"] == "Failed"
            assert status["output"].startswith("Non-Deterministic workflow detected: A previous execution")
            assert "the activity 'one'" in status["output"]
            assert "the activity 'two'" in status["output"]

    run_simulated(main())


def test_an_orchestrator_that_asks_for_less_on_replay_fails(tmp_path):
    asks = iter([True, False])

    def fickle(context):
        if next(asks):
            yield context.create_timer(context.current_utc_datetime + timedelta(seconds=1))
        yield context.wait_for_external_event("go")

    async def main():
        async with running(tmp_path, App({"o": fickle})) as (engine, client):
            await client.start_new("o", "i")
            status = await ended(engine, "i")
            assert "a timer with the sequence number 0" in status["output"]
            assert "has not (yet?) scheduled this task" in status["output"]

    run_simulated(main())


def test_a_task_yielded_again_within_another_race_is_not_seen_by_the_host(tmp_path, caplog):
    """The second race tells the host of the new wait only, not that the activity too ends it."""

    def twice(context):
        slow = context.call_activity("slow")
        yield context.task_any([slow, context.wait_for_external_event("first")])
        yield context.task_any([slow, context.wait_for_external_event("second")])
        yield context.call_activity("after")

    async def slow(_):
        await asyncio.sleep(30)

    app = App({"o": twice}, {"slow": slow, "after": lambda _: None})
    hangs(tmp_path, app, caplog, "still awaits any of [the event 'second']", ["first"])
    assert [name for name, _ in app.ran] == ["slow"]


def test_an_early_event_is_consumed_twice_by_the_sdk_and_once_by_the_host(tmp_path, caplog):
    def waits_twice(context):
        yield context.call_activity("slow")
        yield context.wait_for_external_event("go")
        yield context.wait_for_external_event("go")
        yield context.call_activity("after")

    async def slow(_):
        await asyncio.sleep(30)

    app = App({"o": waits_twice}, {"slow": slow, "after": lambda _: None})
    hangs(tmp_path, app, caplog, "still awaits the event 'go'", ["go"])
    assert [name for name, _ in app.ran] == ["slow"]


def test_the_host_waits_for_all_although_one_has_failed(tmp_path, caplog):
    def hasty(context):
        try:
            yield context.task_all([context.call_activity("broken"), context.call_activity("slow")])
        except Exception:
            yield context.call_activity("after")

    def broken(_):
        raise ValueError("no")

    async def slow(_):
        await asyncio.sleep(30)

    async def main():
        app = App({"o": hasty}, {"broken": broken, "slow": slow, "after": lambda _: None})
        async with running(tmp_path, app) as (engine, client):
            await client.start_new("o", "i")
            await asyncio.sleep(29)
            assert [name for name, _ in app.ran] == ["broken", "slow"]
            assert "still awaits all of [the function 'broken', the function 'slow']" in caplog.text
            assert (await ended(engine, "i"))["runtimeStatus"] == "Completed"
            assert [name for name, _ in app.ran] == ["broken", "slow", "after"]

    run_simulated(main())


def test_a_wait_is_satisfied_last_come_first_served(tmp_path):
    """The newest waiter of a name gets the event: an abandoned wait does not swallow it."""

    def abandons(context):
        old = context.wait_for_external_event("go")
        yield context.task_any([old, context.wait_for_external_event("skip")])
        new = context.wait_for_external_event("go")
        yield new
        yield context.call_activity("after")

    async def main():
        app = App({"o": abandons}, {"after": lambda _: None})
        async with running(tmp_path, app) as (engine, client):
            await client.start_new("o", "i")
            await client.raise_event("i", "skip")
            await asyncio.sleep(1)
            await client.raise_event("i", "go")
            assert (await ended(engine, "i"))["runtimeStatus"] == "Completed"

    run_simulated(main())


def test_an_event_that_a_race_consumed_is_delivered_again_after_continue_as_new(tmp_path):
    """Because the cancelled timer ends the race at once in the host's replay, which is then past it when the
    event comes, and gives it to the next execution.
    """

    def loops(context):
        number = context.get_input()
        if number == 3:
            return number
        timer = context.create_timer(context.current_utc_datetime + timedelta(minutes=1))
        yield context.task_any([context.wait_for_external_event("go"), timer])
        if not timer.is_completed:
            timer.cancel()
        context.continue_as_new(number + 1)

    async def main():
        async with running(tmp_path, App({"o": loops})) as (engine, client):
            await client.start_new("o", "i", 0)
            await client.raise_event("i", "go")
            began = engine.clock.time()
            await ended(engine, "i")
            assert engine.clock.time() - began < 5  # one event, three rounds

    run_simulated(main())


def test_events_that_wait_in_the_orchestrator_are_lost_when_it_continues_as_new(tmp_path):
    """As in Azure: the SDK has no way to ask for preserveUnprocessedEvents."""

    def counter(context):
        round_ = context.get_input()
        yield context.call_activity("slow")
        if round_ == 0:
            context.continue_as_new(1)
        else:
            timer = context.create_timer(context.current_utc_datetime + timedelta(minutes=1))
            event = context.wait_for_external_event("early")
            yield context.task_any([event, timer])
            return event.is_completed

    async def slow(_):
        await asyncio.sleep(10)

    async def main():
        async with running(tmp_path, App({"o": counter}, {"slow": slow})) as (engine, client):
            await client.start_new("o", "i", 0)
            await asyncio.sleep(1)
            await client.raise_event("i", "early")
            assert (await ended(engine, "i"))["output"] is False

    run_simulated(main())


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda context: context.call_activity("misspelled"), "The function 'misspelled' doesn't exist"),
        (lambda context: context.call_sub_orchestrator("misspelled"), "is not an orchestrator function"),
        (lambda context: context.call_http("GET", "http://elsewhere.test"), "call_http is not served"),
        (lambda context: context.call_sub_orchestrator("o", instance_id="i"), "must be different than"),
    ],
)
def test_what_cannot_be_carried_out_fails_the_orchestration_by_name(tmp_path, call, reason):
    def asks(context):
        yield call(context)
        yield context.wait_for_external_event("never")

    async def main():
        async with running(tmp_path, App({"o": asks}, {"known": lambda _: None})) as (engine, client):
            await client.start_new("o", "i")
            status = await ended(engine, "i")
            assert status["runtimeStatus"] == "Failed"
            assert reason in status["output"]

    run_simulated(main())


def test_a_custom_status_of_more_than_16_kb_fails_the_orchestration(tmp_path):
    def verbose(context):
        context.set_custom_status("x" * 9000)
        yield context.wait_for_external_event("never")

    async def main():
        async with running(tmp_path, App({"o": verbose})) as (engine, client):
            await client.start_new("o", "i")
            assert "must not exceed 16 KB" in (await ended(engine, "i"))["output"]

    run_simulated(main())
