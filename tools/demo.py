"""Every path that an order can take, on a fresh emulator: `make demo`.

Shows each order move through its states as it happens, then checks the invariants. The last line is
`demo: N orders, C completed, X cancelled, V violations`; exit 0 if every order ended as it should and V is 0.
"""

import argparse
import asyncio
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from tools.api import TERMINAL, Api, Line, NewOrder, OrderView, connect
from tools.emulator_process import ADAPTERS, with_adapters
from tools.scratch import fresh_emulator, run, settle, show

SETTINGS = {
    "ORDERFLOW_STEP_TIMEOUT_SECONDS": "4",
    "ORDERFLOW_STEP_ATTEMPTS": "2",
    "ORDERFLOW_GATEWAY_TIMEOUT_SECONDS": "3",
    "ORDERFLOW_LOG_LEVEL": "WARNING",
}
"""Short, so that the order that nobody answers is given up on within seconds."""

STOCK = {"TEAPOT": 100, "CUP": 100, "SAUCER": 100, "RARE-VASE": 1}


@dataclass(frozen=True, slots=True)
class Case:
    """`reason` is how the reason of a cancelled order begins.

    cancel: the customer cancels when the stock is reserved. repeat: the same request is sent a second time.
    """

    shows: str
    order: NewOrder
    status: str
    reason: str = ""
    cancel: bool = False
    repeat: bool = False


_TEA_FOR_TWO = (Line("TEAPOT", 1, 2495), Line("CUP", 2, 650))
_ORDER = NewOrder("ada", _TEA_FOR_TWO)

CASES: Sequence[Case] = (
    Case("an order that goes through", _ORDER, "completed"),
    Case(
        "two prices of one article, delivered by express",
        replace(_ORDER, lines=(Line("CUP", 4, 650), Line("CUP", 2, 500)), delivery="express"),
        "completed",
    ),
    Case("the same order submitted twice: it counts once", _ORDER, "completed", repeat=True),
    Case(
        "a payment gateway that is out of service for a second",
        replace(_ORDER, payment_method="tok_outage_1"),
        "completed",
    ),
    Case(
        "an article that is out of stock",
        replace(_ORDER, lines=(*_TEA_FOR_TWO, Line("RARE-VASE", 2, 99900))),
        "cancelled",
        "inventory_failed:out_of_stock",
    ),
    Case(
        "a card that is declined",
        replace(_ORDER, payment_method="tok_declined"),
        "cancelled",
        "payment_failed:",
    ),
    Case(
        "a carrier that refuses: the money goes back",
        replace(_ORDER, delivery="sandbox-refused"),
        "cancelled",
        "shipping_failed:",
    ),
    Case(
        "a carrier that never answers, until the saga gives up on it",
        replace(_ORDER, delivery="sandbox-no-answer"),
        "cancelled",
        "shipping_timed_out",
    ),
    Case(
        "a customer who cancels while a slow payment is under way",
        replace(_ORDER, payment_method="tok_slow_2"),
        "cancelled",
        "customer_request",
        cancel=True,
    ),
)


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


@dataclass(frozen=True, slots=True)
class Outcome:
    case: Case
    order: OrderView
    problems: list[str] = field(default_factory=list)


async def run_case(api: Api, board: Board, number: int, case: Case) -> Outcome:
    key = f"demo-{number}"
    order = await api.submit(case.order, key)
    board.add(order.id, case.shows)
    board.update(order.id, await api.history(order.id))
    problems = []
    if case.repeat and (again := await api.submit(case.order, key)).id != order.id:
        problems.append(f"the repeat made another order, {again.id}")
    async for changed in api.follow(order):
        order = changed
        if case.cancel and order.status == "inventory_reserved":
            await api.cancel(order.id)
        board.update(order.id, await api.history(order.id))
    if order.status != case.status or not (order.reason or "").startswith(case.reason):
        problems.append(
            f"ended as {order.status} ({order.reason}), not as {case.status} ({case.reason or 'no reason'})"
        )
    return Outcome(case, order, problems)


async def demo(console: Console, adapters: str) -> int:
    """Exit code."""
    board = Board(console)
    settings, options = with_adapters(adapters, SETTINGS)
    async with fresh_emulator(1, settings, options) as emulator, connect(emulator.url) as api:
        console.print(f"emulator on {emulator.url}, state in {emulator.state}", soft_wrap=True)
        await api.load_stock(STOCK)
        with board.open():
            outcomes = await asyncio.gather(
                *(run_case(api, board, number, case) for number, case in enumerate(CASES, start=1))
            )
        orders = {outcome.order.id: outcome.order for outcome in outcomes}
        violations = await settle(emulator.state, orders)
    problems = [f"{outcome.order.id}: {text}" for outcome in outcomes for text in outcome.problems]
    for problem in problems:
        print(problem, file=sys.stderr)
    show(violations)
    statuses = Counter(order.status for order in orders.values())
    print(
        f"demo: {len(orders)} orders, {statuses['completed']} completed, {statuses['cancelled']} cancelled, "
        f"{len(violations)} violations"
    )
    return 1 if problems or violations or not statuses.keys() <= TERMINAL else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--adapters", choices=ADAPTERS, default=ADAPTERS[0], help="see README.md")
    given = parser.parse_args()
    return run("demo", demo(Console(highlight=False), given.adapters))


if __name__ == "__main__":
    sys.exit(main())
