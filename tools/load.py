"""Offer orders at a rate, whether or not the answers keep up: the load of `tools.bench`, in its own process.

Sends are scheduled beforehand (a Poisson process, seeded). One that finds no free connection is late, and
that counts: latencies run from the schedule. Writes what it sent to --out as JSON, see `Report`.
"""

import argparse
import asyncio
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import aiohttp
import orjson
import uvloop

from tools.api import Address

CONNECTIONS = 128
SKUS = 200
LINES = 2
ANSWER_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Report:
    """sent: for each send its scheduled time (epoch seconds) and the order's id, None if it was not accepted.

    cpu_s: of this process, from the first send on.
    """

    sent: list[tuple[float, str | None]]
    errors: dict[str, int]
    cpu_s: float


def sku(number: int) -> str:
    return f"BENCH-{number:03}"


def schedule(rate: float, seconds: float, chance: random.Random) -> Iterator[float]:
    """Seconds after the start, at `rate` per second on average."""
    at = chance.expovariate(rate)
    while at < seconds:
        yield at
        at += chance.expovariate(rate)


def order_body(number: int, chance: random.Random) -> bytes:
    """An order of LINES different SKUs."""
    return orjson.dumps(
        {
            "customer_id": f"customer-{number % 1000}",
            "currency": "GBP",
            "lines": [
                {"sku": sku(picked), "quantity": chance.randint(1, 3), "unit_price": 100 + picked}
                for picked in chance.sample(range(SKUS), LINES)
            ],
            "shipping_address": asdict(Address()),
            "payment_method": "tok_ok",
            "delivery": "standard",
        }
    )


async def offer(url: str, start: float, rate: float, seconds: float, seed: int) -> Report:
    """`start` in epoch seconds."""
    chance = random.Random(seed)
    used = time.process_time()
    sent: list[tuple[float, str | None]] = []
    errors: dict[str, int] = {}
    connector = aiohttp.TCPConnector(limit=CONNECTIONS, keepalive_timeout=60.0)
    timeout = aiohttp.ClientTimeout(total=ANSWER_TIMEOUT_S)

    async def send(session: aiohttp.ClientSession, due: float, number: int, body: bytes) -> None:
        headers = {"Content-Type": "application/json", "Idempotency-Key": f"bench-{seed}-{number}"}
        order_id: str | None = None
        try:
            async with session.post(orders_url, data=body, headers=headers) as answer:
                content = await answer.read()
                if answer.status == 202:
                    order_id = orjson.loads(content)["id"]
                else:
                    error = f"status {answer.status}"
                    errors[error] = errors.get(error, 0) + 1
        except (aiohttp.ClientError, TimeoutError) as failure:
            errors[type(failure).__name__] = errors.get(type(failure).__name__, 0) + 1
        sent.append((due, order_id))

    orders_url = f"{url}/api/orders"
    async with (
        aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
        asyncio.TaskGroup() as group,
    ):
        for number, at in enumerate(schedule(rate, seconds, chance)):
            due = start + at
            body = order_body(number, chance)
            if (early := due - time.time()) > 0:
                await asyncio.sleep(early)
            group.create_task(send(session, due, number, body))
    return Report(sent, errors, time.process_time() - used)


def main() -> int:
    parser = argparse.ArgumentParser(prog="load", description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--start", type=float, required=True, help="epoch seconds")
    parser.add_argument("--rate", type=float, required=True, help="orders per second")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    report = uvloop.run(offer(given.url, given.start, given.rate, given.seconds, given.seed))
    given.out.write_bytes(orjson.dumps(asdict(report)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
