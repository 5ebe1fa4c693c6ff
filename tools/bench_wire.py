"""The load of `tools.bench` on an app whose messages and documents go through the Azure SDKs.

Everything is on this machine: the CPU is that of the SDKs, of the endpoints that serve them and of the rest
of the emulator, all in the instances. Requests and bytes are what crosses the sockets. Prints a table and
writes .bench/wire.json.
"""

import argparse
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from tools.bench import RESULTS, Observed, completed_in, observe, percentile, report
from tools.emulator_process import with_adapters
from tools.scratch import run


@dataclass(frozen=True, slots=True)
class WireResult:
    """The keys of .bench/wire.json. Requests are those of the app to both endpoints; bytes go both ways."""

    instances: int
    seconds: float
    offered_per_s: float
    orders_completed_per_minute: float
    p50_s: float
    p99_s: float
    cpu_ms_per_order: float
    document_requests_per_order: float
    document_bytes_per_order: float
    bus_messages_per_order: float
    bus_bytes_per_order: float
    violations: int


def evaluate(instances: int, offered_per_s: float, observed: Observed) -> WireResult:
    """Figures per order are infinite when nothing completed in the window."""
    began, over = observed.window
    completed, latencies = completed_in(observed.window, observed.sent, observed.ended)
    wire: Mapping[str, int] = observed.usage.counts.get("wire", {})

    def per_order(amount: float) -> float:
        return round(amount / len(completed), 3) if completed else math.inf

    return WireResult(
        instances=instances,
        seconds=round(over - began, 3),
        offered_per_s=offered_per_s,
        orders_completed_per_minute=round(len(completed) * 60 / (over - began), 1),
        p50_s=percentile(latencies, 50),
        p99_s=percentile(latencies, 99),
        cpu_ms_per_order=per_order(observed.usage.cpu_s * 1000),
        document_requests_per_order=per_order(wire.get("cosmos requests", 0)),
        document_bytes_per_order=per_order(wire.get("cosmos bytes", 0)),
        bus_messages_per_order=per_order(observed.usage.total("messages")),
        bus_bytes_per_order=per_order(wire.get("amqp bytes", 0)),
        violations=observed.violations,
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench_wire", description=__doc__)
    parser.add_argument("--rate", type=float, default=10.0, help="orders offered per second (10)")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of the window (20)")
    parser.add_argument("--warm-up", type=float, default=5.0, help="seconds of load before it (5)")
    parser.add_argument("--instances", type=int, nargs="+", default=[1, 2], help="a run for each (1 2)")
    given = parser.parse_args()
    settings, options = with_adapters("azure")

    async def one_run(instances: int) -> WireResult:
        observed = await observe(
            instances, given.rate, given.warm_up, given.seconds, settings=settings, options=options
        )
        return evaluate(instances, given.rate, observed)

    return run("bench_wire", report("bench over the wire", RESULTS / "wire.json", given.instances, one_run))


if __name__ == "__main__":
    sys.exit(main())
