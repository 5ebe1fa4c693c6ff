"""What became of every message that was accepted: nothing may be missing."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Account:
    """Copies of one path since the store was made.

    `held` are there now, scheduled and locked ones included. `duplicates` were dropped by duplicate
    detection, and never accepted. A topic's account has its scheduled messages alone, completed when the
    subscriptions got them.
    """

    accepted: int = 0
    completed: int = 0
    dead_lettered: int = 0
    expired: int = 0
    cancelled: int = 0
    duplicates: int = 0
    held: int = 0

    @property
    def missing(self) -> int:
        """Zero, else messages were lost (above) or made up (below)."""
        return self.accepted - self.completed - self.dead_lettered - self.expired - self.cancelled - self.held


def accounting(read: Callable[[str], list[Any]]) -> dict[str, Account]:
    """By path. `read` runs one SELECT, on any connection to the store: a read-only one elsewhere will do.

    One statement, so that it sees one moment.
    """
    totals: dict[str, dict[str, int]] = {}
    for path, event, number in read(
        "SELECT path, '', 0 FROM bus_entities "
        "UNION ALL SELECT subject, event, total FROM counters JOIN bus_entities ON path = subject "
        "UNION ALL SELECT path, 'held', count(*) "
        "FROM bus_messages JOIN bus_entities ON id = entity GROUP BY path"
    ):
        events = totals.setdefault(path, {})
        if event in Account.__dataclass_fields__:
            events[event] = number
    return {path: Account(**events) for path, events in totals.items()}
