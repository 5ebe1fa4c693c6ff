"""What the wire endpoints cost, driven by the Azure SDKs in this process, one kind of request after another.

For each kind the CPU of the emulator per message or request, without what it uses when idle, and beside it
the CPU of the SDK that asks. Nothing else is hosted: no function reads the queue or the container. Prints a
table and writes .bench/endpoints.json.
"""

import argparse
import asyncio
import math
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import orjson

# The SDKs are what is measured, not the app's ports in front of them.
from azure.cosmos.aio import ContainerProxy, CosmosClient  # noqa: TID251
from azure.servicebus import ServiceBusMessage  # noqa: TID251
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver, ServiceBusSender  # noqa: TID251
from rich.console import Console
from rich.table import Table

from tools.bench import RESULTS
from tools.calibration import calibration_ms
from tools.emulator_process import PROJECT, WIRE, Emulator, EmulatorFailed, running
from tools.scratch import run

QUEUE: Final = "bench"
CONTAINER: Final = "bench"
BATCH: Final = 100
"""Messages in one call of the SDK."""
SENDERS: Final = 8
MAX_MESSAGES: Final = 20_000
"""Of one kind of sending: what is sent is received too, and the SDK needs a millisecond for each."""
ITEMS: Final = 64
IDLE_S: Final = 2.0
_SETTINGS_TIMEOUT_S: Final = 10.0

_APP: Final = {
    "function_app.py": "import azure.functions as func\n\napp = func.FunctionApp()\n",
    "host.json": '{ "version": "2.0" }',
    "topology/servicebus.json": orjson.dumps(
        {
            "UserConfig": {
                "Namespaces": [
                    {
                        "Name": "sbemulatorns",
                        "Queues": [
                            {
                                "Name": QUEUE,
                                "Properties": {"LockDuration": "PT1M", "MaxDeliveryCount": 10},
                            }
                        ],
                    }
                ]
            }
        }
    ).decode(),
    "topology/cosmos.json": orjson.dumps(
        {"database": "bench", "containers": [{"name": CONTAINER, "partitionKey": "/stream"}]}
    ).decode(),
}


@dataclass(frozen=True, slots=True)
class Cost:
    """One kind of request. CPU in microseconds per message, or per request of the REST endpoint."""

    kind: str
    callers: int
    number: int
    per_s: float
    server_us: float
    client_us: float


@dataclass(frozen=True, slots=True)
class Reading:
    """CPU seconds used so far, and the time of a monotonic clock."""

    at: float
    server_s: float
    client_s: float


def cost(kind: str, callers: int, number: int, before: Reading, after: Reading, idle: float) -> Cost:
    """`idle` is the emulator's CPU seconds per second without requests. Infinite when nothing was done."""
    seconds = after.at - before.at
    server_s = max(0.0, after.server_s - before.server_s - idle * seconds)

    def each(amount_s: float) -> float:
        return round(amount_s / number * 1e6, 1) if number else math.inf

    return Cost(
        kind,
        callers,
        number,
        round(number / seconds, 1),
        each(server_s),
        each(after.client_s - before.client_s),
    )


class Meter:
    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._idle = 0.0

    async def rest(self, seconds: float) -> None:
        """Find what the emulator uses without requests."""
        before = await self._read()
        await asyncio.sleep(seconds)
        after = await self._read()
        self._idle = (after.server_s - before.server_s) / (after.at - before.at)

    async def measure(self, kind: str, callers: int, work: Callable[[], Awaitable[int]]) -> Cost:
        """`work` returns the number of what it did."""
        before = await self._read()
        number = await work()
        return cost(kind, callers, number, before, await self._read(), self._idle)

    async def _read(self) -> Reading:
        metrics = await self._emulator.metrics(0)
        return Reading(time.monotonic(), metrics["cpu_seconds"], time.process_time())


async def measure(seconds: float) -> list[Cost]:
    """Of each kind, worked on for so long."""
    with TemporaryDirectory(prefix="orderflow-") as name:
        folder = Path(name)
        app = folder / "app"
        write_app(app)
        async with running(folder / "state", app=app, options=WIRE) as emulator:
            settings = await _settings(emulator)
            meter = Meter(emulator)
            await meter.rest(IDLE_S)
            return [
                *await _measure_messages(meter, settings["ServiceBusConnection"], seconds),
                *await _measure_items(meter, settings["CosmosConnection"], seconds),
            ]


def write_app(folder: Path) -> None:
    """An app with a queue and a container, and without functions."""
    for path, text in _APP.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


async def _settings(emulator: Emulator) -> dict[str, str]:
    """The connection strings, which it prints once it is ready."""
    deadline = time.monotonic() + _SETTINGS_TIMEOUT_S
    while time.monotonic() < deadline:
        lines = emulator.log.read_text().splitlines()
        found = dict(line.split("=", 1) for line in lines if "Connection=" in line)
        if found.keys() >= {"ServiceBusConnection", "CosmosConnection"}:
            return found
        await asyncio.sleep(0.05)
    raise EmulatorFailed("the emulator did not say where its endpoints are")


# AMQP.


async def _measure_messages(meter: Meter, connection: str, seconds: float) -> list[Cost]:
    client = ServiceBusClient.from_connection_string(connection)
    async with client, _senders(client) as senders, client.get_queue_receiver(QUEUE) as receiver:
        await _send_batch(senders[0])
        await _receive(receiver, BATCH)
        costs = []
        for kind, callers, send in (
            (f"send in batches of {BATCH}", 1, _send_batch),
            ("send one at a time", SENDERS, _send_one),
        ):
            sent = await meter.measure(kind, callers, _until(seconds, send, senders[:callers], MAX_MESSAGES))
            receive = partial(_receive, receiver, sent.number)
            received = await meter.measure(f"receive {BATCH} and complete", 1, receive)
            costs += [sent, received, total(f"{kind}, receive, complete", sent, received)]
        return costs


def total(kind: str, sent: Cost, received: Cost) -> Cost:
    """Per message that was sent and received."""
    return Cost(
        kind,
        sent.callers,
        received.number,
        round(1 / (1 / sent.per_s + 1 / received.per_s), 1),
        round(sent.server_us + received.server_us, 1),
        round(sent.client_us + received.client_us, 1),
    )


@asynccontextmanager
async def _senders(client: ServiceBusClient) -> AsyncIterator[list[ServiceBusSender]]:
    """Each has a connection of its own, as in the SDK."""
    senders = [client.get_queue_sender(QUEUE) for _ in range(SENDERS)]
    try:
        for sender in senders:
            await _send_one(sender)
        yield senders
    finally:
        for sender in senders:
            await sender.close()


def _message() -> ServiceBusMessage:
    """Of the size and with the fields of a command of this app."""
    return ServiceBusMessage(
        b'{"order_id":"' + b"0" * 300 + b'"}',
        message_id=f"message-{next(_NUMBERS)}",
        correlation_id="0123456789abcdef",
        subject="inventory.reserve",
        content_type="application/json",
        application_properties={"type": "inventory.reserve", "traceparent": "00-0123456789abcdef-01"},
    )


_NUMBERS = count()


async def _send_batch(sender: ServiceBusSender) -> int:
    await sender.send_messages([_message() for _ in range(BATCH)])
    return BATCH


async def _send_one(sender: ServiceBusSender) -> int:
    await sender.send_messages(_message())
    return 1


async def _receive(receiver: ServiceBusReceiver, number: int) -> int:
    done = 0
    while done < number:
        messages = await receiver.receive_messages(BATCH, max_wait_time=5)
        if not messages:
            raise EmulatorFailed(f"{done} of {number} messages came")
        await asyncio.gather(*map(receiver.complete_message, messages))
        done += len(messages)
    return done


# REST.


async def _measure_items(meter: Meter, connection: str, seconds: float) -> list[Cost]:
    async with CosmosClient.from_connection_string(connection) as client:
        container = client.get_database_client("bench").get_container_client(CONTAINER)
        for number in range(ITEMS):
            await container.create_item(_item(f"item-{number}", number))
        numbers = count()
        kinds: dict[str, Callable[[int], Awaitable[object]]] = {
            "read": lambda number: container.read_item(*_place(number)),
            "create": lambda number: container.create_item(_item(f"new-{number}", number)),
            "replace": lambda number: container.replace_item(
                _place(number)[0], _item(_place(number)[0], number)
            ),
            "patch": lambda number: _patch(container, number),
            "batch of 3": lambda number: _batch(container, number),
        }
        costs = []
        for callers in (1, 8):
            for kind, request in kinds.items():

                async def once(_: int, request: Callable[[int], Awaitable[object]] = request) -> int:
                    await request(next(numbers))
                    return 1

                await once(0)
                costs.append(await meter.measure(kind, callers, _until(seconds, once, list(range(callers)))))
        return costs


def _item(id: str, number: int) -> dict[str, Any]:
    return {
        "id": id,
        "stream": f"stream-{number % ITEMS}",
        "type": "orders.created",
        "time": "2026-11-01T12:00:00Z",
        "revision": number,
        "lines": [{"sku": f"sku-{line}", "quantity": 2, "unit_price_cents": 1250} for line in range(5)],
    }


def _place(number: int) -> tuple[str, str]:
    """Id and partition of one of the items that are there from the beginning."""
    return f"item-{number % ITEMS}", f"stream-{number % ITEMS}"


async def _patch(container: ContainerProxy, number: int) -> None:
    id, partition = _place(number)
    await container.patch_item(
        id,
        partition,
        [
            {"op": "set", "path": "/type", "value": "orders.changed"},
            {"op": "incr", "path": "/revision", "value": 1},
        ],
        filter_predicate="FROM c WHERE c.revision >= 0",
    )


async def _batch(container: ContainerProxy, number: int) -> None:
    """An event, a message to be sent and the head of its stream, as this app writes them."""
    id, partition = _place(number)
    await container.execute_item_batch(
        [
            ("create", (_item(f"event-{number}", number),)),
            ("create", (_item(f"message-{number}", number),)),
            ("replace", (id, _item(id, number))),
        ],
        partition,
    )


def _until[C](
    seconds: float, step: Callable[[C], Awaitable[int]], callers: list[C], most: float = math.inf
) -> Callable[[], Awaitable[int]]:
    """Each caller takes one step after another, until so many seconds have passed or so much is done."""

    async def work() -> int:
        done = 0
        over = time.monotonic() + seconds

        async def steps(caller: C) -> None:
            nonlocal done
            while time.monotonic() < over and done < most:
                number = await step(caller)
                done += number  # not in one statement: others add while this one waits

        async with asyncio.TaskGroup() as group:
            for caller in callers:
                group.create_task(steps(caller))
        return done

    return work


def print_table(costs: list[Cost]) -> None:
    table = Table(title="CPU of the wire endpoints and of the SDKs, microseconds each")
    for name in ("kind", "callers", "number", "per second", "emulator", "SDK"):
        table.add_column(name, justify="left" if name == "kind" else "right")
    for each in costs:
        figures = (each.callers, each.number, each.per_s, each.server_us, each.client_us)
        table.add_row(each.kind, *(f"{figure:,}" for figure in figures))
    Console().print(table)


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench_endpoints", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each kind of request (5)")
    given = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)

    async def bench() -> int:
        speed = calibration_ms()
        costs = await measure(given.seconds)
        speeds = (round(speed, 1), round(calibration_ms(), 1))
        print_table(costs)
        print(f"calibration: {speeds[0]} ms of CPU before the run, {speeds[1]} ms after")
        latest = RESULTS / "endpoints.json"
        report = {"calibration_ms": speeds, "costs": [asdict(each) for each in costs]}
        latest.write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2))
        print(f"written to {latest.relative_to(PROJECT)}")
        return 0

    return run("bench_endpoints", bench())


if __name__ == "__main__":
    sys.exit(main())
