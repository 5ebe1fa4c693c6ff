"""What one order costs on the Azure path, counted at the wire endpoints: `python -m tools.costs`.

Two orders of two lines, one after the other: one completes, one is refused by the carrier and undone. Per
operation: requests to Cosmos DB with an estimate of their request units (emulator/wire/cosmos/charges.py),
messages sent, durable actions. `docs/azure-adapters.md` quotes the tables; a test compares.
"""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tools.api import Api, Line, NewOrder, connect
from tools.bench import ended_orders
from tools.emulator_process import Emulator, with_adapters
from tools.scratch import fresh_emulator, run, settle, show

COMPLETED = NewOrder("cost-1", (Line("A", 1, 500), Line("B", 2, 250)))
COMPENSATED = replace(COMPLETED, customer_id="cost-2", delivery="sandbox-refused")
QUIET = {"ORDERFLOW_LOG_LEVEL": "WARNING", "ORDERFLOW_NOTIFICATION_CHANNELS": "outbox"}
_RESTS_S = 1.0
"""Nothing was counted for so long: the order is done with, projections and notifications included."""

_LEFT_OUT = frozenset({"leases", "metadata"})
_TIMERS = ("query ", "query plan ", "read feed ")
"""An order is never looked for by a query: what looks is a timer."""

type Counts = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class Row:
    """`request_units` is 0 where there are none."""

    number: int
    request_units: float


type Costs = Mapping[str, Row]
"""By what is counted, as in `Cosmos DB: batch orders`."""


async def costs() -> tuple[Costs, Costs]:
    """Of the completed and of the compensated order."""
    settings, options = with_adapters("azure", QUIET)
    async with fresh_emulator(1, settings, options) as emulator, connect(emulator.url) as api:
        await api.load_stock({"A": 1000, "B": 1000})
        orders = [await _ended(emulator, api, replace(COMPLETED, customer_id="warm-up"), "completed")]
        await _at_rest(emulator, orders)
        found = []
        for order, status in ((COMPLETED, "completed"), (COMPENSATED, "cancelled")):
            await emulator.reset_metrics(0)
            orders.append(await _ended(emulator, api, order, status))
            found.append(table(await _at_rest(emulator, orders)))
    return found[0], found[1]


def table(counts: Counts) -> Costs:
    rows: dict[str, Row] = {}
    for what, number in sorted(counts.get("cosmos.requests", {}).items()):
        if what.split(" ")[-1] not in _LEFT_OUT and not what.startswith(_TIMERS):
            units = counts["cosmos.centi_ru"].get(what, 0) / 100
            rows[f"Cosmos DB: {what}"] = Row(number, units)
    for entity, number in sorted(counts.get("messages", {}).items()):
        rows[f"Service Bus: send to {entity}"] = Row(number, 0.0)
    for kind, number in sorted(counts.get("durable", {}).items()):
        rows[f"Durable: {kind}"] = Row(number, 0.0)
    return rows


def markdown(completed: Costs, compensated: Costs) -> list[str]:
    """A table of both, with the sums of each service."""
    lines = [
        "| operation | completed | RU | compensated | RU |",
        "| --- | --- | --- | --- | --- |",
    ]
    none = Row(0, 0.0)
    for what in sorted(completed.keys() | compensated.keys()):
        lines.append(_line(what, completed.get(what, none), compensated.get(what, none)))
    for service in ("Cosmos DB", "Service Bus", "Durable"):
        sums = [
            Row(
                sum(row.number for what, row in of.items() if what.startswith(service)),
                sum(row.request_units for what, row in of.items() if what.startswith(service)),
            )
            for of in (completed, compensated)
        ]
        lines.append(_line(f"**{service}, all**", *sums))
    return lines


def _line(what: str, completed: Row, compensated: Row) -> str:
    cells = []
    for row in (completed, compensated):
        cells += [str(row.number or ""), f"{row.request_units:.0f}" if row.request_units else ""]
    return f"| {what} | {' | '.join(cells)} |"


async def _ended(emulator: Emulator, api: Api, order: NewOrder, status: str) -> str:
    """Looked for in the store, since to ask the API is a request as well."""
    accepted = await api.submit(order, order.customer_id)
    while True:
        for ended in ended_orders(emulator.state):
            if ended.order_id == accepted.id:
                if ended.status != status:
                    raise RuntimeError(f"{accepted.id} ended as {ended.status}, not as {status}")
                return accepted.id
        await asyncio.sleep(0.1)


async def _at_rest(emulator: Emulator, orders: Sequence[str]) -> Counts:
    """When the slowest feed has brought everything, and nothing is counted any more."""
    violations = await settle(emulator.state, orders)
    if violations:
        show(violations)
        raise RuntimeError(f"{len(violations)} violations")
    counts: Counts = {}
    while (now := _work(await emulator.metrics(0))) != counts:
        counts = now
        await asyncio.sleep(_RESTS_S)
    return counts


def _work(metrics: Mapping[str, Counts]) -> Counts:
    """Without what goes on at rest too: leases, timers, bytes."""
    return {
        group: {
            name: number
            for name, number in names.items()
            if "leases" not in name and not name.startswith(_TIMERS)
        }
        for group, names in metrics["counts"].items()
        if group in {"cosmos.requests", "cosmos.centi_ru", "messages", "durable"}
    }


def main() -> int:
    async def print_costs() -> int:
        print("\n".join(markdown(*await costs())))
        return 0

    return run("costs", print_costs())


if __name__ == "__main__":
    sys.exit(main())
