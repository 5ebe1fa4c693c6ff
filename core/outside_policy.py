"""What every call to a provider goes through: bulkhead, circuit breaker, timeout, retry. docs/resilience.md.

One policy for each provider, shared by the process. The classes of adapters/resilience implement a port on an
adapter of it, and give each call to the policy.
"""

import asyncio
import random as randomness
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypedDict

from core import resilience
from core.bulkhead import Bulkhead, BulkheadFull
from core.circuit import Circuit, CircuitOpen, CircuitState
from core.outside_call import Guard, NotSent, OutcomeUnknown, OutsideUnavailable
from core.outside_limits import OutsideLimits
from core.resilience import TRANSIENT, retry_transient

FIRST_BACK_OFF_S = 0.25


def _loop_time() -> float:
    return asyncio.get_running_loop().time()


class ProviderStatus(TypedDict):
    """`refused`: how many calls were not sent, by reason."""

    provider: str
    circuit: CircuitState
    failures_in_a_row: int
    retry_after_s: float
    running: int
    waiting: int
    refused: dict[str, int]


class OutsidePolicy(Guard):
    """`name` is the provider's, as in `gateway:stripe`; `clock` gives seconds from any start.

    refused: how many calls were not sent, by reason.
    """

    def __init__(
        self,
        name: str,
        limits: OutsideLimits,
        *,
        clock: Callable[[], float] = _loop_time,
        random: randomness.Random = resilience._chance,
    ) -> None:
        self.name = name
        self.limits = limits
        self._clock = clock
        self._random = random
        self.reset()

    def reset(self) -> None:
        """Forget everything, as a new process has."""
        limits = self.limits
        self.circuit = Circuit(
            self.name,
            failures=limits.circuit_failures,
            open_s=limits.circuit_s,
            clock=self._clock,
            counts=_is_failure,
        )
        self.bulkhead = Bulkhead(self.name, limits.concurrency, limits.queue)
        self.refused = {"circuit_open": 0, "bulkhead_full": 0}

    async def call[R](self, attempt: Callable[[], Awaitable[R]], *, repeat: bool = True) -> R:
        """Make a call, several times if `repeat` and it is worth it.

        Raises CircuitOpen and BulkheadFull, and then nothing was sent; OutcomeUnknown when no answer came in
        time; and what the last attempt raised.
        """
        for admission in _admissions.get():
            if admission.policy is self:
                return await self._make(attempt, admission.probe, repeat)
        async with self._entered() as probe:
            return await self._make(attempt, probe, repeat)

    @asynccontextmanager
    async def admitted(self) -> AsyncIterator[None]:
        async with self._entered() as probe:
            token = _admissions.set((*_admissions.get(), _Admission(self, probe)))
            try:
                yield
            finally:
                _admissions.reset(token)

    @asynccontextmanager
    async def _entered(self) -> AsyncIterator[bool]:
        """Whether it is the circuit's probe."""
        circuit, bulkhead = self.circuit, self.bulkhead
        try:
            if circuit.state != "closed":
                circuit.leave(circuit.enter())  # refused without a place in the queue
            await bulkhead.enter(self.limits.timeout_s / 2)
            try:
                probe = circuit.enter()  # it may have opened meanwhile
            except CircuitOpen:
                bulkhead.leave()
                raise
        except NotSent as error:
            self.refused["bulkhead_full" if isinstance(error, BulkheadFull) else "circuit_open"] += 1
            raise
        try:
            yield probe
        finally:
            circuit.leave(probe)
            bulkhead.leave()

    async def _make[R](self, attempt: Callable[[], Awaitable[R]], probe: bool, repeat: bool) -> R:
        circuit, limits = self.circuit, self.limits
        ends_at = self._clock() + limits.timeout_s

        async def once() -> R:
            seconds = min(limits.attempt_s, ends_at - self._clock())
            with circuit.attempt(probe):
                try:
                    async with asyncio.timeout(seconds):
                        return await attempt()
                except TimeoutError as error:
                    raise OutcomeUnknown(f"{self.name}: no answer within {seconds:.1f} s") from error

        if not repeat:
            return await once()
        last: Exception | None = None
        uncertain = False

        async def again() -> R:
            nonlocal last, uncertain
            if last is not None and circuit.state != "closed":
                raise _GivenUp
            try:
                return await once()
            except TRANSIENT as error:
                last = error
                uncertain = uncertain or not isinstance(error, OutsideUnavailable)
                if circuit.state != "closed":
                    raise _GivenUp from error
                raise

        try:
            return await retry_transient(
                again,
                budget_s=limits.timeout_s,
                attempts=limits.attempts,
                first_s=FIRST_BACK_OFF_S,
                random=self._random,
            )
        except (_GivenUp, OutsideUnavailable) as error:
            assert last is not None  # noqa: S101  (set before it is raised)
            if uncertain and isinstance(last, OutsideUnavailable):
                # What this attempt did not do, an earlier one may have done.
                raise OutcomeUnknown(str(last)) from error
            raise last from last.__cause__

    def status(self) -> ProviderStatus:
        """As GET /api/health shows it."""
        return {
            "provider": self.name,
            "circuit": self.circuit.state,
            "failures_in_a_row": self.circuit.failures,
            "retry_after_s": round(self.circuit.opens_in_s, 1),
            "running": self.bulkhead.running,
            "waiting": self.bulkhead.waiting,
            "refused": dict(self.refused),
        }


class _GivenUp(Exception):
    """The circuit has opened: no further attempt. The call has been sent, so this is no CircuitOpen."""


@dataclass(frozen=True, slots=True)
class _Admission:
    policy: OutsidePolicy
    probe: bool


_admissions: ContextVar[tuple[_Admission, ...]] = ContextVar("admissions", default=())
"""Of this task."""


def _is_failure(error: BaseException) -> bool:
    """A refusal of one call is an answer. Who cancels has waited long enough (an intent's deadline), or ends
    the process, which forgets it."""
    return isinstance(error, (*TRANSIENT, TimeoutError, asyncio.CancelledError))
