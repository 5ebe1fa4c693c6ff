"""The Service Bus SDK, looking more often whether its links are ready and whether it was closed.

It (7.15) looks each 50 ms while it opens a sender or a receiver, about ten times, and each second whether it
may stop keeping a connection alive, for which its `close` waits. Nothing but these pauses is shortened: what
the SDK promises (waits for a message, timeouts, keep-alive) it measures on the clock.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

FASTER = 20
_POLL = (
    "azure.servicebus.aio._servicebus_sender_async",
    "azure.servicebus.aio._servicebus_receiver_async",
    "azure.servicebus._pyamqp.aio._client_async",
)


class _Asyncio:
    """What these modules know as `asyncio`."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / FASTER)

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)


@contextmanager
def faster_sdk() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for module in _POLL:
            patch.setattr(f"{module}.asyncio", _Asyncio())
        yield
