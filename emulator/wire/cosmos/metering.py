"""What the endpoint was asked for and what it would have cost, for `emulator.metrics`.

Groups: `wire` (`cosmos requests`, `cosmos bytes` both ways, HTTP heads included and TCP not), and by
"operation container" `cosmos.requests` and `cosmos.centi_ru`, hundredths of request units as in charges.py.
"""

from collections.abc import Sequence
from typing import Final

from emulator.metrics import Metrics
from emulator.wire.cosmos.exchange import Answer, Refusal, Request
from emulator.wire.cosmos.routes import parse

_ITEM_OPERATIONS: Final = {"GET": "read", "PUT": "replace", "PATCH": "patch", "DELETE": "delete"}
_POSTED: Final = {
    "x-ms-cosmos-is-batch-request": "batch",
    "x-ms-cosmos-is-query-plan-request": "query plan",
    "x-ms-documentdb-isquery": "query",
    "x-ms-documentdb-is-upsert": "upsert",
}
_LINES: Final = 64
"""The first lines of a request and of its answer, and what every answer has: Date, Server, Content-Length."""


def count(metrics: Metrics, request: Request, heads: Sequence[tuple[bytes, bytes]], answer: Answer) -> None:
    """`heads`: the request's."""
    size = 2 * _LINES + len(request.path) + len(request.body) + len(answer.body)
    size += 4 * (len(heads) + len(answer.headers))
    size += sum([len(name) + len(text) for name, text in heads])
    size += sum([len(name) + len(text) for name, text in answer.headers.items()])
    metrics.wire("cosmos requests")
    metrics.wire("cosmos bytes", size)
    what = operation(request)
    metrics.counts["cosmos.requests", what] += 1
    metrics.counts["cosmos.centi_ru", what] += round(100 * answer.charge)


def operation(request: Request) -> str:
    """As in `batch orders`; what is not about items is `metadata`."""
    try:
        target = parse(request.path)
    except Refusal:
        return "metadata"
    if target.resource_type != "docs":
        return "metadata"
    kind = _of_many(request) if target.is_feed else _ITEM_OPERATIONS.get(request.method, request.method)
    return f"{kind} {target.names[1]}"


def _of_many(request: Request) -> str:
    if request.method == "GET":
        return "change feed" if "a-im" in request.headers else "read feed"
    for header, kind in _POSTED.items():
        if request.flag(header):
            return kind
    return "create"
