"""Random orchestrations against a model of what they answer and how long they take, crashes included."""

import asyncio
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

import azure.durable_functions as df
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emulator.durable.sdk import install_in_process_rpc
from emulator.simulation import run_simulated
from emulator.store import StoreStopped
from tests.emulator.durable_app import BASE_URL, App, client_of, ended, make_engine, open_store, until

PATIENCE_S = 150
"""Of a race; far longer than any event of a run takes, so that a crash cannot change who wins."""


@dataclass(frozen=True)
class Call:
    seconds: int
    failures: int = 0
    """So many attempts fail before one succeeds, a second apart."""


@dataclass(frozen=True)
class Parallel:
    calls: tuple[Call, ...]


@dataclass(frozen=True)
class Race:
    """An activity, and a race between an event and a timer, in one yield."""

    seconds: int
    event_at: int | None
    """Half a second after so many seconds since the start; None: never."""
    doubled: bool = False


@dataclass(frozen=True)
class Sleep:
    seconds: int


@dataclass(frozen=True)
class Child:
    steps: tuple[object, ...]


calls = st.builds(Call, st.integers(0, 5), st.integers(0, 2))
steps = st.recursive(
    st.one_of(
        calls,
        st.builds(Parallel, st.lists(calls, min_size=1, max_size=4).map(tuple)),
        st.builds(Race, st.integers(0, 5), st.one_of(st.none(), st.integers(0, 60)), st.booleans()),
        st.builds(Sleep, st.integers(1, 9)),
    ),
    lambda step: st.builds(Child, st.lists(step, max_size=3).map(tuple)),
    max_leaves=4,
)
programs = st.lists(steps, min_size=1, max_size=6).map(tuple)


def run_steps(context, program, path):
    """The orchestrator: runs `program`, whose steps are told apart by `path`."""
    results = []
    for number, step in enumerate(program):
        name = f"{path}.{number}"
        match step:
            case Call():
                results.append((yield call(context, step, name)))
            case Parallel():
                tasks = [call(context, each, f"{name}.{index}") for index, each in enumerate(step.calls)]
                results.append((yield context.task_all(tasks)))
            case Race():
                event = context.wait_for_external_event(name)
                timer = context.create_timer(context.current_utc_datetime + timedelta(seconds=PATIENCE_S))
                activity = context.call_activity("work", [name, step.seconds, 0])
                yield context.task_all([activity, context.task_any([event, timer])])
                if event.is_completed and not timer.is_completed:
                    timer.cancel()
                results.append("event" if event.is_completed else "timer")
            case Sleep():
                yield context.create_timer(context.current_utc_datetime + timedelta(seconds=step.seconds))
                results.append(None)
            case Child():
                results.append((yield context.call_sub_orchestrator("program", name, f"child{name}")))
    return results


def call(context, step, name):
    given_to_it = [name, step.seconds, step.failures]
    if step.failures:
        return context.call_activity_with_retry("work", df.RetryOptions(1000, 5), given_to_it)
    return context.call_activity("work", given_to_it)


def expected(program, path, began=0.0):
    """What the program answers, and when."""
    results, now = [], began
    for number, step in enumerate(program):
        match step:
            case Call():
                results.append("done")
                now += duration(step)
            case Parallel():
                results.append(["done"] * len(step.calls))
                now += max(map(duration, step.calls))
            case Race():
                event = None if step.event_at is None else step.event_at + 0.5
                results.append("timer" if event is None else "event")
                won = now + PATIENCE_S if event is None else max(now, event)
                now = max(now + step.seconds, won)
            case Sleep():
                results.append(None)
                now += step.seconds
            case Child():
                inner, now = expected(step.steps, f"{path}.{number}", now)
                results.append(inner)
    return results, now


def duration(step):
    return (step.failures + 1) * step.seconds + step.failures


def events_of(program, path):
    """Name, instance and moment of every event."""
    for number, step in enumerate(program):
        name = f"{path}.{number}"
        if isinstance(step, Race) and step.event_at is not None:
            for _ in range(2 if step.doubled else 1):
                yield name, step.event_at + 0.5
        elif isinstance(step, Child):
            yield from events_of(step.steps, name)


def find(program, path):
    for number in path.split(".")[1:]:
        program = program[int(number)].steps
    return program


def app_of(program):
    failed = {}

    def orchestrator(context):
        path = context.get_input()
        return run_steps(context, find(program, path), path)

    async def work(given_to_it):
        name, seconds, failures = given_to_it
        await asyncio.sleep(seconds)
        if failed.get(name, 0) < failures:
            failed[name] = failed.get(name, 0) + 1
            raise ValueError("not yet")
        return "done"

    return App({"program": orchestrator}, {"work": work})


class Driver:
    """Starts the program and raises its events at their moments, each until it is acknowledged."""

    def __init__(self, program):
        self.todo = [("start", None, 0.0)]
        self.todo += sorted(
            ((owner_of(name), name, at) for name, at in events_of(program, "r")), key=lambda item: item[2]
        )

    async def drive(self, engine, since):
        client = client_of(engine)
        while self.todo:
            owner, event, at = self.todo[0]
            await asyncio.sleep(max(0.0, since + at - engine.clock.time()))
            if owner == "start":
                if not await client.get_status("r"):
                    await client.start_new("program", "r", "r")
            elif not await raise_event(client, owner, event):
                self.todo[0] = (owner, event, engine.clock.time() - since + 0.25)
                self.todo.sort(key=lambda item: item[2])
                continue
            self.todo.pop(0)


def owner_of(event):
    """The instance that waits for it: the program's own, or that of the child whose step it is."""
    path = event.rpartition(".")[0]
    return "r" if path == "r" else f"child{path}"


async def raise_event(client, instance_id, event):
    """False when there is no such instance yet. An event for one that has ended is not needed any more."""
    try:
        await client.raise_event(instance_id, event)
    except Exception as refusal:
        if "No instance" in str(refusal):
            return False
        if "is gone" not in str(refusal):
            raise
    return True


async def live(store, app, driver, since=None):
    """One process, to the end of the program. Hangs when the store crashes."""
    engine = make_engine(store, app)
    undo = install_in_process_rpc(engine, BASE_URL)
    driving = None
    try:
        await engine.start()
        began = engine.clock.time() if since is None else since
        driving = asyncio.create_task(driver.drive(engine, began))
        await until(lambda: not driver.todo or driver.todo[0][0] != "start")
        status = await ended(engine, "r", seconds=100_000, every=0.5)
        return status["output"], engine.clock.time() - began
    finally:
        if driving is not None:
            driving.cancel()
        undo()
        await engine.stop()


slow = settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)


@slow
@given(programs)
def test_a_program_answers_what_the_model_says_when_it_says(program):
    async def main(folder):
        with opened(folder) as store:
            output, seconds = await live(store, app_of(program), Driver(program))
        results, end = expected(program, "r")
        assert output == results
        assert end - 0.2 <= seconds <= end + 2.0

    with tempfile.TemporaryDirectory() as folder:
        run_simulated(main(Path(folder)))


@slow
@given(programs, st.lists(st.integers(1, 25), min_size=1, max_size=3))
def test_a_program_answers_the_same_when_its_process_is_killed_on_the_way(program, kills):
    async def main(folder):
        app, driver = app_of(program), Driver(program)
        since = asyncio.get_running_loop().time() + 1_800_000_000.0
        for number in (*kills, None):
            with opened(folder, after_commit=kill_at(number)) as store:
                life = asyncio.create_task(live(store, app, driver, since))
                await until(partial(over, life, store), 100_000, every=0.5)
                if life.done() and not isinstance(life.exception(), StoreStopped):
                    output, _ = life.result()
                    assert output == expected(program, "r")[0]
                    for table in ("messages", "timers", "tasks"):
                        assert store.read(f"SELECT * FROM durable_{table}") == []  # noqa: S608
                    return
                life.cancel()
                await asyncio.wait([life])
            await asyncio.sleep(1)

    with tempfile.TemporaryDirectory() as folder:
        run_simulated(main(Path(folder)))


@contextmanager
def opened(folder, **options):
    store = open_store(folder, **options)
    try:
        yield store
    finally:
        store.stop(Killed())


def over(life, store):
    """Whether the process has come to its end, or its store has crashed."""
    if life.done():
        return True
    try:
        store.read("SELECT 1")
    except StoreStopped:
        return True
    return False


class Killed(Exception):
    pass


def kill_at(number):
    def after_commit(commits):
        if commits == number:
            raise Killed

    return after_commit
