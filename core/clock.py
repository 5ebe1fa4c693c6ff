"""Time as a dependency, so that a test can run hours in seconds."""

from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """The current time, aware, in UTC."""
        ...


class SystemClock(Clock):
    def now(self) -> datetime:
        return datetime.now(UTC)
