"""An event loop whose time is simulated: when nothing is ready it jumps to the next timer without waiting.

Everything that runs on asyncio (the engines, the unmodified function app, its `asyncio.sleep`) then runs
hours in seconds, in one order that depends on nothing but the program and its seed. No threads: work handed
to an executor would be overtaken by the clock, so the store commits inline and the functions host runs
orchestrators inline.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any


class _JumpingSelector(selectors.SelectSelector):
    """Never blocks; a time-out that would have been waited for is added to the simulated time."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise DeadlockError("nothing is ready and no timer is set: it would wait for ever")
            self.now += max(timeout, 0.0)
        return ready


class DeadlockError(RuntimeError):
    """Every task waits for something that no task and no timer will bring."""


class SimulatedLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now

    def run_in_executor[*Ts, R](
        self, executor: object, func: Callable[[*Ts], R], *args: *Ts
    ) -> asyncio.Future[R]:
        """Run at once, on this thread: see the module's docstring."""
        future: asyncio.Future[R] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future


def run_simulated[R](main: Coroutine[Any, Any, R]) -> R:
    """Run `main` on a fresh simulated loop."""
    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        return runner.run(main)
