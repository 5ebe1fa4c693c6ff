"""The store shared by real processes, some of them killed."""

import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import groupby
from pathlib import Path
from random import Random

import pytest

from emulator.store import Store
from emulator.turnstile import Turnstile
from tests.emulator.store_process import NUMBERS_PER_INSTANCE, WRITERS
from tests.emulator.store_support import SCHEMA, insert, numbers

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@contextmanager
def process(role: str, folder: Path, instance: int = 0) -> Iterator[subprocess.Popen[bytes]]:
    """Killed with SIGKILL at the end, if it still runs."""
    arguments = [sys.executable, "-m", "tests.emulator.store_process", role, str(folder), str(instance)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as child:
        try:
            yield child
        finally:
            child.kill()


def line(child: subprocess.Popen[bytes]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().decode()


def let_go(child: subprocess.Popen[bytes]) -> None:
    assert child.stdin is not None
    child.stdin.write(b"go\n")
    child.stdin.flush()


async def stored(folder: Path) -> list[int]:
    store = Store(folder / "store", schema=SCHEMA)
    found = numbers(store)
    await store.close()
    return found


async def writers_in_order(folder: Path) -> list[int]:
    """The instance of each write, one after the other."""
    store = Store(folder / "store", schema=SCHEMA)
    rows = store.read("SELECT n FROM numbers ORDER BY blob")
    await store.close()
    return [n // NUMBERS_PER_INSTANCE for (n,) in rows]


async def test_what_was_acknowledged_survives_kill_9_at_any_moment(tmp_path: Path) -> None:
    random = Random(1)
    acknowledged: set[int] = set()
    for _ in range(4):
        with process("write", tmp_path) as child:
            assert line(child) == "ready\n"
            let_go(child)
            for _ in range(random.randint(1, 400)):
                acknowledged.add(int(line(child)))
            child.kill()
            assert child.stdout is not None
            # A kill may cut the last line short; a number that is cut is not one that was acknowledged.
            acknowledged.update(int(rest) for rest in child.stdout if rest.endswith(b"\n"))
    found = await stored(tmp_path)
    assert acknowledged <= set(found)
    assert len(found) < len(acknowledged) + 4 * 8 + 1  # beside them only what was in flight


async def test_processes_that_write_all_the_time_share_the_turn_and_lose_nothing(tmp_path: Path) -> None:
    acknowledged: list[int] = []

    def follow(child: subprocess.Popen[bytes]) -> None:
        while len(acknowledged) < 6000:
            acknowledged.append(int(line(child)))

    with ExitStack() as stack:
        children = [stack.enter_context(process("write", tmp_path, instance)) for instance in range(2)]
        assert [line(child) for child in children] == ["ready\n"] * 2
        for child in children:
            let_go(child)
        await asyncio.gather(*(asyncio.to_thread(follow, child) for child in children))
    assert set(acknowledged) <= set(await stored(tmp_path))
    shares = Counter(n // NUMBERS_PER_INSTANCE for n in acknowledged)
    assert min(shares.values()) > 0.5 * max(shares.values()), shares
    turns = [len(list(writes)) for _, writes in groupby(await writers_in_order(tmp_path))]
    # A turn of one commits what its writers want. Without the turnstile one goes on for some hundred commits.
    assert sum(turns) / len(turns) < 3 * WRITERS, turns


async def test_when_a_process_is_killed_in_its_turn_the_others_go_on(tmp_path: Path) -> None:
    turn = Turnstile(tmp_path)
    store = Store(tmp_path / "store", schema=SCHEMA, turn=turn)
    with process("sit", tmp_path) as child:
        assert await asyncio.to_thread(line, child) == "in the turn\n"
        write = asyncio.create_task(store.write(insert(1)))
        done, _ = await asyncio.wait([write], timeout=0.1)
        assert not done
        child.kill()
        assert await asyncio.wait_for(write, 10) == 1
    await store.close()
    turn.close()


def test_processes_may_open_a_new_store_at_once(tmp_path: Path) -> None:
    """Again and again: SQLite refuses one of four in every sixth attempt, unless it is asked again."""
    command = [sys.executable, "-m", "tests.emulator.open_at_once"]
    with ExitStack() as stack:
        children = [
            stack.enter_context(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
            )
            for _ in range(4)
        ]
        for attempt in range(60):
            for child in children:
                assert child.stdin is not None
                child.stdin.write(f"{tmp_path / str(attempt)}\n".encode())
                child.stdin.flush()
            assert [line(child) for child in children] == ["open\n"] * 4
        for child in children:
            assert child.stdin is not None
            child.stdin.close()
        assert [child.wait(30) for child in children] == [0] * 4
