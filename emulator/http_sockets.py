"""aiohttp's plain server, without router, middlewares and access log, on whatever sockets are asked for."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

type Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class HttpSockets:
    """Requests go to `answer`. Reading a body over `max_body_bytes` raises HTTPRequestEntityTooLarge."""

    def __init__(self, answer: Answer, max_body_bytes: int) -> None:
        self._max_body_bytes = max_body_bytes
        self._server = web.Server(answer, request_factory=self._make_request, access_log=None)
        self._listener: asyncio.Server | None = None

    async def listen(self, host: str, port: int) -> None:
        """Other processes may listen on the port: the kernel deals connections out. Raises OSError."""
        self._listener = await asyncio.get_running_loop().create_server(
            self._server, host, port, reuse_port=True, backlog=1024
        )

    @property
    def port(self) -> int:
        """Where it listens; 0 when it does not, or on a Unix socket."""
        sockets = self._listener.sockets if self._listener is not None else ()
        return int(sockets[0].getsockname()[1]) if sockets and sockets[0].family != socket.AF_UNIX else 0

    async def listen_on_unix_socket(self, path: Path) -> None:
        self._listener = await asyncio.get_running_loop().create_unix_server(self._server, str(path))

    async def close(self, patience_s: float = 1.0) -> None:
        """Take no more connections, let the requests in hand be answered for so long."""
        if self._listener is not None:
            self._listener.close()
        self._server.pre_shutdown()  # ends the connections that only wait for another request
        await self._server.shutdown(patience_s)

    def _make_request(self, *parts: object) -> web.BaseRequest:
        message, payload, protocol, writer, task = parts
        return web.BaseRequest(
            message,  # type: ignore[arg-type]
            payload,  # type: ignore[arg-type]
            protocol,  # type: ignore[arg-type]
            writer,  # type: ignore[arg-type]
            task,  # type: ignore[arg-type]
            asyncio.get_running_loop(),
            client_max_size=self._max_body_bytes,
        )
