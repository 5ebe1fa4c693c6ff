"""The circuit breaker's states on a hand clock, and against a model."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from core.circuit import PROBING_S, Circuit, CircuitOpen
from core.outside_call import OutsideUnavailable

FAILURES = 3
OPEN_S = 10.0


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def circuit_on(clock: Clock) -> Circuit:
    return Circuit(
        "gateway:test",
        failures=FAILURES,
        open_s=OPEN_S,
        clock=clock,
        counts=lambda error: isinstance(error, OutsideUnavailable),
    )


def attempt(circuit: Circuit, error: Exception | None = None) -> None:
    """A whole call of one attempt. Raises CircuitOpen, and `error`."""
    probe = circuit.enter()
    try:
        with circuit.attempt(probe):
            if error is not None:
                raise error
    finally:
        circuit.leave(probe)


def fail(circuit: Circuit, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(OutsideUnavailable, match="down"):
            attempt(circuit, OutsideUnavailable("down"))


def opened(clock: Clock) -> Circuit:
    circuit = circuit_on(clock)
    fail(circuit, FAILURES)
    return circuit


def test_it_opens_after_so_many_failures_in_a_row_and_refuses_then():
    clock = Clock()
    circuit = circuit_on(clock)
    fail(circuit, FAILURES - 1)
    assert (circuit.state, circuit.failures) == ("closed", FAILURES - 1)
    fail(circuit)
    assert circuit.state == "open"
    clock.now += 4.0
    with pytest.raises(CircuitOpen, match="gateway:test: the circuit is open") as refused:
        circuit.enter()
    assert refused.value.retry_after_s == 6.0


def test_a_success_between_failures_keeps_it_closed():
    circuit = circuit_on(Clock())
    for _ in range(3):
        fail(circuit, FAILURES - 1)
        attempt(circuit)
    assert (circuit.state, circuit.failures) == ("closed", 0)


def test_a_refusal_is_an_answer_and_no_failure():
    circuit = circuit_on(Clock())
    fail(circuit, FAILURES - 1)
    with pytest.raises(ValueError, match="refused"):
        attempt(circuit, ValueError("refused"))
    assert (circuit.state, circuit.failures) == ("closed", 0)


def test_when_its_time_is_over_one_probe_is_let_through_and_nobody_else():
    clock = Clock()
    circuit = opened(clock)
    clock.now += OPEN_S
    assert circuit.enter() is True
    with circuit.attempt(probe=True):
        assert circuit.state == "half-open"
        for _ in range(3):
            with pytest.raises(CircuitOpen) as refused:
                circuit.enter()
            assert refused.value.retry_after_s == PROBING_S
    circuit.leave(probe=True)
    assert circuit.state == "closed"
    assert circuit.enter() is False


def test_a_probe_that_fails_opens_it_for_as_long_again():
    clock = Clock()
    circuit = opened(clock)
    clock.now += OPEN_S
    fail(circuit)
    assert (circuit.state, circuit.opens_in_s) == ("open", OPEN_S)
    clock.now += OPEN_S
    attempt(circuit)
    assert (circuit.state, circuit.failures, circuit.opens_in_s) == ("closed", 0, 0.0)


def test_a_probe_that_made_no_attempt_leaves_the_next_one_its_turn():
    clock = Clock()
    circuit = opened(clock)
    clock.now += OPEN_S
    assert circuit.enter() is True
    circuit.leave(probe=True)
    assert circuit.state == "open"
    attempt(circuit)
    assert circuit.state == "closed"


@pytest.mark.parametrize("error", [None, OutsideUnavailable("down")])
def test_a_call_that_was_let_through_before_it_opened_is_made_and_not_counted(error):
    clock = Clock()
    circuit = circuit_on(clock)
    probe = circuit.enter()
    fail(circuit, FAILURES)
    clock.now += 3.0
    try:
        with circuit.attempt(probe):
            if error is not None:
                raise error
    except OutsideUnavailable:
        pass
    assert (circuit.state, circuit.opens_in_s) == ("open", OPEN_S - 3.0)


def test_a_success_that_comes_late_does_not_end_the_probe():
    clock = Clock()
    circuit = circuit_on(clock)
    late = circuit.attempt(circuit.enter())
    with late:
        fail(circuit, FAILURES)
        clock.now += OPEN_S
        assert circuit.enter() is True
        probe = circuit.attempt(probe=True)
        probe.__enter__()
    assert circuit.state == "half-open"
    probe.__exit__(None, None, None)
    assert circuit.state == "closed"


class AgainstAModel(RuleBasedStateMachine):
    """Calls one after the other: the model is a count and a time."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.circuit = circuit_on(self.clock)
        self.failures = 0
        self.probe_at: float | None = None

    @rule(seconds=st.sampled_from([0.0, 0.1, 4.0, OPEN_S - 0.1, OPEN_S]))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @precondition(lambda self: self.probe_at is None or self.clock.now >= self.probe_at)
    @rule(fails=st.booleans())
    def call(self, fails: bool) -> None:
        if fails:
            fail(self.circuit)
            self.failures += 1
            if self.probe_at is not None or self.failures >= FAILURES:
                self.probe_at = self.clock.now + OPEN_S
        else:
            attempt(self.circuit)
            self.failures, self.probe_at = 0, None

    @precondition(lambda self: self.probe_at is not None and self.clock.now < self.probe_at)
    @rule()
    def be_refused(self) -> None:
        with pytest.raises(CircuitOpen):
            attempt(self.circuit)

    @invariant()
    def is_in_the_model_s_state(self) -> None:
        assert self.circuit.state == ("closed" if self.probe_at is None else "open")


TestAgainstAModel = AgainstAModel.TestCase
TestAgainstAModel.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


@given(st.lists(st.booleans(), max_size=30))
@settings(max_examples=60, deadline=None)
def test_it_is_open_exactly_when_so_many_in_a_row_have_failed(outcomes):
    circuit = circuit_on(Clock())
    in_a_row = 0
    for failed in outcomes:
        if in_a_row >= FAILURES:
            break
        if failed:
            fail(circuit)
        else:
            attempt(circuit)
        in_a_row = in_a_row + 1 if failed else 0
    assert (circuit.state == "open") == (in_a_row >= FAILURES)
