"""Runs deliveries of commands in any order that a test chooses, one port call at a time, with crashes.

Each port call passes two gates, before and after its effect. A crash at a gate kills that delivery alone, as
the death of its process would; the call's effect is then there (after) or not (before).
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

from hypothesis import strategies as st

from core.outside_call import OutsideUnavailable
from core.resilience import TRANSIENT
from emulator.simulation import run_simulated


class Crash(BaseException):
    """The process dies here. Nothing in the code under test catches it."""


type Plan = Callable[[str, int], Literal["go", "hold", "crash"]]
"""What happens to a delivery (by its name) at the n-th gate that it comes to."""

type Handle = Callable[[str], Awaitable[None]]
"""Handles one delivery of the command of that name."""

_delivery: ContextVar[str] = ContextVar("delivery", default="")


class Gates:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.passed: Counter[str] = Counter()
        self._held: list[asyncio.Future[None]] = []

    async def __call__(self, request: str) -> None:
        delivery = _delivery.get()
        self.passed[delivery] += 1
        match self.plan(delivery, self.passed[delivery]):
            case "go":
                await asyncio.sleep(0)
            case "hold":
                gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._held.append(gate)
                await gate
            case "crash":
                raise Crash

    def held(self) -> list[asyncio.Future[None]]:
        self._held = [gate for gate in self._held if not gate.done()]
        return self._held

    def open(self) -> None:
        self.plan = lambda delivery, n: "go"
        for gate in self.held():
            gate.set_result(None)


def start(handle: Handle, command: str, delivery: str = "") -> asyncio.Task[None]:
    async def run() -> None:
        _delivery.set(delivery or command)
        await handle(command)

    return asyncio.ensure_future(run())


async def settle() -> None:
    """Let every task run until it waits for a gate or a timer."""
    for _ in range(30):
        await asyncio.sleep(0)


async def finish(
    gates: Gates, handle: Handle, tasks: Sequence[asyncio.Task[None]], commands: Sequence[str]
) -> None:
    """Let everything through, then redeliver each command until it is handled, and once more."""
    gates.open()
    for end in await asyncio.gather(*tasks, return_exceptions=True):
        if end is not None and not isinstance(end, (Crash, *TRANSIENT)):
            raise end
    for command in (*commands, *commands):
        await _until_handled(handle, command)


async def _until_handled(handle: Handle, command: str) -> None:
    for _ in range(10):
        try:
            return await handle(command)
        except TRANSIENT:
            await asyncio.sleep(6.0)
    raise AssertionError(f"{command} was never handled")


async def crash_at(gates: Gates, nth: int, handle: Handle, commands: Sequence[str]) -> bool:
    """Deliver the commands in turn; the n-th gate of them all kills. Says whether there was an n-th."""
    seen = 0

    def plan(delivery: str, n: int) -> Literal["go", "crash"]:
        nonlocal seen
        seen += 1
        return "crash" if seen == nth else "go"

    gates.plan = plan
    tasks = []
    for command in commands:
        tasks.append(start(handle, command))
        await asyncio.wait(tasks)
    await finish(gates, handle, tasks, commands)
    return seen >= nth


async def overtake_at(
    gates: Gates, nth: int, handle: Handle, slow: str, others: Sequence[str], pause_s: float
) -> bool:
    """Hold one delivery of `slow` at its n-th gate for `pause_s`, deliver the others, then let it go on.

    Says whether there was an n-th gate.
    """
    gates.plan = lambda delivery, n: "hold" if delivery == "slow" and n == nth else "go"
    tasks = [start(handle, slow, "slow")]
    await settle()
    await asyncio.sleep(pause_s)
    for other in others:
        tasks.append(start(handle, other))
        await asyncio.wait(tasks[1:])
    await finish(gates, handle, tasks, (slow, *others))
    return gates.passed["slow"] >= nth


@dataclass(frozen=True)
class Deliver:
    command: str


@dataclass(frozen=True)
class Go:
    gate: int


@dataclass(frozen=True)
class CrashAt:
    gate: int


@dataclass(frozen=True)
class FailAt:
    """The other side says that it can do nothing for the moment."""

    gate: int


@dataclass(frozen=True)
class Wait:
    seconds: float


type Action = Deliver | Go | CrashAt | FailAt | Wait


def schedules(
    commands: Sequence[str], waits: Sequence[float] = (0.5, 5.0, 11.5)
) -> st.SearchStrategy[list[Action]]:
    gates = st.integers(0, 4)
    go = st.builds(Go, gates)
    return st.lists(
        st.one_of(
            st.builds(Deliver, st.sampled_from(commands)),
            *(go, go, go, go),
            st.builds(CrashAt, gates),
            st.builds(FailAt, gates),
            st.builds(Wait, st.sampled_from(waits)),
        ),
        min_size=5,
        max_size=50,
    )


async def run_schedule(gates: Gates, handle: Handle, actions: Sequence[Action]) -> set[str]:
    """Answers the commands that were delivered."""
    gates.plan = lambda delivery, n: "hold"
    tasks: list[asyncio.Task[None]] = []
    delivered: set[str] = set()
    for action in actions:
        held = gates.held()
        match action:
            case Deliver(command):
                delivered.add(command)
                tasks.append(start(handle, command))
            case Wait(seconds):
                await asyncio.sleep(seconds)
            case Go(gate) if held:
                held[gate % len(held)].set_result(None)
            case CrashAt(gate) if held:
                held[gate % len(held)].set_exception(Crash())
            case FailAt(gate) if held:
                held[gate % len(held)].set_exception(OutsideUnavailable("for the moment"))
        await settle()
    await finish(gates, handle, tasks, sorted(delivered))
    return delivered


def at_each_gate(scenario: Callable[[int], Coroutine[None, None, bool]], more_than: int = 0) -> None:
    """Run it for the first gate, the second, ... until it answers that there was no such gate, which is the
    one with a number above `more_than`.
    """
    for nth in range(1, 200):
        if not run_simulated(scenario(nth)):
            assert nth > more_than
            return
    raise AssertionError("the scenario does not end")
