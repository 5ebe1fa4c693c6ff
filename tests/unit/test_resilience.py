"""Repeating transient errors, on simulated time."""

import asyncio
import random

import pytest

from core.bus import BusThrottled, MessageTooLarge
from core.documents import DocumentConflict, RetryWith, TooManyRequests
from core.outside_call import OutcomeUnknown
from core.resilience import LONGEST_BACK_OFF_S, TransientError, retry_transient
from emulator.simulation import run_simulated


class Flaky:
    """Fails with the given errors, one a call, then succeeds. `at` are the times of the calls."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.at: list[float] = []

    async def __call__(self) -> str:
        self.at.append(asyncio.get_running_loop().time())
        if self.errors:
            raise self.errors.pop(0)
        return "done"


@pytest.mark.parametrize(
    "error",
    [RetryWith("449"), TooManyRequests("429"), BusThrottled("busy"), OutcomeUnknown("?"), TransientError()],
)
def test_a_transient_error_is_repeated_until_it_goes_well(error):
    call = Flaky(*[error] * 5)
    assert run_simulated(retry_transient(call)) == "done"
    assert len(call.at) == 6


@pytest.mark.parametrize("error", [DocumentConflict("409"), MessageTooLarge("big"), ValueError("bad")])
def test_any_other_error_is_raised_at_once(error):
    call = Flaky(error)
    with pytest.raises(type(error)):
        run_simulated(retry_transient(call))
    assert len(call.at) == 1


def test_the_back_off_doubles_up_to_its_limit_with_full_jitter():
    class Longest(random.Random):
        def uniform(self, a: float, b: float) -> float:
            return b

    call = Flaky(*[RetryWith("449")] * 8)
    run_simulated(retry_transient(call, random=Longest()))
    waits = [after - before for before, after in zip(call.at, call.at[1:], strict=False)]
    assert waits == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, LONGEST_BACK_OFF_S, LONGEST_BACK_OFF_S])


def test_it_waits_at_least_as_long_as_the_store_asks_for():
    call = Flaky(TooManyRequests("429", retry_after_s=7.5))
    run_simulated(retry_transient(call))
    assert call.at == pytest.approx([0.0, 7.5])


def test_after_the_budget_the_last_error_is_raised():
    call = Flaky(*[RetryWith(str(number)) for number in range(1000)])
    with pytest.raises(RetryWith):
        run_simulated(retry_transient(call, budget_s=60, random=random.Random(7)))
    assert 50 < call.at[-1] <= 60


def test_one_that_asks_to_wait_past_the_budget_is_raised_at_once():
    call = Flaky(TooManyRequests("429", retry_after_s=61))
    with pytest.raises(TooManyRequests):
        run_simulated(retry_transient(call, budget_s=60))
    assert call.at == [0.0]
