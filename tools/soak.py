"""Senders and receivers with the real SDK at the AMQP endpoint: connections break, the emulator is killed.

`python -m tools.soak --seconds 60`. Receivers complete, abandon, dead-letter, defer, or let locks expire, at
random. Connections are cut in a proxy before the endpoint; processes of the emulator are killed with kill -9,
one of them or all at once. In the end every message whose send was acknowledged must be completed,
dead-lettered or still queued, and none twice. Exit code 1, and a line for each message, when one is not.
"""

import argparse
import asyncio
import json
import logging
import shutil
import socket
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random

from azure.servicebus import (  # noqa: TID251
    ServiceBusMessage,
    ServiceBusReceivedMessage,
    ServiceBusSubQueue,
)
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver  # noqa: TID251
from azure.servicebus.exceptions import MessageLockLostError, ServiceBusError  # noqa: TID251

from emulator.servicebus.accounting import Account, accounting
from emulator.state_folder import STORE_FILE
from emulator.wire.keys import load_or_create, servicebus_connection_string
from tools import emulator_process
from tools.cutting_proxy import CuttingProxy, cutting_proxy
from tools.emulator_process import Emulator
from tools.scratch import run
from tools.soak_ledger import Ledger, Left, Sums, mismatches, sums

QUEUES = ("first", "second")
LOCK_S = 2.0
MAX_DELIVERIES = 5
SENDERS = 2
RECEIVERS = 2
"""Both of each queue."""

ACTIONS = {"complete": 60, "abandon": 14, "dead-letter": 8, "defer": 8, "expire": 10}
"""What a receiver does with a message, and how often."""

ANSWER_S = 10.0
"""How long the SDK may take; where it has then no answer, what became of the request is unknown."""

_APP = "import azure.functions as func\n\napp = func.FunctionApp()\n\n\n" + (
    '@app.route(route="alive")\ndef alive(req: func.HttpRequest) -> func.HttpResponse:\n'
    "    return func.HttpResponse()\n"
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """events: how often what happened. recovered_s: from each kill to the next acknowledged request."""

    sums: Sums
    mismatches: list[str]
    events: dict[str, int]
    recovered_s: list[float]


@dataclass(slots=True)
class Soak:
    """What the tasks of one run share."""

    client: Callable[[], ServiceBusClient]
    until: float
    chance: Random
    ledger: Ledger = field(default_factory=Ledger)
    events: Counter[str] = field(default_factory=Counter)
    killed_at: float | None = None
    recovered_s: list[float] = field(default_factory=list)

    def goes_on(self) -> bool:
        return time.monotonic() < self.until

    def succeeded(self, event: str) -> None:
        self.events[event] += 1
        if self.killed_at is not None:
            self.recovered_s.append(time.monotonic() - self.killed_at)
            self.killed_at = None


@dataclass(slots=True)
class World:
    """The emulator on ports that stay: `emulator` is another one after all its processes were killed."""

    state: Path
    instances: int
    amqp_port: int
    cosmos_port: int
    emulator: Emulator = field(init=False)

    async def start(self) -> Emulator:
        ports = ("--amqp-port", str(self.amqp_port), "--cosmos-port", str(self.cosmos_port))
        return await emulator_process.start(
            self.state / "store",
            instances=self.instances,
            options=("--wire", *ports, "--log-level", "WARNING"),
            app=self.state / "app",
        )


def write_app(folder: Path) -> None:
    """One whose queues nothing but the soak reads."""
    (folder / "topology").mkdir(parents=True)
    (folder / "function_app.py").write_text(_APP)
    (folder / "host.json").write_text('{ "version": "2.0" }')
    properties = {"LockDuration": f"PT{LOCK_S:.0f}S", "MaxDeliveryCount": MAX_DELIVERIES}
    queues = [{"Name": name, "Properties": properties} for name in QUEUES]
    namespace = {"Name": "sbemulatorns", "Queues": queues}
    topology = {"UserConfig": {"Namespaces": [namespace]}}
    (folder / "topology" / "servicebus.json").write_text(json.dumps(topology))


async def keep_sending(soak: Soak, queue: str, name: str) -> None:
    """Each message once: the SDK is told not to try again, so that a doubled one is the endpoint's fault."""
    number = 0
    while soak.goes_on():
        try:
            async with soak.client() as client, client.get_queue_sender(queue) as sender:
                while soak.goes_on():
                    ids = [
                        f"{name}-{number + place}" for place in range(soak.chance.choice([1, 1, 1, 5, 20]))
                    ]
                    number += len(ids)
                    messages = [ServiceBusMessage(id, message_id=id) for id in ids]
                    soak.ledger.unanswered.append(ids)
                    async with asyncio.timeout(ANSWER_S):
                        await sender.send_messages(messages if len(messages) > 1 else messages[0])
                    soak.ledger.unanswered.remove(ids)
                    soak.ledger.acknowledged.append(ids)
                    soak.succeeded("sends")
                    await asyncio.sleep(soak.chance.uniform(0.01, 0.15))
        except (ServiceBusError, TimeoutError) as error:
            await _pause(soak, "sender", error)


async def keep_receiving(soak: Soak, queue: str) -> None:
    while soak.goes_on():
        try:
            async with soak.client() as client, client.get_queue_receiver(queue) as receiver:
                while soak.goes_on():
                    async with asyncio.timeout(ANSWER_S):
                        messages = await receiver.receive_messages(
                            soak.chance.randint(1, 20), max_wait_time=1
                        )
                    soak.ledger.delivered.update(str(message.message_id) for message in messages)
                    for message in messages:
                        await _settle(soak, receiver, message)
        except (ServiceBusError, TimeoutError) as error:
            await _pause(soak, "receiver", error)


async def _settle(soak: Soak, receiver: ServiceBusReceiver, message: ServiceBusReceivedMessage) -> None:
    """Raises what says that the connection is to be opened anew."""
    (action,) = soak.chance.choices(list(ACTIONS), list(ACTIONS.values()))
    ledger, id = soak.ledger, str(message.message_id)
    try:
        async with asyncio.timeout(ANSWER_S):
            if action == "defer":
                await receiver.defer_message(message)
                (message,) = await receiver.receive_deferred_messages(message.sequence_number or 0)
            match action:
                case "abandon":
                    await receiver.abandon_message(message)
                case "dead-letter":
                    ledger.maybe.add(id)
                    await receiver.dead_letter_message(message, reason="soak")
                    ledger.dead_lettered[id] += 1
                case "complete" | "defer":
                    ledger.maybe.add(id)
                    await receiver.complete_message(message)
                    ledger.completed[id] += 1
                case _:
                    pass  # its lock expires
    except MessageLockLostError:
        soak.events["locks lost"] += 1
    else:
        soak.succeeded(action)


async def _pause(soak: Soak, who: str, error: Exception) -> None:
    soak.events[f"{who}: {type(error).__name__}"] += 1
    await asyncio.sleep(soak.chance.uniform(0.05, 0.3))


async def keep_cutting(soak: Soak, proxy: CuttingProxy) -> None:
    while soak.goes_on():
        await asyncio.sleep(soak.chance.uniform(0.5, 2.5))
        proxy.cut(soak.chance, soak.chance.choice([1, 1, 2, 100]))


async def keep_killing(soak: Soak, world: World) -> None:
    """Not in the last seconds, so that the end of the run is one with a running emulator."""
    while time.monotonic() + 5 < soak.until:
        await asyncio.sleep(soak.chance.uniform(2, 5))
        soak.killed_at = time.monotonic()
        if soak.chance.random() < 0.3:
            await world.emulator.kill_all()
            soak.events["kills of all"] += 1
            world.emulator = await world.start()
        else:
            soak.events["kills of one"] += 1
            try:
                await world.emulator.kill(soak.chance.randrange(world.instances))
            except OSError:
                soak.events["kills of one that was not up yet"] += 1


@asynccontextmanager
async def running(state: Path, instances: int) -> AsyncIterator[World]:
    write_app(state / "app")
    world = World(state, instances, *_free_ports(2))
    world.emulator = await world.start()
    try:
        yield world
    finally:
        await world.emulator.stop()


async def soak(seconds: float, seed: int, state: Path, instances: int = 2) -> Outcome:
    async with running(state, instances) as world, cutting_proxy(world.amqp_port) as proxy:
        keys = load_or_create(state / "store")

        def connected(port: int) -> ServiceBusClient:
            text = servicebus_connection_string(keys, "127.0.0.1", port)
            return ServiceBusClient.from_connection_string(text, retry_total=0)

        chance = Random(seed)
        shared = Soak(lambda: connected(proxy.port), time.monotonic() + seconds, chance)
        async with asyncio.TaskGroup() as tasks:
            for queue in QUEUES:
                for number in range(SENDERS):
                    tasks.create_task(keep_sending(shared, queue, f"{queue}-{number}"))
                for _ in range(RECEIVERS):
                    tasks.create_task(keep_receiving(shared, queue))
            tasks.create_task(keep_cutting(shared, proxy))
            tasks.create_task(keep_killing(shared, world))
        async with connected(world.amqp_port) as client:
            queued = [id for queue in QUEUES for id in await _held(client, queue, None)]
            dead = [
                id for queue in QUEUES for id in await _held(client, queue, ServiceBusSubQueue.DEAD_LETTER)
            ]
    shared.events["connections cut"] = proxy.cuts
    left = Left(queued, dead, _accounts(state / "store"))
    return Outcome(
        sums(shared.ledger, left), mismatches(shared.ledger, left), dict(shared.events), shared.recovered_s
    )


async def _held(client: ServiceBusClient, queue: str, sub_queue: ServiceBusSubQueue | None) -> list[str]:
    """The ids of all messages there, locked or not."""
    ids: list[str] = []
    following = 1
    async with client.get_queue_receiver(queue, sub_queue=sub_queue) as receiver:
        while messages := await receiver.peek_messages(250, sequence_number=following):
            ids += [str(message.message_id) for message in messages]
            following = (messages[-1].sequence_number or 0) + 1
    return ids


def _accounts(state: Path) -> dict[str, Account]:
    uri = f"file:{state / STORE_FILE}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True)) as store:
        return accounting(lambda select: store.execute(select).fetchall())


def _free_ports(number: int) -> list[int]:
    """Of now: the emulator takes each by itself."""
    sockets = [socket.socket() for _ in range(number)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


def show(outcome: Outcome) -> None:
    found = outcome.sums
    print(
        f"sent and acknowledged {found.sent} = completed {found.completed}"
        f" + dead-lettered {found.dead_lettered} + queued {found.queued}"
        f" + asked to go, unanswered and gone {found.unsure}"
        + (f" + MISSING {found.missing}" if found.missing else "")
    )
    print(", ".join(f"{name}: {number}" for name, number in sorted(outcome.events.items())))
    if outcome.recovered_s:
        print(f"work went on {max(outcome.recovered_s):.1f} s after a kill at the latest")
    for line in outcome.mismatches:
        print(line, file=sys.stderr)


async def _main(seconds: float, seed: int, instances: int, *, as_json: bool) -> int:
    state = Path(tempfile.mkdtemp(prefix="soak-"))
    outcome = await soak(seconds, seed, state, instances)
    if as_json:
        print(json.dumps(asdict(outcome)))
    else:
        show(outcome)
    if outcome.mismatches:
        print(f"kept for a look: {state}", file=sys.stderr)
        return 1
    shutil.rmtree(state)
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1, help="of what is chosen; when things happen varies")
    parser.add_argument("--instances", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="print an object with the fields of Outcome")
    options = parser.parse_args()
    logging.getLogger("azure").setLevel(logging.CRITICAL)  # each lost connection is a warning to it
    work = _main(options.seconds, options.seed, options.instances, as_json=options.json)
    return run("tools.soak", work)


if __name__ == "__main__":
    sys.exit(main())
