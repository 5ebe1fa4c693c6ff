"""Topics, their subscriptions, and duplicate detection."""

import asyncio
from pathlib import Path

from emulator.servicebus.topology import Topology
from tests.emulator.servicebus_support import ALL, SHIPPED, TOPOLOGY, opened, simulated


@simulated
async def test_a_topic_gives_each_subscription_that_takes_it_one_copy(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        await bus.send("events", "a", subject="shipped", properties={"urgent": "yes"})
        await bus.send("events", "b", subject="created", properties={"urgent": "yes"})
        await bus.send("events", "c", subject="created")
        held = {path: await bus.receive(path) for path in (ALL, SHIPPED)}
        assert [message.body for message in held[ALL]] == [b"a", b"b", b"c"]
        assert [message.body for message in held[SHIPPED]] == [b"a", b"b"]
        for one, other in zip(held[SHIPPED], held[ALL], strict=False):
            assert one.enqueue_sequence_number == other.enqueue_sequence_number
        await bus.engine.complete(ALL, [message.lock_token for message in held[ALL]])
        assert bus.account(ALL).completed == 3
        assert bus.account(SHIPPED).held == 2
        assert bus.metrics.counts["messages", "events"] == 3


@simulated
async def test_a_scheduled_message_of_a_topic_waits_in_the_topic(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        await bus.send("events", "a", subject="shipped", scheduled_for=bus.clock.time() + 5)
        [number] = await bus.send("events", "b", subject="shipped", scheduled_for=bus.clock.time() + 5)
        assert [(each.body, each.state) for each in bus.engine.peek("events", 0, 10)] == [
            (b"a", "scheduled"),
            (b"b", "scheduled"),
        ]
        await bus.engine.cancel_scheduled("events", [number])
        await asyncio.sleep(6)
        assert await bus.bodies(ALL) == ["a"]
        assert await bus.bodies(SHIPPED) == ["a"]
        topic = bus.account("events")
        assert (topic.accepted, topic.completed, topic.cancelled, topic.held) == (2, 1, 1, 0)


@simulated
async def test_a_message_that_no_subscription_takes_is_counted_nowhere(tmp_path: Path) -> None:
    only_shipped = Topology(
        topics=tuple(
            type(topic)(topic.name, None, None, topic.subscriptions[1:]) for topic in TOPOLOGY.topics
        )
    )
    async with opened(tmp_path, topology=only_shipped) as bus:
        assert await bus.send("events", "a", subject="created") == [0]
        assert bus.account("events").accepted == 0
        assert bus.account(SHIPPED).accepted == 0


@simulated
async def test_a_duplicate_within_the_window_is_dropped_and_counted_apart(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        await bus.send("events", "a", "a", "b")
        await asyncio.sleep(29)
        assert await bus.send("events", "a") == [0]
        assert await bus.bodies(ALL) == ["a", "b"]
        assert bus.account("events").duplicates == 2
        await asyncio.sleep(2)
        await bus.send("events", "a")
        assert "a" in await bus.bodies(ALL)


@simulated
async def test_a_queue_without_duplicate_detection_takes_the_same_message_twice(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        await bus.send("work", "a", "a")
        assert await bus.bodies("work") == ["a", "a"]


@simulated
async def test_message_ids_are_forgotten_once_the_window_is_over(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        await bus.send("events", *(str(number) for number in range(50)))
        await asyncio.sleep(40)
        assert bus.store.read("SELECT count(*) FROM bus_seen") == [(0,)]
