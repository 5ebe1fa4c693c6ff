"""Closing connections with the event loop that they were opened on.

Functions tell a Python app nothing of the end of its process, and `atexit` comes too late: the loop on which
a connection could be closed is gone. But a loop that ends in order closes the asynchronous generators that
were begun on it: asyncio.run and asyncio.Runner see to that, hence the Functions worker and the emulator.
https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.loop.shutdown_asyncgens
"""

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Protocol

from azure.core.pipeline.transport import AioHttpTransport

logger = logging.getLogger("orderflow.azure")


class Closable(Protocol):
    async def close(self) -> None: ...


async def give_up(connection: Closable) -> None:
    """Close what may be broken. It is not used any more: a failure is worth a line in the log."""
    try:
        await connection.close()
    except Exception as error:
        logger.info("connection given up: %r", error)


async def close_with_loop(close: Callable[[], Awaitable[None]]) -> AsyncGenerator[None]:
    """Have `close` awaited when the running loop ends. Keep the result; its `aclose` does so earlier."""

    async def until_then() -> AsyncGenerator[None]:
        try:
            yield
        finally:
            await close()

    generator = until_then()
    await anext(generator)
    return generator


class ClosingTransport(AioHttpTransport):  # type: ignore[misc]  # exported without a type
    """HTTP for a client of an SDK. `close_client` is awaited when the loop of the first request ends.

    `use_env_settings`: go by the proxies in the environment, which costs a look at it with each request.
    """

    def __init__(self, close_client: Callable[[], Awaitable[None]], use_env_settings: bool) -> None:
        super().__init__(use_env_settings=use_env_settings)
        self._close_client = close_client
        self._closing: AsyncGenerator[None] | None = None

    async def open(self) -> None:
        await super().open()
        if self._closing is None:
            self._closing = await close_with_loop(self._close_client)
