"""The documents engine on a file of its own, and a clock that is set by hand."""

import pytest

from emulator.documents.engine import FEED_RANGES, DocumentsEngine
from emulator.documents.model import (
    Change,
    Container,
    RequestFailed,
)

CONTAINERS = {
    "orders": Container("orders", "stream", -1),
    "short": Container("short", "stream", 10),
    "no-ttl": Container("no-ttl", "stream", None),
}


class HandClock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def time(self) -> float:
        return self.now


def everything(engine: DocumentsEngine, container: str, after: int = 0) -> list[Change]:
    changes = [c for part in range(FEED_RANGES) for c in engine.changes(container, part, after, 1000)]
    return sorted(changes, key=lambda change: change.sequence)


async def refused(request, status: int) -> RequestFailed:
    with pytest.raises(RequestFailed) as caught:
        await request
    assert caught.value.status == status, caught.value
    return caught.value
