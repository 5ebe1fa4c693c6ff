"""What the demo shows while it runs: a table that changes on a terminal, else a line for each step."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Step:
    """An event of an order's history; `seconds` since the one before."""

    name: str
    seconds: float


class Board:
    """What the orders did so far: a table that changes on a terminal, else a line for each step."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._steps: dict[str, list[Step]] = {}
        self._shows: dict[str, str] = {}
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None

    def open(self) -> AbstractContextManager[object]:
        return self._live or nullcontext()

    def add(self, id: str, shows: str) -> None:
        self._shows[id] = shows
        self._steps[id] = []
        if self._live is None:
            self._console.print(f"order {id} shows {shows}", soft_wrap=True)
        self._refresh()

    def update(self, id: str, history: Sequence[dict[str, Any]]) -> None:
        """`history` is the whole of it so far."""
        shown = max(1, len(self._steps[id]))
        steps = steps_of(history)
        for earlier, step in zip(steps[shown - 1 :], steps[shown:], strict=False):
            if self._live is None:
                self._console.print(
                    f"order {id} {earlier.name} -> {step.name} ({step.seconds:.2f} s)", soft_wrap=True
                )
        self._steps[id] = steps
        self._refresh()

    def _refresh(self) -> None:
        if self._live is None:
            return
        table = Table("order", "shows", "states", expand=True)
        for id, steps in self._steps.items():
            states = " → ".join(f"{step.name} [dim]{step.seconds:.2f} s[/dim]" for step in steps)
            table.add_row(id, self._shows[id], states)
        self._live.update(table, refresh=True)


def steps_of(history: Sequence[dict[str, Any]]) -> list[Step]:
    times = [datetime.fromisoformat(event["time"]) for event in history]
    return [
        Step(event["type"].removeprefix("orders."), (at - before).total_seconds())
        for event, at, before in zip(history, times, [*times[:1], *times], strict=False)
    ]
