"""Messages set aside, and messages taken without a lock.

The rules of deferral are those that the tests of Microsoft's own clients expect of the service
(Azure/azure-sdk-for-js, sdk/servicebus/service-bus/test/public/deferredMessage.spec.ts).
"""

import asyncio
from pathlib import Path

import pytest

from emulator.servicebus.errors import EntityNotFound, MessageLockLost, MessageNotFound
from tests.emulator.servicebus_support import ALL, DEAD, Bus, opened, simulated


async def deferred(bus: Bus, path: str, limit: int = 100) -> list[int]:
    """Receive and defer: their sequence numbers."""
    held = await bus.receive(path, limit)
    await bus.engine.defer(path, [message.lock_token for message in held])
    return [message.sequence_number for message in held]


@simulated
async def test_a_deferred_message_comes_only_to_who_asks_for_its_number(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        await bus.send("patient", "a", "b")
        [number] = await deferred(bus, "patient", 1)
        assert await bus.bodies("patient") == ["b"]
        [again] = await bus.engine.receive_deferred("patient", [number], "test")
        assert (again.body, again.state, again.sequence_number) == (b"a", "deferred", number)
        assert again.delivery_count == 1
        assert again.locked_until == bus.clock.time() + 30
        await bus.engine.complete("patient", [again.lock_token])
        assert bus.account("patient").completed == 1


@simulated
async def test_deferred_messages_come_in_the_order_asked_for_and_once_each(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        await bus.send("patient", "a", "b", "c")
        a, b, c = await deferred(bus, "patient")
        held = await bus.engine.receive_deferred("patient", [c, a, c, b], "test")
        assert [message.body for message in held] == [b"c", b"a", b"b"]


@simulated
async def test_one_number_that_is_not_deferred_keeps_all_from_being_locked(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        await bus.send("patient", "a", "b", "free")
        a, b = await deferred(bus, "patient", 2)
        free = bus.engine.peek("patient", 0, 10)[2].sequence_number
        await bus.engine.receive_deferred("patient", [b], "test")
        for other in (b, free, 12345, -1, 2**63 - 1):
            with pytest.raises(MessageNotFound, match=str(other)):
                await bus.engine.receive_deferred("patient", [a, other], "test")
            with pytest.raises(MessageNotFound, match=str(other)):
                await bus.engine.receive_and_delete_deferred("patient", [a, other])
        with pytest.raises(MessageNotFound):
            await bus.engine.receive_deferred("work", [a], "test")
        with pytest.raises(EntityNotFound):
            await bus.engine.receive_deferred("nowhere", [a], "test")
        assert len(await bus.engine.receive_deferred("patient", [a], "test")) == 1


@simulated
async def test_a_deferred_message_that_is_given_back_stays_deferred(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        await bus.send("patient", "a")
        [number] = await deferred(bus, "patient")
        for settle, deliveries in (
            (bus.engine.abandon, 1),
            (bus.engine.defer, 2),
            (bus.engine.release, 3),
            (bus.engine.release, 3),
        ):
            [held] = await bus.engine.receive_deferred("patient", [number], "test")
            assert held.delivery_count == deliveries
            await settle("patient", [held.lock_token])
            assert await bus.bodies("patient") == []
            with pytest.raises(MessageLockLost):
                await settle("patient", [held.lock_token])


@simulated
async def test_a_deferred_message_whose_lock_ends_stays_deferred(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        await bus.send("patient", "a")
        [number] = await deferred(bus, "patient")
        [held] = await bus.engine.receive_deferred("patient", [number], "test")
        await asyncio.sleep(20)
        await bus.engine.renew("patient", [held.lock_token])
        await asyncio.sleep(29)
        with pytest.raises(MessageNotFound):
            await bus.engine.receive_deferred("patient", [number], "test")
        await asyncio.sleep(1.1)
        assert await bus.bodies("patient") == []
        [again] = await bus.engine.receive_deferred("patient", [number], "test")
        assert again.delivery_count == 2


@simulated
async def test_a_deferred_message_can_be_dead_lettered(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        await bus.send("patient", "a")
        [number] = await deferred(bus, "patient")
        [held] = await bus.engine.receive_deferred("patient", [number], "test")
        await bus.engine.dead_letter("patient", [held.lock_token], "Broken", "no such field")
        [dead] = await bus.receive("patient" + DEAD)
        assert (dead.dead_letter_reason, dead.state, dead.delivery_count) == ("Broken", "active", 1)
        assert bus.account("patient").dead_lettered == 1


@simulated
async def test_a_dead_letter_can_be_deferred(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        await bus.send("patient", "a")
        [held] = await bus.receive("patient")
        await bus.engine.dead_letter("patient", [held.lock_token], "Broken", "")
        [number] = await deferred(bus, "patient" + DEAD)
        assert await bus.bodies("patient" + DEAD) == []
        [again] = await bus.engine.receive_deferred("patient" + DEAD, [number], "test")
        await bus.engine.complete("patient" + DEAD, [again.lock_token])
        assert bus.account("patient" + DEAD).completed == 1


@simulated
async def test_to_defer_counts_as_a_delivery_and_the_last_one_makes_a_dead_letter(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        await bus.send(ALL.split("/", maxsplit=1)[0], "a")
        [number] = await deferred(bus, ALL)
        [held] = await bus.engine.receive_deferred(ALL, [number], "test")
        await bus.engine.defer(ALL, [held.lock_token])
        [dead] = await bus.receive(ALL + DEAD)
        assert (dead.dead_letter_reason, dead.delivery_count) == ("MaxDeliveryCountExceeded", 2)


@simulated
async def test_an_expired_deferred_message_stays_until_it_is_asked_for(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        await bus.send("work", "a")
        await bus.send("notes", "b")
        [a], [b] = await deferred(bus, "work"), await deferred(bus, "notes")
        commits = bus.store.commits
        await asyncio.sleep(500)
        assert bus.store.commits <= commits + 1  # the message id of the notes is forgotten
        assert [each.state for each in bus.engine.peek("work", 0, 10)] == ["deferred"]
        for path, number in (("work", a), ("notes", b)):
            with pytest.raises(MessageNotFound):
                await bus.engine.receive_deferred(path, [number], "test")
        [dead] = await bus.receive("work" + DEAD)
        assert dead.dead_letter_reason == "TTLExpiredException"
        assert bus.account("notes").expired == 1


@simulated
async def test_a_deferred_message_that_is_given_back_stays_past_its_expiry_too(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        await bus.send("work", "before", "under the lock", time_to_live_s=5)
        before, under = await deferred(bus, "work")
        [held] = await bus.engine.receive_deferred("work", [before], "test")
        await bus.engine.abandon("work", [held.lock_token])
        [held] = await bus.engine.receive_deferred("work", [under], "test")
        await asyncio.sleep(6)
        await bus.engine.release("work", [held.lock_token])
        await asyncio.sleep(60)
        assert [each.state for each in bus.engine.peek("work", 0, 10)] == ["deferred", "deferred"]


@simulated
async def test_a_deferred_message_that_expires_under_its_lock_is_still_settled(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        await bus.send("work", "a", time_to_live_s=5)
        [number] = await deferred(bus, "work")
        [held] = await bus.engine.receive_deferred("work", [number], "test")
        await asyncio.sleep(9)
        await bus.engine.complete("work", [held.lock_token])
        assert bus.account("work").completed == 1


@simulated
async def test_deferred_messages_are_there_after_a_restart(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        await bus.send("patient", "a", "b")
        a, b = await deferred(bus, "patient")
        await bus.engine.receive_deferred("patient", [b], "test")
    await asyncio.sleep(60)
    async with opened(tmp_path) as bus:
        held = await bus.engine.receive_deferred("patient", [a, b], "test")
        assert [(message.body, message.delivery_count) for message in held] == [(b"a", 1), (b"b", 2)]


@simulated
async def test_a_deferred_message_can_be_taken_without_a_lock(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        await bus.send("patient", "a")
        [number] = await deferred(bus, "patient")
        [taken] = await bus.engine.receive_and_delete_deferred("patient", [number])
        assert (taken.body, taken.delivery_count) == (b"a", 1)
        assert bus.account("patient").completed == 1
        assert bus.account("patient").held == 0


@simulated
async def test_receiving_can_delete_at_once(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        await bus.send("work", "a", "b", "c")
        await bus.receive("work", 1)
        assert [message.body for message in await bus.engine.receive_and_delete("work", 1)] == [b"b"]
        assert [message.body for message in await bus.engine.receive_and_delete("work", 9)] == [b"c"]
        commits = bus.store.commits
        assert await bus.engine.receive_and_delete("work", 9) == []
        assert await bus.engine.receive_and_delete("work", 0) == []
        assert bus.store.commits == commits
        assert (bus.account("work").completed, bus.account("work").held) == (2, 1)


@simulated
async def test_what_is_deleted_at_once_goes_to_one_receiver(tmp_path: Path) -> None:
    async with opened(tmp_path) as one, opened(tmp_path, seed=2) as two:
        await one.send("patient", *"abcdefgh")
        taken = await asyncio.gather(
            one.engine.receive_and_delete("patient", 3),
            two.engine.receive_and_delete("patient", 3),
            two.receive("patient", 2),
        )
        assert sorted(message.message_id for some in taken for message in some) == list("abcdefgh")


@simulated
async def test_a_released_message_comes_again_without_a_failed_delivery(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        await bus.send("work", "a", "b")
        [held] = await bus.receive("work", 1)
        await bus.engine.release("work", [held.lock_token])
        again = await bus.receive("work")
        assert [(message.body, message.delivery_count) for message in again] == [(b"a", 0), (b"b", 0)]
        with pytest.raises(MessageLockLost):
            await bus.engine.release("work", [held.lock_token])


@simulated
async def test_peeking_shows_deferred_messages_locked_or_not(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        await bus.send("patient", "a", "b", "c")
        a, _ = await deferred(bus, "patient", 2)
        await bus.engine.receive_deferred("patient", [a], "test")
        assert [(each.body, each.state) for each in bus.engine.peek("patient", 0, 10)] == [
            (b"a", "deferred"),
            (b"b", "deferred"),
            (b"c", "active"),
        ]
