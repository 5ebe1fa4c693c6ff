"""A small client of the HTTP API, for the tools and the tests."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import quote

import aiohttp
import orjson

TERMINAL = frozenset({"completed", "cancelled"})
LONGEST_WAIT_S = 30
PAUSE_S = 0.2


@dataclass(frozen=True, slots=True)
class Line:
    """`unit_price` in minor units."""

    sku: str
    quantity: int
    unit_price: int


@dataclass(frozen=True, slots=True)
class Address:
    name: str = "Ada Lovelace"
    street: str = "12 St James's Square"
    city: str = "London"
    postal_code: str = "SW1Y 4JH"
    country: str = "GB"


@dataclass(frozen=True, slots=True)
class NewOrder:
    customer_id: str
    lines: tuple[Line, ...]
    currency: str = "GBP"
    shipping_address: Address = field(default_factory=Address)
    payment_method: str = "tok_ok"
    delivery: str = "standard"

    def body(self) -> bytes:
        return orjson.dumps(asdict(self))


@dataclass(frozen=True, slots=True)
class OrderView:
    """`reason` says why an order is, or is being, cancelled."""

    id: str
    status: str
    version: int
    reason: str | None = None

    @property
    def terminal(self) -> bool:
        return self.status in TERMINAL


class ApiError(Exception):
    """An answer that is not the expected one. `problem` is its problem+json, {} when it has none."""

    def __init__(self, method: str, path: str, status: int, problem: dict[str, Any]) -> None:
        reasons = "; ".join(f"{e.get('field')}: {e.get('rule')}" for e in problem.get("errors") or [])
        said = " ".join(filter(None, [problem.get("title"), problem.get("detail"), reasons]))
        super().__init__(f"{method} {path} answered {status}: {said or 'no explanation'}")
        self.status = status
        self.problem = problem


class Unreachable(Exception):
    """No answer, for as long as the client is patient."""


class Api:
    """Use with `connect`.

    A request without an answer is sent again, which changes nothing: all of them may be repeated.
    """

    def __init__(self, session: aiohttp.ClientSession, url: str, patience_s: float) -> None:
        self._session = session
        self._url = url.rstrip("/")
        self._patience_s = patience_s

    async def submit(self, order: NewOrder, key: str) -> OrderView:
        """`key` is the idempotency key."""
        _, answer = await self._call(
            "POST", "/api/orders", body=order.body(), headers={"Idempotency-Key": key}, expect=(202,)
        )
        return _view(answer)

    async def order(self, id: str, known_version: int | None = None, wait_s: int = 0) -> OrderView | None:
        """None when `known_version` is still the current one, after up to `wait_s` seconds."""
        headers = {} if known_version is None else {"If-None-Match": f'"{known_version}"'}
        path = f"/api/orders/{quote(id, safe='')}" + (f"?wait={wait_s}" if wait_s else "")
        status, answer = await self._call("GET", path, headers=headers, expect=(200, 304))
        return None if status == 304 else _view(answer)

    async def follow(self, order: OrderView) -> AsyncIterator[OrderView]:
        """The order each time it is found changed, until it is terminal. Quick steps may be seen as one."""
        while not order.terminal:
            found = await self.order(order.id, order.version, LONGEST_WAIT_S)
            if found is not None:
                order = found
                yield order

    async def finished(self, order: OrderView) -> OrderView:
        async for latest in self.follow(order):
            order = latest
        return order

    async def history(self, id: str) -> list[dict[str, Any]]:
        _, answer = await self._call("GET", f"/api/orders/{quote(id, safe='')}/history", expect=(200,))
        return list(answer["events"])

    async def cancel(self, id: str) -> OrderView:
        _, answer = await self._call("POST", f"/api/orders/{quote(id, safe='')}/cancel", expect=(202,))
        return _view(answer)

    async def request_return(self, order_id: str, pieces: Mapping[int, int], reason: str, key: str) -> str:
        """The id of the return. `pieces` by line, counted from 1; `key` is the idempotency key."""
        lines = [{"line": line, "quantity": count, "reason": reason} for line, count in pieces.items()]
        path = f"/api/orders/{quote(order_id, safe='')}/returns"
        headers = {"Idempotency-Key": key}
        body = orjson.dumps({"lines": lines})
        _, answer = await self._call("POST", path, body=body, headers=headers, expect=(202,))
        return str(answer["id"])

    async def return_status(self, id: str) -> str:
        _, answer = await self._call("GET", f"/api/returns/{quote(id, safe='')}", expect=(200,))
        return str(answer["status"])

    async def receive_return(self, id: str) -> None:
        await self._call("POST", f"/api/operations/returns/{quote(id, safe='')}/received", expect=(202,))

    async def inspect_return(self, id: str, found: Sequence[Mapping[str, int]]) -> None:
        """`found`: {"line", "restocked", "written_off", "refunded"} of each line."""
        path = f"/api/operations/returns/{quote(id, safe='')}/inspection"
        await self._call("POST", path, body=orjson.dumps({"lines": list(found)}), expect=(202,))

    async def returned(self, id: str, *statuses: str, patience_s: float = 60.0) -> str:
        """Its status, once it is one of these. Raises Unreachable."""
        deadline = time.monotonic() + patience_s
        while (status := await self.return_status(id)) not in statuses:
            if time.monotonic() > deadline:
                raise Unreachable(f"return {id} is {status} and not {' or '.join(statuses)}")
            await asyncio.sleep(PAUSE_S)
        return status

    async def set_stock(self, sku: str, on_hand: int) -> dict[str, Any]:
        _, answer = await self._call(
            "PUT",
            f"/api/inventory/{quote(sku, safe='')}",
            body=orjson.dumps({"on_hand": on_hand}),
            expect=(200,),
        )
        return answer

    async def load_stock(self, pieces_by_sku: dict[str, int], at_once: int = 16) -> None:
        """Sets every SKU, `at_once` requests at a time."""
        left = iter(pieces_by_sku.items())

        async def load() -> None:
            for sku, pieces in left:
                await self.set_stock(sku, pieces)

        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(load())

    async def stock(self, sku: str) -> dict[str, Any]:
        _, answer = await self._call("GET", f"/api/inventory/{quote(sku, safe='')}", expect=(200,))
        return answer

    async def get(self, path: str) -> dict[str, Any]:
        """Of what has no method here."""
        _, answer = await self._call("GET", path, expect=(200,))
        return answer

    async def put(self, path: str, body: Mapping[str, object]) -> dict[str, Any]:
        """Of what has no method here."""
        _, answer = await self._call("PUT", path, body=orjson.dumps(body), expect=(200, 201))
        return answer

    async def health(self) -> dict[str, Any]:
        _, answer = await self._call("GET", "/api/health", expect=(200,))
        return answer

    async def _call(
        self,
        method: str,
        path: str,
        *,
        expect: tuple[int, ...],
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, dict[str, Any]]:
        sent = dict(headers or {})
        if body is not None:
            sent["Content-Type"] = "application/json"
        deadline = time.monotonic() + self._patience_s
        while True:
            try:
                return await self._call_once(method, path, expect, body, sent)
            except (aiohttp.ClientError, TimeoutError) as failure:
                if time.monotonic() > deadline:
                    raise Unreachable(f"{method} {path}: no answer ({failure!r})") from failure
            await asyncio.sleep(PAUSE_S)

    async def _call_once(
        self, method: str, path: str, expect: tuple[int, ...], body: bytes | None, headers: dict[str, str]
    ) -> tuple[int, dict[str, Any]]:
        async with self._session.request(method, self._url + path, data=body, headers=headers) as answer:
            content = await answer.read()
            parsed: Any = {}
            if content and "json" in answer.headers.get("Content-Type", ""):
                parsed = orjson.loads(content)
            if answer.status not in expect:
                raise ApiError(method, path, answer.status, parsed if isinstance(parsed, dict) else {})
            return answer.status, parsed


@asynccontextmanager
async def connect(url: str, connections: int = 64, patience_s: float = 60.0) -> AsyncIterator[Api]:
    """`connections` bounds the requests under way; a request that finds none free waits."""
    connector = aiohttp.TCPConnector(limit=connections)
    timeout = aiohttp.ClientTimeout(sock_connect=10.0, sock_read=LONGEST_WAIT_S + 30)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        yield Api(session, url, patience_s)


def _view(answer: dict[str, Any]) -> OrderView:
    return OrderView(answer["id"], answer["status"], answer["version"], answer.get("reason"))
