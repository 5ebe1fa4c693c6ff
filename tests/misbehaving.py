"""Servers on real sockets that misbehave as a test tells them: one of HTTP, one of SMTP."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Literal

from aiohttp import web

type Good = Callable[[web.Request], Awaitable[web.StreamResponse]]

LITTLE_WHILE_S = 0.5
"""What `not so slow` takes."""


class HttpServer:
    """Misbehaves as told, one request after the other, `then` for all that follow; else answers `good`."""

    def __init__(self, good: Good) -> None:
        self.url = ""
        self.behaviour: list[str] = []
        self.then = "well"
        self.requests: list[web.Request] = []
        self.times: list[float] = []
        self.running = self.most = 0
        self._good = good
        self._over = asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        self.times.append(asyncio.get_running_loop().time())
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            return await self.answer_as(self.behaviour.pop(0) if self.behaviour else self.then, request)
        finally:
            self.running -= 1

    async def answer_as(self, behaviour: str, request: web.Request) -> web.StreamResponse:
        transport = request.transport
        assert transport is not None
        match behaviour:
            case "slow":
                async with asyncio.timeout(30.0):
                    await self._over.wait()
            case "not so slow":
                await asyncio.sleep(LITTLE_WHILE_S)
            case "reset":
                transport.abort()
            case "garbage":
                transport.write(b"\x00\xff no HTTP at all\r\n\r\n")
                transport.close()
            case "429":
                return web.json_response({"error": {}}, status=429, headers={"Retry-After": "1"})
            case "500":
                return web.Response(status=500, text="<h1>Internal Server Error</h1>")
            case "html":
                return web.Response(text="<h1>Welcome</h1>", content_type="text/html")
            case "half":
                return web.Response(status=202, body=b'{"id": "', content_type="application/json")
            case "empty":
                return web.json_response({}, status=202)
        return await self._good(request)

    def end(self) -> None:
        self._over.set()


@asynccontextmanager
async def http_server(good: Good) -> AsyncIterator[HttpServer]:
    serving = HttpServer(good)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", serving.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    serving.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield serving
    finally:
        serving.end()
        await runner.cleanup()


type Smtp = Literal[
    "well",
    "slow",
    "slow to start",
    "slow to leave",
    "reset",
    "reset after data",
    "garbage",
    "greylist",
    "closing",
    "refuse",
]


class SmtpServer:
    """Says what little of SMTP a mail needs, and misbehaves as told, for every connection.

    connections: how many there were; commands: their lines; mails: the content of each that came whole,
    whatever was answered.
    """

    def __init__(self) -> None:
        self.port = 0
        self.behaviour: Smtp = "well"
        self.connections = 0
        self.commands: list[bytes] = []
        self.mails: list[bytes] = []
        self._over = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            await self._talk(reader, writer, self.behaviour)
        except (ConnectionError, asyncio.IncompleteReadError):
            return  # the client has gone
        finally:
            writer.close()

    async def _talk(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, behaviour: Smtp
    ) -> None:
        if behaviour == "reset":
            return writer.transport.abort()
        if behaviour == "slow to start":
            return await self._wait()
        greetings = {"garbage": b"\x00\xff no SMTP at all\r\n\r\n", "closing": b"421 4.3.2 closing\r\n"}
        writer.write(greetings.get(behaviour, b"220 test ESMTP\r\n"))
        while behaviour not in greetings:
            line = (await reader.readuntil(b"\r\n")).strip()
            self.commands.append(line)
            command = line.split()[0].upper()
            if command == b"QUIT" and behaviour == "slow to leave":
                return await self._wait()
            if command == b"QUIT":
                writer.write(b"221 bye\r\n")
                break
            if command != b"DATA":
                writer.write(_ANSWERS.get((behaviour, command), b"250 ok\r\n"))
                continue
            writer.write(b"354 go on\r\n")
            self.mails.append((await reader.readuntil(b"\r\n.\r\n"))[:-5])
            if behaviour == "reset after data":
                return writer.transport.abort()
            if behaviour == "slow":
                return await self._wait()
            writer.write(b"250 2.0.0 taken\r\n")
        return await writer.drain()

    async def _wait(self) -> None:
        async with asyncio.timeout(30.0):
            await self._over.wait()

    def end(self) -> None:
        self._over.set()


_ANSWERS = {
    ("well", b"EHLO"): b"250-test\r\n250 DSN\r\n",
    ("greylist", b"RCPT"): b"450 4.2.0 greylisted, come back later\r\n",
    ("refuse", b"RCPT"): b"550 5.1.1 no such user\r\n",
}


@asynccontextmanager
async def smtp_server() -> AsyncIterator[SmtpServer]:
    serving = SmtpServer()
    server = await asyncio.start_server(serving.serve, "127.0.0.1", 0)
    serving.port = server.sockets[0].getsockname()[1]
    try:
        yield serving
    finally:
        serving.end()
        server.close()
        await server.wait_closed()
