"""An instance on simulated time, for tests: same engines, same host, seeded, crashed where the test says.

    async def scenario() -> None:
        app = load_app(directory)  # indexed once per process
        with suppress(Crashed):
            async with simulated(app, folder, seed=7, crash_after=12) as run:
                await run.request("POST", "/api/orders", {}, body)
                await run.until(lambda: ..., seconds=60)
        async with simulated(app, folder, seed=7) as run:  # what was committed is there
            ...

    run_simulated(scenario())

Lives that follow one another belong in one scenario: time must not go back on a store.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

from emulator.clock import LoopClock
from emulator.host.app import App
from emulator.host.assembly import Instance
from emulator.host.functions_host import HostOptions
from emulator.host.schema import SCHEMA
from emulator.http import HttpAnswer
from emulator.servicebus.faults import Faults
from emulator.store import Store, StoreStopped

STORE_FILE = "store.sqlite3"
_BASE_URL = "http://127.0.0.1:7071"


class Crashed(Exception):
    """The store crashed at the commit that the test named."""


@asynccontextmanager
async def simulated(
    app: App,
    folder: Path,
    *,
    seed: int = 0,
    owner: str = "instance-0",
    first: bool = True,
    scan_s: float = 1.0,
    feed_pace_s: float | None = 0.1,
    crash_after: int | None = None,
    redeliver: float = 0.0,
    reorder: float = 0.0,
) -> AsyncIterator[Simulated]:
    """A running instance, killed at the end of the block unless it was stopped.

    `owner` and `first` tell two instances apart; one alone tells itself everything and needs no frequent
    scan, which costs much of the time of a long run. `crash_after`: the number of the commit, counted from
    this start, that nobody hears of any more; whatever waits then raises Crashed. `redeliver` and `reorder`
    are chances, see `emulator.servicebus.faults`. `feed_pace_s` is that of every change feed, and None leaves
    each its `feedPollDelay`.
    """
    crashed = asyncio.Event()

    def after_commit(number: int) -> None:
        if number == crash_after:
            crashed.set()
            raise Crashed(f"after commit {number}")

    random = Random(seed)
    instance = Instance(
        app,
        Store(
            folder / STORE_FILE,
            schema=SCHEMA,
            commit_inline=True,
            synchronous="OFF",
            after_commit=after_commit,
        ),
        clock=LoopClock(asyncio.get_running_loop()),
        random=random,
        options=HostOptions(
            owner=owner,
            base_url=_BASE_URL,
            first_instance=first,
            scan_s=scan_s,
            feed_pace_s=feed_pace_s,
        ),
        faults=Faults(random, redeliver=redeliver, reorder=reorder) if redeliver or reorder else None,
    )
    run = Simulated(instance, crashed)
    try:
        await run.unless_crashed(instance.start())
        yield run
    finally:
        await instance.abort()


class Simulated:
    def __init__(self, instance: Instance, crashed: asyncio.Event) -> None:
        self.instance = instance
        self.engines = instance.engines
        self._crashed = crashed

    async def request(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> HttpAnswer:
        """Raises Crashed when no answer came because the store crashed."""
        url = path if path.startswith("http") else _BASE_URL + path
        return await self.unless_crashed(self.instance.host.request(method, url, headers, body))

    async def until(
        self, condition: Callable[[], bool], seconds: float = 600.0, step_s: float = 0.05
    ) -> None:
        """Let simulated time pass until the condition, looked at each `step_s`, holds.

        Raises Crashed, TimeoutError.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while not self._holds(condition):
            if loop.time() >= deadline:
                raise TimeoutError(f"not so within {seconds:.0f} simulated seconds")
            await asyncio.sleep(step_s)

    async def unless_crashed[R](self, work: Coroutine[None, None, R]) -> R:
        """The result of `work`, or Crashed: what waits for a crashed store waits for ever."""
        task = asyncio.ensure_future(work)
        crash = asyncio.ensure_future(self._crashed.wait())
        either: list[asyncio.Future[object]] = [task, crash]  # type: ignore[list-item]
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if self._crashed.is_set():
                raise Crashed("while waiting for an answer")
            return task.result()
        finally:
            for each in either:
                each.cancel()

    async def stop(self, patience_s: float = 60.0) -> None:
        """As SIGTERM does; leaving the block without it is SIGKILL."""
        await self.instance.stop(patience_s)

    def _holds(self, condition: Callable[[], bool]) -> bool:
        if self._crashed.is_set():
            raise Crashed("while waiting for a condition")
        try:
            return condition()
        except StoreStopped as error:
            raise Crashed("while waiting for a condition") from error
