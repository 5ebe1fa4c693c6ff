"""How this app talks to Cosmos DB: options for `azure.cosmos.aio.CosmosClient`."""

from collections.abc import Mapping
from typing import Final

OPTIONS: Final[Mapping[str, object]] = {
    # Whoever asks repeats transient errors (core/resilience.py). A write that the SDK repeats after a broken
    # connection may meet its own first attempt, as a conflict. -1, because 0 means the SDK's default of 9.
    "retry_throttle_total": -1,
    "retry_total": 0,
    "retry_connect": 0,
    "retry_read": 0,
    "retry_status": 0,
    "connection_timeout": 5,
    "read_timeout": 10,
    # Shorter request bodies, and less to escape.
    "enable_compact_utf8_item_writes": True,
}
"""What stays on: looking for other regions, and one more try, there or here, after a 503 or a failed read."""
