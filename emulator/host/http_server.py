"""The sockets: aiohttp's plain server in front of a handler, without router, middlewares and access log."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from aiohttp import web

from emulator.http import HttpAnswer

type Handler = Callable[[str, str, Mapping[str, str], bytes], Awaitable[HttpAnswer]]
"""Method, absolute URL, headers (names in lower case), body."""

_PRIVATE = ("/runtime/", "/admin/")


class HttpServer:
    """Answers what `handler` answers; 413 for a body over `max_body_bytes`.

    Management paths (`/runtime/`, `/admin/`) are for this machine only, whatever address is listened on:
    there are no keys here.
    """

    def __init__(self, handler: Handler, max_body_bytes: int) -> None:
        self._handler = handler
        self._max_body_bytes = max_body_bytes
        self._server = web.Server(self._answer, request_factory=self._make_request, access_log=None)
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

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.rel_url.raw_path.startswith(_PRIVATE) and not _is_local(request.remote):
            return web.Response(status=403, text="for this machine only")
        try:
            body = await request.read() if request.body_exists else b""
        except web.HTTPRequestEntityTooLarge:
            return web.Response(status=413, text=f"the body is larger than {self._max_body_bytes} bytes")
        headers = {name.lower(): value for name, value in request.headers.items()}
        url = f"http://{request.host}{request.raw_path}"
        answer = await self._handler(request.method, url, headers, body)
        response = web.Response(status=answer.status, body=answer.body)
        for name, value in answer.headers.items():
            for line in value.split("\n"):
                response.headers.add(name, line)
        return response


def _is_local(remote: str | None) -> bool:
    """None is a Unix socket."""
    return not remote or ipaddress.ip_address(remote).is_loopback
