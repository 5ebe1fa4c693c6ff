"""Requests to the functions, to the durable management API and to the admin socket, as HTTP."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from emulator.http import HttpAnswer
from emulator.http_sockets import HttpSockets

type Handler = Callable[[str, str, Mapping[str, str], bytes], Awaitable[HttpAnswer]]
"""Method, absolute URL, headers (names in lower case), body."""

_PRIVATE = ("/runtime/", "/admin/")


class HttpServer(HttpSockets):
    """Answers what `handler` answers; 413 for a body over `max_body_bytes`.

    Management paths (`/runtime/`, `/admin/`) are for this machine only, whatever address is listened on:
    there are no keys here.
    """

    def __init__(self, handler: Handler, max_body_bytes: int) -> None:
        super().__init__(self._answer, max_body_bytes)
        self._handler = handler

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
