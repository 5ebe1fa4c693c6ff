"""Open-loop load on a fresh emulator, for 1 and for 2 instances: `make bench`.

After a warm-up counts what happens within a window. Throughput is of the orders that completed in it; the
latency of those runs from the scheduled send to the time of the terminal event. Figures per order are the
emulator's counters over the window, by completed orders. Prints a table and writes .bench/latest.json.
"""

import argparse
import asyncio
import math
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Protocol

import orjson
from rich.console import Console
from rich.table import Table

from tools import profiling
from tools.api import connect
from tools.calibration import calibration_ms
from tools.emulator_process import PROJECT, Emulator
from tools.evidence import open_store
from tools.load import SKUS, sku
from tools.scratch import fresh_emulator, run, settle, show

RESULTS = PROJECT / ".bench"
PIECES_PER_SKU = 1_000_000
START_DELAY_S = 2.0
"""For the load process to be up when the first order is due."""

DRAIN_S = 120.0
HANDLERS = ("http", "serviceBus", "activity", "timer")
"""The triggers whose document requests are made by handlers; those of the change feed are projections."""

LEASES = "leases"


@dataclass(frozen=True, slots=True)
class Result:
    """One run. The keys of .bench/latest.json."""

    instances: int
    seconds: float
    offered_per_s: float
    orders_accepted_per_minute: float
    orders_completed_per_minute: float
    p50_s: float
    p95_s: float
    p99_s: float
    cpu_ms_per_order: float
    loop_lag_p99_ms: float
    handler_document_requests_per_order: float
    projection_document_requests_per_order: float
    bus_messages_per_order: float
    durable_actions_per_order: float
    violations: int


class Reported(Protocol):
    """What every kind of result has beside its own figures; a dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def instances(self) -> int: ...
    @property
    def violations(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Usage:
    """What all instances used in the window. Counts by group and name, as in emulator/metrics.py."""

    cpu_s: float
    loop_lag_p99_ms: float
    counts: Mapping[str, Mapping[str, int]]

    def total(self, group: str, without: str = "") -> int:
        return sum(number for name, number in self.counts.get(group, {}).items() if name != without)


@dataclass(frozen=True, slots=True)
class Sent:
    """`due` is the scheduled time in epoch seconds; `order_id` None when the order was not accepted."""

    due: float
    order_id: str | None


@dataclass(frozen=True, slots=True)
class Ended:
    """`at` in epoch seconds."""

    order_id: str
    status: str
    at: float


def evaluate(
    instances: int,
    window: tuple[float, float],
    offered_per_s: float,
    sent: Sequence[Sent],
    ended: Sequence[Ended],
    usage: Usage,
    violations: int,
) -> Result:
    """`window` in epoch seconds. Figures per order are infinite when nothing completed in it."""
    began, over = window
    seconds = over - began
    completed, latencies = completed_in(window, sent, ended)
    accepted = sum(began <= send.due < over for send in sent if send.order_id is not None)

    def per_order(amount: float) -> float:
        return round(amount / len(completed), 3) if completed else math.inf

    return Result(
        instances=instances,
        seconds=round(seconds, 3),
        offered_per_s=offered_per_s,
        orders_accepted_per_minute=round(accepted * 60 / seconds, 1),
        orders_completed_per_minute=round(len(completed) * 60 / seconds, 1),
        p50_s=percentile(latencies, 50),
        p95_s=percentile(latencies, 95),
        p99_s=percentile(latencies, 99),
        cpu_ms_per_order=per_order(usage.cpu_s * 1000),
        loop_lag_p99_ms=usage.loop_lag_p99_ms,
        handler_document_requests_per_order=per_order(
            sum(usage.total(f"documents.{trigger}", without=LEASES) for trigger in HANDLERS)
        ),
        projection_document_requests_per_order=per_order(usage.total("documents.cosmosDB", without=LEASES)),
        bus_messages_per_order=per_order(usage.total("messages")),
        durable_actions_per_order=per_order(usage.total("durable")),
        violations=violations,
    )


def completed_in(
    window: tuple[float, float], sent: Sequence[Sent], ended: Sequence[Ended]
) -> tuple[list[Ended], list[float]]:
    """What completed in the window, and the latencies of that, ascending."""
    began, over = window
    due = {send.order_id: send.due for send in sent if send.order_id is not None}
    completed = [end for end in ended if end.status == "completed" and began <= end.at < over]
    return completed, sorted(end.at - due[end.order_id] for end in completed if end.order_id in due)


def percentile(ascending: Sequence[float], percent: int) -> float:
    """The smallest value that `percent` of all are not above; infinite when there is none."""
    if not ascending:
        return math.inf
    return round(ascending[math.ceil(len(ascending) * percent / 100) - 1], 4)


def usage_between(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> Usage:
    """From each instance's metrics at the ends of a window that began with a reset of the lag."""
    counts: dict[str, Counter[str]] = {}
    for sign, metrics in ((-1, before), (1, after)):
        for instance in metrics:
            for group, names in instance["counts"].items():
                for name, number in names.items():
                    counts.setdefault(group, Counter())[name] += sign * number
    return Usage(
        cpu_s=sum(
            later["cpu_seconds"] - earlier["cpu_seconds"]
            for earlier, later in zip(before, after, strict=True)
        ),
        loop_lag_p99_ms=max(instance["loop_lag"]["p99_ms"] for instance in after),
        counts=counts,
    )


@dataclass(frozen=True, slots=True)
class Observed:
    """One run. `window` in epoch seconds."""

    window: tuple[float, float]
    sent: Sequence[Sent]
    ended: Sequence[Ended]
    usage: Usage
    violations: int


async def measure(
    instances: int,
    rate: float,
    warm_up_s: float,
    seconds: float,
    *,
    profile: bool = False,
    options: Sequence[str] = (),
) -> Result:
    """One run. `options` are the emulator's."""
    settings = profiling.settings(RESULTS) if profile else {}
    run = await observe(
        instances, rate, warm_up_s, seconds, profile=profile, settings=settings, options=options
    )
    return evaluate(instances, run.window, rate, run.sent, run.ended, run.usage, run.violations)


async def observe(
    instances: int,
    rate: float,
    warm_up_s: float,
    seconds: float,
    *,
    profile: bool = False,
    settings: Mapping[str, str] | None = None,
    options: Sequence[str] = (),
) -> Observed:
    async with fresh_emulator(instances, settings, options) as emulator:
        async with connect(emulator.url) as api:
            await api.load_stock({sku(number): PIECES_PER_SKU for number in range(SKUS)})
        start = time.time() + START_DELAY_S
        window = (start + warm_up_s, start + warm_up_s + seconds)
        out = emulator.state / "load.json"
        load = await _start_load(emulator.url, start, rate, warm_up_s + seconds, out)
        try:
            await asyncio.sleep(window[0] - time.time())
            for instance in range(instances):
                await emulator.reset_metrics(instance)
            if profile:
                profiling.start(emulator)
            before, began = await _metrics(emulator), time.time()
            await asyncio.sleep(window[1] - time.time())
            after, over = await _metrics(emulator), time.time()
            if profile:
                profiling.stop(emulator)
            if await load.wait() != 0:
                raise RuntimeError("the load process failed")
        finally:
            if load.returncode is None:
                load.kill()
        sent = _report(out)
        accepted = [send.order_id for send in sent if send.order_id is not None]
        ended = await drained(emulator.state, len(accepted))
        violations = await settle(emulator.state, accepted)
    show(violations)
    return Observed((began, over), sent, ended, usage_between(before, after), len(violations))


async def _start_load(
    url: str, start: float, rate: float, seconds: float, out: Path
) -> asyncio.subprocess.Process:
    command = [sys.executable, "-m", "tools.load", "--url", url, "--start", str(start), "--out", str(out)]
    command += ["--rate", str(rate), "--seconds", str(seconds)]
    return await asyncio.create_subprocess_exec(*command, cwd=PROJECT)


async def _metrics(emulator: Emulator) -> list[dict[str, Any]]:
    return [await emulator.metrics(instance) for instance in range(emulator.instances)]


def _report(out: Path) -> list[Sent]:
    report = orjson.loads(out.read_bytes())
    print(
        f"load process: {report['cpu_s'] * 1000 / max(len(report['sent']), 1):.2f} ms of CPU per order sent"
    )
    for error, number in report["errors"].items():
        print(f"{number} orders were not accepted: {error}", file=sys.stderr)
    return [Sent(due, order_id) for due, order_id in report["sent"]]


async def drained(state: Path, orders: int, pause_s: float = 1.0) -> list[Ended]:
    """Once all have ended, or after DRAIN_S those that have."""
    deadline = time.monotonic() + DRAIN_S
    while True:
        ended = ended_orders(state)
        if len(ended) >= orders or time.monotonic() > deadline:
            return ended
        await asyncio.sleep(pause_s)


def ended_orders(state: Path) -> list[Ended]:
    with closing(open_store(state)) as store:
        rows = store.execute(
            "SELECT partition, body ->> '$.type' AS type, body ->> '$.time' FROM documents "
            "WHERE container = 'orders' AND type IN ('orders.completed', 'orders.cancelled')"
        ).fetchall()
    return [
        Ended(order_id, type_.removeprefix("orders."), datetime.fromisoformat(at).timestamp())
        for order_id, type_, at in rows
    ]


def publish(title: str, path: Path, results: Sequence[Reported]) -> None:
    table = Table(title=title, show_header=True)
    table.add_column("figure")
    for result in results:
        table.add_column(f"{result.instances} instance{'s' if result.instances > 1 else ''}", justify="right")
    for field in fields(results[0]):
        table.add_row(field.name, *(f"{getattr(result, field.name):,}" for result in results))
    Console().print(table)
    path.write_bytes(orjson.dumps([asdict(result) for result in results], option=orjson.OPT_INDENT_2))
    print(f"written to {path.relative_to(PROJECT)}")


async def report[R: Reported](
    title: str, path: Path, instances: Sequence[int], one_run: Callable[[int], Awaitable[R]]
) -> int:
    """A run for each number of instances, as a table and at `path`. The exit code."""
    RESULTS.mkdir(exist_ok=True)
    results = []
    for number in instances:
        speed = calibration_ms()
        results.append(await one_run(number))
        print(f"calibration: {speed:.0f} ms of CPU before the run, {calibration_ms():.0f} ms after")
    publish(title, path, results)
    return 1 if any(result.violations for result in results) else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--rate", type=float, default=105.0, help="orders offered per second (105)")
    parser.add_argument("--seconds", type=float, default=30.0, help="length of the window (30)")
    parser.add_argument("--warm-up", type=float, default=5.0, help="seconds of load before it (5)")
    parser.add_argument("--instances", type=int, nargs="+", default=[1, 2], help="a run for each (1 2)")
    parser.add_argument(
        "--profile", action="store_true", help="sample the instances, write .bench/profile-*.txt"
    )
    parser.add_argument(
        "--no-fast-timestamps", action="store_true", help="leave the SDKs their own timestamp parsers"
    )
    given = parser.parse_args()
    options = ["--no-fast-timestamps"] if given.no_fast_timestamps else []

    def one_run(instances: int) -> Awaitable[Result]:
        return measure(
            instances, given.rate, given.warm_up, given.seconds, profile=given.profile, options=options
        )

    return run("bench", report("bench", RESULTS / "latest.json", given.instances, one_run))


if __name__ == "__main__":
    sys.exit(main())
