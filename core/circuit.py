"""A circuit breaker for asyncio: pybreaker's states and counts, on our clock, with one probe at a time.

Closed: calls are let through; so many failures in a row open it. Open: calls are refused. After its time one
call is let through (half-open): if it succeeds the circuit closes, else it opens for as long again. pybreaker
by itself reads the wall clock, and lets every call through that comes while it is half-open.
"""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import Literal, cast

import pybreaker

from core.outside_call import NotSent
from core.telemetry import log

type CircuitState = Literal["closed", "open", "half-open"]

STATES: tuple[CircuitState, ...] = ("closed", "half-open", "open")

PROBING_S = 1.0
"""After how long those who found a probe under way come again."""

logger = logging.getLogger("orderflow.outside")


class CircuitOpen(NotSent):
    """The provider has failed too often to be asked now."""


class Circuit:
    """`clock` gives seconds from any start. `counts` says which errors are failures of the provider."""

    def __init__(
        self,
        name: str,
        *,
        failures: int,
        open_s: float,
        clock: Callable[[], float],
        counts: Callable[[BaseException], bool],
    ) -> None:
        self._name = name
        self._clock = clock
        self._memory = _Memory(open_s, clock)
        self._probing = False
        self._breaker = pybreaker.CircuitBreaker(
            fail_max=failures,
            reset_timeout=open_s,
            exclude=[lambda error: not counts(error)],
            listeners=[_Logging(name)],
            state_storage=self._memory,
            throw_new_error_on_trip=False,
        )

    @property
    def state(self) -> CircuitState:
        return cast(CircuitState, self._breaker.current_state)

    @property
    def failures(self) -> int:
        """In a row."""
        return self._breaker.fail_counter if self.state == "closed" else self._breaker.fail_max

    @property
    def opens_in_s(self) -> float:
        """Until a call may try; 0 when one may."""
        return 0.0 if self.state == "closed" else max(0.0, self._memory.probe_at - self._clock())

    def enter(self) -> bool:
        """Let a call through, and say whether it is the probe, which `leave` must end. Raises CircuitOpen."""
        if self.state == "closed":
            return False
        wait = PROBING_S if self._probing else self.opens_in_s
        if wait:
            raise CircuitOpen(f"{self._name}: the circuit is open for another {wait:.1f} s", wait)
        self._probing = True
        return True

    def leave(self, probe: bool) -> None:
        if probe:
            self._probing = False

    def attempt(self, probe: bool) -> AbstractContextManager[None]:
        """Around one attempt of a call that was let through: counts what comes of it.

        A call that was let through before the circuit opened is still made, and no longer counted.
        """
        if self.state == "closed" or (probe and not self.opens_in_s):
            return cast("AbstractContextManager[None]", self._breaker.calling())
        return nullcontext()


class _Memory(pybreaker.CircuitMemoryStorage):
    """When the circuit was opened, by our clock: pybreaker is told what makes its comparison come out so."""

    def __init__(self, open_s: float, clock: Callable[[], float]) -> None:
        super().__init__(pybreaker.STATE_CLOSED)
        self._open_s = open_s
        self._clock = clock
        self.probe_at = 0.0

    @property
    def opened_at(self) -> datetime | None:
        return None if self._clock() >= self.probe_at else datetime.now(UTC)

    @opened_at.setter
    def opened_at(self, _: datetime) -> None:
        self.probe_at = self._clock() + self._open_s


class _Logging(pybreaker.CircuitBreakerListener):
    def __init__(self, name: str) -> None:
        self._name = name

    def state_change(
        self,
        cb: pybreaker.CircuitBreaker,
        old_state: pybreaker.CircuitBreakerState | None,
        new_state: pybreaker.CircuitBreakerState,
    ) -> None:
        level = logging.INFO if new_state.name == "closed" else logging.WARNING
        log(logger, level, "circuit", provider=self._name, state=new_state.name)
