"""Submit the invoices of an Online Retail CSV file as orders: `make replay FILE=...`.

The last line is
`replay: I invoices, O orders, C completed, X cancelled, R returned, S skipped (reason=n ...), 0 violations`.
An invoice that cancels another is a return of the customer's earlier order where one matches, see
tools/retail_returns.py. Exit 0 when every order completed or was cancelled, every return completed and
nothing is violated.
"""

import argparse
import asyncio
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from tools.retail_returns import CANCELLATION, GoodsBack, match_returns
from tools.retail_returns import SKIP_REASONS as NO_RETURN
from tools.scratch import fresh_emulator, run, settle, show

OPEN_ORDERS = 32
"""Orders under way at a time."""

type Advance = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a file asks for: orders by invoice number, and returns, both in file order; the other invoices
    counted by reason.
    """

    orders: Mapping[str, NewOrder]
    returns: Sequence[GoodsBack]
    skipped: Mapping[str, int]

    @property
    def invoices(self) -> int:
        return len(self.orders) + len(self.returns) + sum(self.skipped.values())


def plan(invoices: list[Invoice]) -> Plan:
    reasons = {invoice.number: skip_reason(invoice) for invoice in invoices}
    orders = {invoice.number: order_of(invoice) for invoice in invoices if reasons[invoice.number] is None}
    returns, no_returns = match_returns(invoices, orders)
    counted = Counter(no_returns.values()) + Counter(
        reason for reason in reasons.values() if reason not in (None, CANCELLATION)
    )
    known = (*NO_RETURN, *SKIP_REASONS)
    return Plan(orders, returns, {reason: counted[reason] for reason in known if counted[reason]})


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


async def return_all(api: Api, returns: Sequence[GoodsBack], order_ids: Mapping[str, str]) -> int:
    """How many went through, everything restocked and paid back. `order_ids` by invoice number."""
    done = 0
    for goods in returns:
        order_id = order_ids.get(goods.invoice)
        if order_id is None:
            continue
        id = await api.request_return(order_id, goods.pieces, "cancelled", goods.number)
        await api.returned(id, "awaiting_parcel")
        await api.receive_return(id)
        await api.inspect_return(
            id, [{"line": line, "restocked": count} for line, count in goods.pieces.items()]
        )
        done += await api.returned(id, "completed") == "completed"
    return done


def summary(plan: Plan, ends: list[OrderView], returned: int, violations: int) -> str:
    statuses = Counter(order.status for order in ends)
    skipped = sum(plan.skipped.values())
    why = " ".join(f"{reason}={number}" for reason, number in plan.skipped.items())
    return (
        f"replay: {plan.invoices} invoices, {len(ends)} orders, {statuses['completed']} completed, "
        f"{statuses['cancelled']} cancelled, {returned} returned, "
        f"{skipped} skipped{f' ({why})' if why else ''}, {violations} violations"
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
        completed = {
            number: order.id
            for number, order in zip(plan.orders, ends, strict=True)
            if order.status == "completed"
        }
        returned = await return_all(api, plan.returns, completed)
        violations = await settle(emulator.state, (order.id for order in ends))
    show(violations)
    print(summary(plan, ends, returned, len(violations)))
    return 1 if violations or returned < len(plan.returns) else 0


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
