"""What was acknowledged is there after a crash, wherever it falls; and several engines share one store."""

import asyncio
import os
import signal
import subprocess
import sys
from base64 import b64encode
from collections import Counter
from contextlib import AsyncExitStack
from itertools import batched
from pathlib import Path
from random import Random

import orjson
import pytest

from emulator.clock import SystemClock
from emulator.metrics import Metrics
from emulator.servicebus import rows
from emulator.servicebus.engine import ServiceBusEngine
from emulator.servicebus.errors import MessageLockLost
from emulator.servicebus.faults import Faults
from emulator.servicebus.messages import Message
from emulator.servicebus.schema import SCHEMA
from emulator.simulation import run_simulated
from emulator.store import Store
from tests.emulator.servicebus_support import ALL, DEAD, SHIPPED, TOPOLOGY, Bus, opened, simulated


def test_headers_of_version_2_of_the_store_are_read() -> None:
    given = ["session", "to", None, None, "partition"]
    for sections in (b"\x00Ss\n", None):
        more = [] if sections is None else [b64encode(sections).decode()]
        headers = orjson.dumps([*given, *more]).decode()
        read = rows.decode(("id", None, None, None, headers, None, b""))
        assert (read.session_id, read.to, read.partition_key, read.amqp) == (
            "session",
            "to",
            "partition",
            sections,
        )


@pytest.mark.parametrize("partition_key", [None, "a\nb"])
@pytest.mark.parametrize("sections", [None, b"", b"\n\x00\n"])
def test_headers_and_sections_are_kept(partition_key: str | None, sections: bytes | None) -> None:
    sent = Message(body=b"", message_id="id", partition_key=partition_key, amqp=sections)
    content, _ = rows.encode(sent)
    assert rows.decode(content) == sent


class Crash(Exception):
    pass


class Journal:
    """What was asked for, and what was answered. The last thing asked for may have happened or not."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()

    async def did[R](self, event: str, work: "asyncio.Future[R] | asyncio.Task[R]", by: int = 1) -> R:
        self.asked[event] += by
        result = await work
        self.answered[event] += by
        return result


async def a_day_at_work(bus: Bus, journal: Journal) -> None:
    """Commands and events, of which some fail, are put off, or are taken back."""

    def did(event: str, work, by: int = 1):
        return journal.did(event, asyncio.ensure_future(work), by)

    for number in range(4):
        await did("work", bus.send("work", f"{number}"))
    await did("events", bus.send("events", "a", "b", subject="shipped"), 2)
    later = await did("work", bus.send("work", "x", "y", scheduled_for=bus.clock.time() + 5), 2)
    await did("cancelled", bus.engine.cancel_scheduled("work", later[:1]))
    held = await bus.receive("work", 3)
    await did("completed", bus.engine.complete("work", [held[0].lock_token]))
    await did("dead", bus.engine.dead_letter("work", [held[1].lock_token], "reason", ""))
    await bus.engine.abandon("work", [held[2].lock_token])
    await asyncio.sleep(6)
    for message in await bus.receive("work"):
        await did("completed", bus.engine.complete("work", [message.lock_token]))


async def crashed_after(commits: int, folder: Path) -> Journal | None:
    """Work until the crash; None when the work was done before so many commits."""
    crashed = asyncio.Event()

    def after_commit(number: int) -> None:
        if number == commits:
            crashed.set()
            raise Crash

    journal = Journal()

    async def life() -> None:
        async with opened(folder, after_commit=after_commit) as bus:
            await a_day_at_work(bus, journal)

    living = asyncio.ensure_future(life())
    waiting = asyncio.ensure_future(crashed.wait())
    await asyncio.wait([living, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if living.done():
        living.result()
        return None
    living.cancel()
    await asyncio.wait([living])
    return journal


def test_what_was_acknowledged_is_there_after_a_crash_at_any_commit(tmp_path: Path) -> None:
    for commits in range(1, 100):
        folder = tmp_path / str(commits)
        folder.mkdir()

        async def scenario(folder: Path = folder, commits: int = commits) -> bool:
            journal = await crashed_after(commits, folder)
            if journal is None:
                return True
            async with opened(folder) as bus:
                accounts = {
                    "work": bus.account("work").accepted,
                    "events": bus.account(ALL).accepted,
                    "completed": bus.account("work").completed,
                    "dead": bus.account("work" + DEAD).accepted,
                    "cancelled": bus.account("work").cancelled,
                }
                assert bus.account(SHIPPED).accepted == accounts["events"]
                for event, number in accounts.items():
                    assert journal.answered[event] <= number <= journal.asked[event], (commits, event)
                await asyncio.sleep(20)
                free = len(await bus.receive("work"))
                assert free == bus.account("work").held
            return False

        if run_simulated(scenario()):
            assert commits > 15
            return
    pytest.fail("the work never came to its end")


CLIENTS = 16

CHILD = """
import asyncio, sys
from pathlib import Path
from tests.emulator.test_servicebus_recovery import serve_until_killed
asyncio.run(serve_until_killed(Path(sys.argv[1])))
"""


async def serve_until_killed(folder: Path) -> None:
    """Print each message id once its send is acknowledged, and `done` and its id once it is completed."""
    store = Store(folder / "store.db", schema=SCHEMA)
    engine = ServiceBusEngine(store, SystemClock(), Random(1), TOPOLOGY, Metrics())
    await engine.start()

    async def client(name: int) -> None:
        number = 0
        while True:
            number += 1
            await engine.send("patient", [Message(b"x" * 500, f"{name}-{number}")])
            print(f"sent {name}-{number}", flush=True)  # noqa: T201  (the parent reads it)
            if number % 2:
                for message in await engine.receive("patient", 1, "child"):
                    await engine.complete("patient", [message.lock_token])
                    print(f"done {message.message_id}", flush=True)  # noqa: T201

    await asyncio.gather(*(client(name) for name in range(CLIENTS)))


def test_a_killed_process_loses_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert child.stdout is not None
    lines = []
    with child.stdout:
        for line in child.stdout:
            lines.append(line.split())
            if len(lines) == 400:
                os.kill(child.pid, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    sent = {name for kind, name in lines if kind == "sent"}
    done = {name for kind, name in lines if kind == "done"}

    async def look() -> None:
        async with opened(tmp_path) as bus:
            there = {message.message_id for message in bus.engine.peek("patient", 0, 1_000_000)}
            account = bus.account("patient")
            assert account.accepted >= len(sent)
            assert not done & there
            # Completed, and killed before it could say so: one for each client at most.
            unsaid = account.completed - len(done)
            assert 0 <= unsaid <= CLIENTS
            assert len(sent - done - there) <= unsaid

    run_simulated(look())


@simulated
async def test_engines_on_one_store_compete_and_none_gets_the_message_of_another(tmp_path: Path) -> None:
    async with opened(tmp_path) as one, opened(tmp_path, seed=2) as two:
        await one.send("patient", *(str(number) for number in range(100)))
        got: Counter[str] = Counter()

        async def consume(bus: Bus) -> None:
            while messages := await bus.receive("patient", 3):
                got.update(message.message_id for message in messages)
                await bus.engine.complete("patient", [message.lock_token for message in messages])

        await asyncio.gather(*(consume(bus) for bus in (one, two, one, two)))
        assert got == Counter(str(number) for number in range(100))
        assert one.account("patient").completed == 100


@simulated
async def test_who_loses_a_race_gets_others_in_order_instead(tmp_path: Path) -> None:
    async with opened(tmp_path) as one, opened(tmp_path, seed=2) as two:
        await one.send("patient", *"abcdefgh")
        first, second = await asyncio.gather(one.receive("patient", 2), two.receive("patient", 5))
        assert [message.message_id for message in first] == ["a", "b"]
        assert [message.message_id for message in second] == ["c", "d", "e", "f", "g"]


@simulated
async def test_any_engine_settles_what_another_has_locked(tmp_path: Path) -> None:
    async with opened(tmp_path) as one, opened(tmp_path, seed=2) as two:
        await one.send("work", "a", "b")
        a, b = await one.receive("work")
        await two.engine.renew("work", [a.lock_token])
        await two.engine.complete("work", [a.lock_token, b.lock_token])
        with pytest.raises(MessageLockLost):
            await one.engine.complete("work", [a.lock_token])


@simulated
async def test_the_messages_of_a_dead_engine_come_again_elsewhere(tmp_path: Path) -> None:
    async with AsyncExitStack() as dying, opened(tmp_path, seed=2) as two:
        one = await dying.enter_async_context(opened(tmp_path))
        await one.send("work", "a")
        await one.send("work", "later", scheduled_for=one.clock.time() + 3)
        await one.receive("work", 1)
        one.store.stop(Crash())
        await asyncio.sleep(4.5)
        assert await two.bodies("work") == ["later"]
        await asyncio.sleep(6.5)
        [again] = await two.receive("work")
        assert (again.body, again.delivery_count) == (b"a", 1)


@simulated
async def test_a_lost_completion_brings_the_message_again(tmp_path: Path) -> None:
    async with opened(tmp_path, faults=Faults(Random(5), redeliver=0.4)) as bus:
        await bus.send("patient", *(str(number) for number in range(50)))
        got: Counter[str] = Counter()
        while bus.account("patient").held:
            for message in await bus.receive("patient", 7):
                got[message.message_id] += 1
                await bus.engine.complete("patient", [message.lock_token])
            await asyncio.sleep(1)
        assert set(got) == {str(number) for number in range(50)}
        assert max(got.values()) > 1
        assert bus.account("patient").completed == 50


@pytest.mark.parametrize("at_once", [1, 10])
@simulated
async def test_reordered_messages_all_come_but_in_another_order(tmp_path: Path, at_once: int) -> None:
    async with opened(tmp_path, faults=Faults(Random(5), reorder=0.5, reorder_by_s=2)) as bus:
        sent = [str(number) for number in range(50)]
        for bodies in batched(sent, at_once, strict=True):
            await bus.send("patient", *bodies)
        got = []
        for _ in range(30):
            got += await bus.bodies("patient")
            await asyncio.sleep(0.1)
        assert got != sent
        assert sorted(got) == sorted(sent)
