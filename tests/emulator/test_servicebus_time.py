"""What time does to a message: locks that end, messages that expire, messages for later."""

import asyncio
from pathlib import Path

import pytest

from emulator.servicebus.errors import (
    InvalidOperation,
    MessageLockLost,
    MessageNotFound,
    ServerBusy,
)
from tests.emulator.servicebus_support import ALL, DEAD, SHIPPED, Bus, opened, simulated


async def woken(bus: Bus, path: str, seconds: float) -> list[float]:
    """After how many seconds receivers of the path were woken."""
    started = bus.clock.time()
    wakes: list[float] = []
    bus.store.listen(f"queue:{path}", lambda: wakes.append(round(bus.clock.time() - started, 1)) or True)
    await asyncio.sleep(seconds)
    return wakes


@simulated
async def test_an_idle_engine_writes_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        await bus.send("patient", "a")
        commits = bus.store.commits
        await asyncio.sleep(600)
        assert bus.store.commits == commits


@simulated
async def test_a_lock_ends_after_its_duration_and_the_message_comes_again(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        await bus.send("work", "a")
        [first] = await bus.receive("work")
        assert await woken(bus, "work", 9.9) == []
        assert await bus.bodies("work") == []
        await asyncio.sleep(0.2)
        [second] = await bus.receive("work")
        assert (second.sequence_number, second.delivery_count) == (first.sequence_number, 1)
        assert second.lock_token != first.lock_token
        with pytest.raises(MessageLockLost):
            await bus.engine.complete("work", [first.lock_token])
        await bus.engine.complete("work", [second.lock_token])


@simulated
async def test_receivers_are_woken_at_the_moment_a_lock_ends(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        await bus.send("work", "a")
        await bus.receive("work")
        assert await woken(bus, "work", 15) == [10.0]


@simulated
async def test_a_renewed_lock_ends_later(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        await bus.send("work", "a")
        [held] = await bus.receive("work")
        await asyncio.sleep(8)
        assert await bus.engine.renew("work", [held.lock_token]) == pytest.approx(
            bus.clock.time() + 10, abs=0.002
        )
        await asyncio.sleep(8)
        await bus.engine.complete("work", [held.lock_token])
        assert bus.account("work").completed == 1


@simulated
async def test_a_lock_that_ended_cannot_be_renewed(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        await bus.send("work", "a")
        [held] = await bus.receive("work")
        await asyncio.sleep(11)
        with pytest.raises(MessageLockLost):
            await bus.engine.renew("work", [held.lock_token])


@simulated
async def test_a_message_that_failed_too_often_becomes_a_dead_letter(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        await bus.send("work", "a")
        for _ in range(3):
            [held] = await bus.receive("work")
            await bus.engine.abandon("work", [held.lock_token])
        assert await bus.bodies("work") == []
        [dead] = await bus.receive("work" + DEAD)
        assert (dead.body, dead.dead_letter_reason) == (b"a", "MaxDeliveryCountExceeded")
        assert dead.delivery_count == 3
        await bus.engine.complete("work" + DEAD, [dead.lock_token])
        assert bus.account("work").dead_lettered == 1
        assert bus.account("work" + DEAD).completed == 1


@simulated
async def test_locks_that_end_count_as_failed_deliveries(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        await bus.send("work", "a")
        for _ in range(3):
            assert await bus.bodies("work") == ["a"]
            await asyncio.sleep(10.1)
        assert await bus.bodies("work") == []
        assert await bus.bodies("work" + DEAD) == ["a"]


@simulated
async def test_a_dead_letter_stays_whatever_happens_to_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        await bus.send("work", "a")
        [held] = await bus.receive("work")
        await bus.engine.dead_letter("work", [held.lock_token], "Broken", "no such field")
        for count in range(30):
            [dead] = await bus.receive("work" + DEAD)
            assert dead.delivery_count == count
            assert (dead.dead_letter_reason, dead.dead_letter_description) == ("Broken", "no such field")
            assert dead.expires_at is None
            await bus.engine.abandon("work" + DEAD, [dead.lock_token])
        await asyncio.sleep(10_000)
        [dead] = await bus.receive("work" + DEAD)
        with pytest.raises(InvalidOperation):
            await bus.engine.dead_letter("work" + DEAD, [dead.lock_token], "again", "")


@simulated
async def test_an_expired_message_becomes_a_dead_letter_where_the_queue_says_so(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        await bus.send("work", "a")
        await asyncio.sleep(99)
        await bus.send("work", "b")
        await asyncio.sleep(2)
        assert await bus.bodies("work") == ["b"]
        [dead] = await bus.receive("work" + DEAD)
        assert (dead.body, dead.dead_letter_reason) == (b"a", "TTLExpiredException")


@simulated
async def test_an_expired_message_is_dropped_and_counted_elsewhere(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        await bus.send("notes", "a")
        await asyncio.sleep(61)
        assert await bus.bodies("notes") == []
        assert await bus.bodies("notes" + DEAD) == []
        assert bus.account("notes").expired == 1


@simulated
async def test_a_locked_message_does_not_expire_before_its_lock_ends(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        await bus.send("work", "a", time_to_live_s=5)
        [held] = await bus.receive("work")
        await asyncio.sleep(9)
        await bus.engine.complete("work", [held.lock_token])
        await bus.send("work", "b", time_to_live_s=5)
        await bus.receive("work")
        await asyncio.sleep(10.1)
        assert await bus.bodies("work") == []
        assert await bus.bodies("work" + DEAD) == ["b"]


@simulated
async def test_the_shortest_time_to_live_counts(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        await bus.send("work", "a", time_to_live_s=1000)
        await bus.send("events", "b", subject="shipped")
        now = bus.clock.time()
        assert [message.expires_at for message in await bus.receive("work")] == [now + 100]
        assert [message.expires_at for message in await bus.receive(ALL)] == [now + 80]
        assert [message.expires_at for message in await bus.receive(SHIPPED)] == [now + 40]


@simulated
async def test_a_scheduled_message_comes_at_its_time_with_a_new_number(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        [number] = await bus.send("work", "later", scheduled_for=bus.clock.time() + 60)
        await bus.send("work", "now")
        assert await bus.bodies("work") == ["now"]
        assert await woken(bus, "work", 59.9) == [10.0]
        assert await bus.bodies("work") == ["now"]
        await asyncio.sleep(0.2)
        [held] = await bus.receive("work")
        assert held.body == b"later"
        assert held.sequence_number > number
        assert held.enqueued_at == pytest.approx(bus.clock.time(), abs=0.2)
        assert held.expires_at == pytest.approx(bus.clock.time() + 100, abs=0.2)


@simulated
async def test_a_message_scheduled_for_the_past_comes_at_once(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        await bus.send("work", "a", scheduled_for=bus.clock.time() - 60)
        assert await bus.bodies("work") == ["a"]


@simulated
async def test_a_cancelled_message_never_comes(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        numbers = await bus.send("work", "a", "b", scheduled_for=bus.clock.time() + 5)
        await bus.engine.cancel_scheduled("work", numbers[:1])
        await asyncio.sleep(6)
        assert await bus.bodies("work") == ["b"]
        assert bus.account("work").cancelled == 1
        with pytest.raises(MessageNotFound):
            await bus.engine.cancel_scheduled("work", numbers[1:])


@simulated
async def test_cancelling_is_all_or_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        numbers = await bus.send("work", "a", scheduled_for=bus.clock.time() + 5)
        with pytest.raises(MessageNotFound, match="12345"):
            await bus.engine.cancel_scheduled("work", [*numbers, 12345])
        await asyncio.sleep(6)
        assert await bus.bodies("work") == ["a"]


@simulated
async def test_sending_fails_until_the_moment_it_was_told(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        bus.engine.fail_until(bus.clock.time() + 30)
        with pytest.raises(ServerBusy):
            await bus.send("work", "a")
        await asyncio.sleep(29)
        with pytest.raises(ServerBusy):
            await bus.send("work", "a")
        await asyncio.sleep(1.1)
        await bus.send("work", "b")
        assert await bus.bodies("work") == ["b"]
