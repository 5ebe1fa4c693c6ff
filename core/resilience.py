"""Repeating what is worth repeating.

The broker redelivers a failed message at once and counts it, so an outage of a second would burn the
delivery count: handlers repeat transient errors themselves, with back-off and jitter, and only then raise.
"""

import asyncio
import random as randomness
from collections.abc import Awaitable, Callable

from core.bus import TransientBusError
from core.documents import TransientDocumentError

FIRST_BACK_OFF_S = 0.1
LONGEST_BACK_OFF_S = 5.0


class TransientError(Exception):
    """Worth repeating; the base of the transient errors of this code, beside those of the two ports."""


TRANSIENT = (TransientError, TransientDocumentError, TransientBusError)

_chance = randomness.Random()


async def retry_transient[R](
    call: Callable[[], Awaitable[R]], *, budget_s: float = 60.0, random: randomness.Random = _chance
) -> R:
    """Await `call()` until it succeeds; after `budget_s` seconds raise the last transient error.

    Exponential back-off with full jitter, never shorter than an error's own `retry_after_s`. Any other
    error is raised at once. `call` must be safe to repeat.
    """
    loop = asyncio.get_running_loop()
    started = loop.time()
    ceiling = FIRST_BACK_OFF_S
    while True:
        try:
            return await call()
        except TRANSIENT as error:
            wait = max(random.uniform(0.0, ceiling), getattr(error, "retry_after_s", 0.0))
            if loop.time() - started + wait > budget_s:
                raise
        await asyncio.sleep(wait)
        ceiling = min(ceiling * 2, LONGEST_BACK_OFF_S)
