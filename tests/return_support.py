"""A customer and a warehouse that take a return through its stages, on simulated time."""

import asyncio
from dataclasses import dataclass
from typing import Any

import orjson

from emulator.host.simulated import Simulated

LOOK_S = 0.5
JSON = {"content-type": "application/json"}


@dataclass(frozen=True, slots=True)
class Piece:
    """How many pieces of a line go back, and what is found when they are inspected."""

    line: int
    quantity: int
    restocked: int
    written_off: int = 0
    refunded: int | None = None


async def ask(run: Simulated, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
    """Status and body."""
    sent = b"" if body is None else orjson.dumps(body)
    given = {**JSON, **{name.replace("_", "-"): value for name, value in headers.items()}}
    answer = await run.request(method, path, given, sent)
    return answer.status, orjson.loads(answer.body) if answer.body else None


async def request_return(
    run: Simulated, order_id: str, *pieces: Piece, key: str = "return-1"
) -> dict[str, Any]:
    lines = [{"line": each.line, "quantity": each.quantity, "reason": "too small"} for each in pieces]
    path = f"/api/orders/{order_id}/returns"
    status, body = await ask(run, "POST", path, {"lines": lines}, idempotency_key=key)
    assert status == 202, body
    found: dict[str, Any] = body
    return found


async def receive(run: Simulated, return_id: str) -> None:
    status, body = await ask(run, "POST", f"/api/operations/returns/{return_id}/received")
    assert status == 202, body


async def inspect(run: Simulated, return_id: str, *pieces: Piece) -> None:
    lines = [
        {
            "line": each.line,
            "restocked": each.restocked,
            "written_off": each.written_off,
            **({} if each.refunded is None else {"refunded": each.refunded}),
        }
        for each in pieces
    ]
    status, body = await ask(run, "POST", f"/api/operations/returns/{return_id}/inspection", {"lines": lines})
    assert status == 202, body


async def read(run: Simulated, return_id: str) -> dict[str, Any]:
    status, body = await ask(run, "GET", f"/api/returns/{return_id}")
    assert status == 200, body
    found: dict[str, Any] = body
    return found


async def reach(run: Simulated, return_id: str, *statuses: str, seconds: float = 600.0) -> dict[str, Any]:
    """The return once it has one of the statuses. Raises TimeoutError after so many simulated seconds."""
    async with asyncio.timeout(seconds):
        while (found := await read(run, return_id))["status"] not in statuses:  # noqa: ASYNC110  (over HTTP)
            await asyncio.sleep(LOOK_S)
    return found
