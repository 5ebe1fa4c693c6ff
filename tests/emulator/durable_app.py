"""A durable app for tests: the real SDK, called by an invoker without a functions host."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Generator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import azure.durable_functions as df
from azure.durable_functions.models.DurableOrchestrationClient import DurableOrchestrationClient

from emulator.clock import LoopClock
from emulator.durable.engine import DurableEngine, DurableOptions
from emulator.durable.invoker import FunctionFailed, Invoker
from emulator.durable.schema import SCHEMA
from emulator.durable.sdk import install_in_process_rpc
from emulator.metrics import Metrics
from emulator.store import Store

type Orchestrator = Callable[[df.DurableOrchestrationContext], Generator[Any, Any, Any]]
type Activity = Callable[[Any], Any]

BASE_URL = "http://emulator.test"


class App(Invoker):
    """Orchestrators run through `Orchestrator.create(fn)`, as in the worker; activities are called."""

    def __init__(self, orchestrators: dict[str, Orchestrator], activities: dict[str, Activity] | None = None):
        self._orchestrators = {name: df.Orchestrator.create(fn) for name, fn in orchestrators.items()}
        self._activities = activities or {}
        self.contexts: list[dict[str, Any]] = []
        self.ran: list[tuple[str, Any]] = []
        self.traceparents: set[str] = set()

    def orchestrators(self) -> frozenset[str]:
        return frozenset(self._orchestrators)

    def activities(self) -> frozenset[str]:
        return frozenset(self._activities)

    async def run_orchestrator(self, name: str, context_json: str, traceparent: str) -> str:
        self.contexts.append(json.loads(context_json))
        self.traceparents.add(traceparent)
        try:
            return self._orchestrators[name](context_json)
        except Exception as error:
            raise FunctionFailed(f"{type(error).__name__}: {error}") from error

    async def run_activity(self, name: str, input_json: str, instance_id: str, traceparent: str) -> str:
        value = json.loads(input_json)
        self.ran.append((name, value))
        self.traceparents.add(traceparent)
        try:
            result = self._activities[name](value)
            if isinstance(result, Awaitable):
                result = await result
        except Exception as error:
            raise FunctionFailed(f"{type(error).__name__}: {error}", "a stack") from error
        return json.dumps(result)


def open_store(path: Path, **options: Any) -> Store:
    return Store(path / "state.db", schema=SCHEMA, commit_inline=True, synchronous="OFF", **options)


def make_engine(
    store: Store, app: App, *, owner: str = "one", seed: int = 1, **options: Any
) -> DurableEngine:
    clock = LoopClock(asyncio.get_running_loop())
    return DurableEngine(store, clock, Random(seed), Metrics(), app, DurableOptions(**options), owner)


@asynccontextmanager
async def running(path: Path, app: App, **options: Any):
    """A started engine on a store of its own, and a client of it."""
    store = open_store(path)
    engine = make_engine(store, app, **options)
    undo = install_in_process_rpc(engine, BASE_URL)
    await engine.start()
    try:
        yield engine, client_of(engine)
    finally:
        undo()
        await engine.stop()
        await store.close()


def client_of(engine: DurableEngine) -> DurableOrchestrationClient:
    return DurableOrchestrationClient(engine.client_binding(BASE_URL))


async def until(condition: Callable[[], Any], seconds: float = 3600.0, every: float = 0.1) -> Any:
    """The first true value of `condition`."""
    for _ in range(int(seconds / every)):
        value = condition()
        if value:
            return value
        await asyncio.sleep(every)
    raise AssertionError("the condition did not come true")


FINISHED = ("Completed", "Failed", "Terminated")


async def ended(
    engine: DurableEngine, instance_id: str, seconds: float = 3600.0, every: float = 0.1
) -> dict[str, Any]:
    """The status of an instance, when it has ended."""
    status = None
    for _ in range(int(seconds / every)):
        path = f"/runtime/webhooks/durabletask/instances/{instance_id}"
        answer = await engine.handle_http("GET", path, {}, {}, b"")
        status = json.loads(answer.body) if answer.body else None
        if status is not None and status["runtimeStatus"] in FINISHED:
            return status
        await asyncio.sleep(every)
    raise AssertionError(f"{instance_id} has not ended: {status}")


def race_of_an_event(context):
    """Waits for `reply`, for half a minute at most."""
    reply = context.wait_for_external_event("reply")
    timer = context.create_timer(context.current_utc_datetime + timedelta(seconds=30))
    yield context.task_all([context.call_activity("send"), context.task_any([reply, timer])])
    if reply.is_completed:
        timer.cancel()
        return reply.result
    return "timed out"
