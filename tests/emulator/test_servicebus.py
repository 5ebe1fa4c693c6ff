"""What the Service Bus engine does with a message, case by case: sent, received, settled."""

import uuid
from pathlib import Path

import pytest

from emulator.servicebus.errors import (
    EntityNotFound,
    MessageLockLost,
    MessageTooLarge,
    ServiceBusError,
)
from emulator.servicebus.messages import Message
from emulator.servicebus.topology import Topology
from tests.emulator.servicebus_support import ALL, DEAD, TOPOLOGY, opened, simulated


@simulated
async def test_messages_come_in_the_order_of_their_sequence_numbers(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        told = await bus.send("work", "a", "b")
        told += await bus.send("work", "c")
        held = await bus.receive("work")
        assert [message.body for message in held] == [b"a", b"b", b"c"]
        assert [message.sequence_number for message in held] == told == sorted(set(told))


@simulated
async def test_a_message_is_received_as_it_was_sent(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        sent = Message(
            body=b"\x00\xff",
            message_id="id",
            subject="s",
            correlation_id="c",
            content_type="t",
            session_id="session",
            to="to",
            reply_to="r",
            reply_to_session_id="rs",
            partition_key="p",
            properties={"text": "ü", "whole": 2**53, "part": 0.5, "yes": True, "none": None},
        )
        await bus.engine.send("work", [sent])
        [held] = await bus.receive("work")
        for field in Message.__dataclass_fields__:
            if field != "time_to_live_s":
                assert getattr(held, field) == getattr(sent, field), field
        assert held.enqueued_at == bus.clock.time()
        assert held.expires_at == held.enqueued_at + 100
        assert held.locked_until == held.enqueued_at + 10
        assert held.delivery_count == 0
        assert str(uuid.UUID(held.lock_token)) == held.lock_token


@simulated
async def test_a_locked_message_is_not_given_to_anybody_else(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        await bus.send("work", "a", "b", "c")
        assert len(await bus.receive("work", 2)) == 2
        assert await bus.bodies("work") == ["c"]
        assert await bus.bodies("work") == []


@simulated
async def test_an_empty_receive_writes_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        commits = bus.store.commits
        assert await bus.receive("work") == []
        assert await bus.receive(ALL) == []
        assert bus.store.commits == commits


@simulated
async def test_an_abandoned_message_comes_again_at_once_and_in_its_old_place(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        await bus.send("work", "a", "b")
        [first] = await bus.receive("work", 1)
        await bus.engine.abandon("work", [first.lock_token])
        again = await bus.receive("work")
        assert [(message.body, message.delivery_count) for message in again] == [(b"a", 1), (b"b", 0)]


@simulated
async def test_a_lock_settles_once(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        await bus.send("work", "a")
        [held] = await bus.receive("work")
        await bus.engine.complete("work", [held.lock_token])
        for settle in (bus.engine.complete, bus.engine.abandon, bus.engine.renew):
            with pytest.raises(MessageLockLost):
                await settle("work", [held.lock_token])
        with pytest.raises(MessageLockLost):
            await bus.engine.dead_letter("work", [held.lock_token], "reason", "")
        assert bus.account("work").completed == 1


@simulated
async def test_one_lost_lock_does_not_keep_the_others_from_being_settled(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        await bus.send("work", "a", "b")
        a, b = await bus.receive("work")
        with pytest.raises(MessageLockLost) as lost:
            await bus.engine.complete("work", [a.lock_token, "not-a-token", b.lock_token])
        assert lost.value.tokens == ("not-a-token",)
        assert bus.account("work").completed == 2


@simulated
async def test_a_lock_holds_in_its_own_queue_only(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        await bus.send("work", "a")
        [held] = await bus.receive("work")
        for path in ("patient", "work" + DEAD):
            with pytest.raises(MessageLockLost):
                await bus.engine.complete(path, [held.lock_token])


@simulated
async def test_peeking_shows_what_lies_there_and_locks_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        await bus.send("work", "locked", "free")
        await bus.send("work", "later", scheduled_for=bus.clock.time() + 60)
        await bus.receive("work", 1)
        commits = bus.store.commits
        peeked = bus.engine.peek("work", 0, 10)
        assert [(each.body, each.state) for each in peeked] == [
            (b"locked", "active"),
            (b"free", "active"),
            (b"later", "scheduled"),
        ]
        assert peeked[2].scheduled_for == bus.clock.time() + 60
        assert bus.engine.peek("work", peeked[1].sequence_number, 1) == peeked[1:2]
        assert bus.store.commits == commits


@simulated
async def test_paths_ignore_case(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        await bus.send("WORK", "a")
        await bus.send("Events", "b")
        assert await bus.bodies("Work") == ["a"]
        assert await bus.bodies("events/subscriptions/ALL") == ["b"]
        assert await bus.bodies("work/$deadletterqueue") == []
        assert bus.account("work").held == 1
        assert bus.metrics.counts["messages", "work"] == 1


@simulated
async def test_entities_that_are_not_there_or_of_another_kind_are_refused(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        for path in ("nowhere", ALL, "work" + DEAD, ""):
            with pytest.raises(EntityNotFound):
                await bus.send(path, "a")
        for path in ("nowhere", "events", "events/Subscriptions/nobody", "events" + DEAD):
            with pytest.raises(EntityNotFound):
                await bus.receive(path)


@simulated
async def test_the_limit_is_256_kib_with_properties_and_for_all_of_a_call(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        await bus.send("patient", "x" * (256 * 1024 - 2), message_id="1")
        for bodies, fields in (
            (["x" * (256 * 1024)], {}),
            (["x"], {"properties": {"big": "x" * 256 * 1024}}),
            (["x"], {"correlation_id": "ü" * 128 * 1024}),
            (["x" * 200_000, "y" * 200_000], {}),
        ):
            with pytest.raises(MessageTooLarge):
                await bus.send("patient", *bodies, **{"message_id": "2", **fields})
        assert bus.account("patient").accepted == 1


@simulated
async def test_a_queue_that_left_the_topology_with_messages_in_it_is_named(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        await bus.send("notes", "a")
    smaller = Topology(TOPOLOGY.queues[:1], TOPOLOGY.topics)
    with pytest.raises(ServiceBusError, match="1 messages of 'notes'"):
        async with opened(tmp_path, topology=smaller):
            pass


@simulated
async def test_a_new_queue_joins_those_of_an_older_store(tmp_path: Path) -> None:
    async with opened(tmp_path, topology=Topology(TOPOLOGY.queues[:1])) as bus:
        await bus.send("work", "a")
    async with opened(tmp_path) as bus:
        await bus.send("notes", "b")
        assert await bus.bodies("work") == ["a"]
        assert await bus.bodies("notes") == ["b"]


@simulated
async def test_the_same_seed_gives_the_same_lock_tokens(tmp_path: Path) -> None:
    tokens = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        async with opened(tmp_path / name, seed=7) as bus:
            await bus.send("work", "a", "b")
            tokens.append([message.lock_token for message in await bus.receive("work")])
    assert tokens[0] == tokens[1]
    assert len(set(tokens[0])) == 2
