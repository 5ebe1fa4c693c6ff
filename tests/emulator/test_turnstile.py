"""Two turnstiles on one folder in one process exclude each other just as those of two processes."""

import asyncio
import fcntl
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.turnstile import Turnstile


@pytest.fixture
def turnstiles(tmp_path: Path) -> Iterator[tuple[Turnstile, Turnstile, Turnstile]]:
    created = Turnstile(tmp_path), Turnstile(tmp_path), Turnstile(tmp_path)
    yield created
    for turnstile in created:
        turnstile.close()


async def waits(task: asyncio.Task[None]) -> bool:
    done, _ = await asyncio.wait([task], timeout=0.05)
    return not done


async def queued(folder: Path) -> None:
    """Until the one who waits has its place in the queue, which a thread takes for it."""
    with (folder / "turn.queue").open() as queue:
        while True:
            try:
                fcntl.flock(queue, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            fcntl.flock(queue, fcntl.LOCK_UN)
            await asyncio.sleep(0.01)


async def test_one_at_a_time_has_the_turn(turnstiles: tuple[Turnstile, ...]) -> None:
    first, second, _ = turnstiles
    await first.acquire()
    waiting = asyncio.create_task(second.acquire())
    assert await waits(waiting)
    first.release()
    await asyncio.wait_for(waiting, 10)
    second.release()


async def test_who_has_just_had_the_turn_queues_behind_who_waits(
    turnstiles: tuple[Turnstile, ...], tmp_path: Path
) -> None:
    first, second, _ = turnstiles
    await first.acquire()
    waiting = asyncio.create_task(second.acquire())
    await queued(tmp_path)
    first.release()
    again = asyncio.create_task(first.acquire())
    await asyncio.wait_for(waiting, 10)
    assert await waits(again)
    second.release()
    await asyncio.wait_for(again, 10)
    first.release()


async def test_a_wait_that_is_cancelled_does_not_keep_the_turn(turnstiles: tuple[Turnstile, ...]) -> None:
    first, second, third = turnstiles
    await first.acquire()
    given_up = asyncio.create_task(second.acquire())
    assert await waits(given_up)
    given_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await given_up
    first.release()
    await asyncio.wait_for(third.acquire(), 10)
    third.release()
