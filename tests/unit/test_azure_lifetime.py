"""Nobody tells a Python function app of its end, so connections end with the event loop."""

import asyncio
import logging

import pytest
from aiohttp import web
from azure.core.pipeline.transport import HttpRequest

from adapters.azure.lifetime import ClosingTransport, close_with_loop, give_up


def test_what_was_opened_is_closed_with_the_loop_even_when_the_app_failed() -> None:
    closed = []
    kept = []

    async def close() -> None:
        await asyncio.sleep(0)  # the loop can still work
        closed.append("closed")

    async def app() -> None:
        kept.append(await close_with_loop(close))
        raise RuntimeError("the app's own")

    with pytest.raises(RuntimeError, match="the app's own"):
        asyncio.run(app())
    assert closed == ["closed"]


async def test_what_was_closed_before_is_not_closed_again() -> None:
    closed = []

    async def close() -> None:
        closed.append("closed")

    closing = await close_with_loop(close)
    await closing.aclose()
    await closing.aclose()
    assert closed == ["closed"]


async def test_a_connection_that_cannot_be_closed_is_given_up_with_a_line_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken:
        async def close(self) -> None:
            raise ConnectionResetError("gone")

    with caplog.at_level(logging.INFO, "orderflow.azure"):
        await give_up(Broken())
    assert "gone" in caplog.text


def test_the_http_connections_of_a_client_end_with_the_loop() -> None:
    """Else aiohttp says `Unclosed client session`, here an error."""
    closed = []

    async def close_client() -> None:
        await transport.close()
        closed.append("closed")

    async def app() -> None:
        async def answer(request: web.BaseRequest) -> web.Response:
            return web.Response(text="yes")

        server = web.Server(answer)
        runner = web.ServerRunner(server)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        for _ in range(2):
            response = await transport.send(HttpRequest("GET", str(site.name)))
            assert response.status_code == 200
        await runner.cleanup()

    transport = ClosingTransport(close_client, use_env_settings=False)
    asyncio.run(app())
    assert closed == ["closed"]
    assert transport.session is None
