"""Every path that an order can take, and what comes after it, on a fresh emulator: `make demo`.

Shows each order move through its states as it happens, then a delivery, a return, the low stock and the mails
that were sent, and checks the invariants. The last line is
`demo: N orders, C completed, X cancelled, V violations`; exit 0 if every order ended as it should and V is 0.
"""

import argparse
import asyncio
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from rich.console import Console

from tools.api import TERMINAL, Api, Line, NewOrder, OrderView, connect
from tools.demo_aftermath import OPERATOR, Aftermath, prepare
from tools.demo_board import Board
from tools.emulator_process import ADAPTERS, with_adapters
from tools.scratch import fresh_emulator, run, settle, show

SETTINGS = {
    "ORDERFLOW_STEP_TIMEOUT_SECONDS": "4",
    "ORDERFLOW_STEP_ATTEMPTS": "2",
    "ORDERFLOW_GATEWAY_TIMEOUT_SECONDS": "3",
    "ORDERFLOW_CARRIER_TIMEOUT_SECONDS": "3",
    "ORDERFLOW_LOG_LEVEL": "WARNING",
    "ORDERFLOW_NOTIFICATION_CHANNELS": "outbox",
    "ORDERFLOW_OPERATORS_EMAIL": OPERATOR,
}
"""Short, so that the order that nobody answers is given up on within seconds."""

DELIVERS = "sandbox-delivers-2"

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
    Case(
        "a parcel that the carrier delivers two seconds later",
        replace(_ORDER, delivery=DELIVERS),
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
        await prepare(api, _ORDER.customer_id)
        with board.open():
            outcomes = await asyncio.gather(
                *(run_case(api, board, number, case) for number, case in enumerate(CASES, start=1))
            )
        orders = {outcome.order.id: outcome.order for outcome in outcomes}
        delivered = next(outcome.order.id for outcome in outcomes if outcome.case.order.delivery == DELIVERS)
        problems = await Aftermath(api, console).show(returned=outcomes[0].order.id, delivered=delivered)
        violations = await settle(emulator.state, orders)
    problems += [f"{outcome.order.id}: {text}" for outcome in outcomes for text in outcome.problems]
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
