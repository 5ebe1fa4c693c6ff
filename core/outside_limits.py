"""How far the app goes for one provider: a gateway, a carrier, a sender."""

from dataclasses import dataclass

LONGEST_CIRCUIT_S = 30.0
"""A message that finds a circuit open is repeated where it is for a minute, and only then costs a delivery
(triggers/service_bus/receiving.py): one that had to wait longer would cost a delivery at once."""


@dataclass(frozen=True, slots=True)
class OutsideLimits:
    """Of one provider, in one process. Durations in seconds.

    timeout_s: a call with all its attempts; also for how long its intent binds (core/outside_call.py).
    attempt_s: one attempt; never longer than the call.
    attempts: how often a call is made that is safe to repeat.
    circuit_failures: after how many failures in a row the circuit opens.
    circuit_s: for how long it then stays open before one call may try.
    concurrency, queue: how many calls are made at once, and how many may wait for their turn.
    """

    timeout_s: float = 10.0
    attempt_s: float = 5.0
    attempts: int = 4
    circuit_failures: int = 5
    circuit_s: float = 20.0
    concurrency: int = 32
    queue: int = 64
