"""Submit the invoices of an Online Retail CSV file as orders: `make replay FILE=...`.

The last line is
`replay: I invoices, O orders, C completed, X cancelled, S skipped (reason=n ...), 0 violations`.
Exit 0 when every order completed or was cancelled and nothing is violated.
"""

import argparse
import asyncio
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from tools.api import Api, NewOrder, OrderView, connect
from tools.emulator_process import ADAPTERS, with_adapters
from tools.retail import (
    SKIP_REASONS,
    InvalidFile,
    Invoice,
    order_of,
    read_invoices,
    skip_reason,
    stock_needed,
)
from tools.scratch import fresh_emulator, run, settle, show

OPEN_ORDERS = 32
"""Orders under way at a time."""

type Advance = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a file asks for: orders by invoice number, in file order; the other invoices counted by reason."""

    orders: Mapping[str, NewOrder]
    skipped: Mapping[str, int]

    @property
    def invoices(self) -> int:
        return len(self.orders) + sum(self.skipped.values())


def plan(invoices: list[Invoice]) -> Plan:
    reasons = {invoice.number: skip_reason(invoice) for invoice in invoices}
    counted = Counter(reasons.values())
    return Plan(
        {invoice.number: order_of(invoice) for invoice in invoices if reasons[invoice.number] is None},
        {reason: counted[reason] for reason in SKIP_REASONS if counted[reason]},
    )


async def submit_all(api: Api, orders: Mapping[str, NewOrder], ended: Advance) -> list[OrderView]:
    """One after another in file order, at most OPEN_ORDERS under way. Each as it is at its end."""
    free = asyncio.Semaphore(OPEN_ORDERS)

    async def finish(order: OrderView) -> OrderView:
        try:
            return await api.finished(order)
        finally:
            free.release()
            ended()

    async with asyncio.TaskGroup() as group:
        tasks = []
        for invoice_number, order in orders.items():
            await free.acquire()
            accepted = await api.submit(order, invoice_number)
            tasks.append(group.create_task(finish(accepted)))
    return [task.result() for task in tasks]


def summary(plan: Plan, ends: list[OrderView], violations: int) -> str:
    statuses = Counter(order.status for order in ends)
    skipped = sum(plan.skipped.values())
    reasons = " ".join(f"{reason}={number}" for reason, number in plan.skipped.items())
    return (
        f"replay: {plan.invoices} invoices, {len(ends)} orders, {statuses['completed']} completed, "
        f"{statuses['cancelled']} cancelled, {skipped} skipped{f' ({reasons})' if reasons else ''}, "
        f"{violations} violations"
    )


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0.0:.1f}/s")


@contextmanager
def progress(console: Console, total: int) -> Iterator[Advance]:
    """A bar with rate and time left on a terminal; when piped a plain line now and then."""
    if console.is_terminal:
        columns = (
            TextColumn("replay"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=console) as bar:
            task = bar.add_task("replay", total=total)
            yield lambda: bar.advance(task)
    else:
        yield plain_progress(total)


def plain_progress(
    total: int,
    every_s: float = 2.0,
    clock: Callable[[], float] = time.monotonic,
    write: Callable[[str], None] = print,
) -> Advance:
    """Call the answer once per order; writes at most one line in `every_s` seconds, and one at the end."""
    started = said = clock()
    done = 0

    def advance() -> None:
        nonlocal done, said
        done += 1
        now = clock()
        if now - said >= every_s or done == total:
            said = now
            rate = done / max(now - started, 1e-9)
            write(f"replay: {done} of {total} orders, {rate:.1f}/s, {(total - done) / rate:.0f} s left")

    return advance


async def replay(plan: Plan, console: Console, adapters: str) -> int:
    """Exit code."""
    settings, options = with_adapters(adapters)
    async with fresh_emulator(1, settings, options) as emulator, connect(emulator.url) as api:
        stock = stock_needed(plan.orders.values())
        print(f"replay: {len(plan.orders)} orders, loading {len(stock)} SKUs")
        await api.load_stock(stock)
        with progress(console, len(plan.orders)) as advance:
            ends = await submit_all(api, plan.orders, advance)
        violations = await settle(emulator.state, (order.id for order in ends))
    show(violations)
    print(summary(plan, ends, len(violations)))
    return 1 if violations else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="replay", description=__doc__)
    parser.add_argument("file", type=Path, help="CSV in the layout of the Online Retail data set")
    parser.add_argument("--adapters", choices=ADAPTERS, default=ADAPTERS[0], help="see README.md")
    given = parser.parse_args()
    file: Path = given.file
    try:
        planned = plan(read_invoices(file))
    except OSError as error:
        print(f"replay: {file}: {error.strerror}", file=sys.stderr)
        return 2
    except InvalidFile as error:
        print(f"replay: {file}: {error}", file=sys.stderr)
        return 2
    return run("replay", replay(planned, Console(), given.adapters))


if __name__ == "__main__":
    sys.exit(main())
