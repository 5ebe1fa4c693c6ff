"""Repeating what is worth repeating.

The broker redelivers a failed message at once and counts it, so an outage of a second would burn the
delivery count: handlers repeat transient errors themselves, with back-off and jitter, and only then raise.
"""

import asyncio
import random as randomness
from collections.abc import Awaitable, Callable

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type

from core.bus import TransientBusError
from core.documents import TransientDocumentError

FIRST_BACK_OFF_S = 0.1
LONGEST_BACK_OFF_S = 5.0


class TransientError(Exception):
    """Worth repeating; the base of the transient errors of this code, beside those of the two ports."""


TRANSIENT = (TransientError, TransientDocumentError, TransientBusError)
_IS_TRANSIENT = retry_if_exception_type(TRANSIENT)

_chance = randomness.Random()


async def retry_transient[R](
    call: Callable[[], Awaitable[R]],
    *,
    budget_s: float = 60.0,
    attempts: int | None = None,
    first_s: float = FIRST_BACK_OFF_S,
    random: randomness.Random = _chance,
) -> R:
    """Await `call()` until it succeeds; after `budget_s` seconds, or so many attempts, raise the last
    transient error.

    Exponential back-off from `first_s` with full jitter, never shorter than an error's own `retry_after_s`.
    Any other error is raised at once. `call` must be safe to repeat.
    """
    loop = asyncio.get_running_loop()
    started = loop.time()
    try:
        return await call()
    except TRANSIENT as error:
        failed: list[Exception] = [error]

    # Only from here on: tenacity costs 60 us a call, and nearly every call succeeds at once.
    async def attempt() -> R:
        if failed:
            raise failed.pop()
        return await call()

    def wait(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome is not None else None
        ceiling = min(first_s * 2 ** min(state.attempt_number - 1, 30), LONGEST_BACK_OFF_S)
        return max(random.uniform(0.0, ceiling), getattr(error, "retry_after_s", 0.0))

    def stop(state: RetryCallState) -> bool:
        if attempts is not None and state.attempt_number >= attempts:
            return True
        return loop.time() - started + state.upcoming_sleep > budget_s

    retrying = AsyncRetrying(sleep=asyncio.sleep, wait=wait, stop=stop, retry=_IS_TRANSIENT, reraise=True)
    return await retrying(attempt)
