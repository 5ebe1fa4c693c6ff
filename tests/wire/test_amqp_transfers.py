"""Deliveries to the server and from it: accepted, refused, put together, settled."""

import time
from uuid import UUID

import pytest

from emulator.wire.amqp.performatives import (
    ACCEPTED,
    DETACH,
    DISPOSITION,
    MODIFIED,
    REJECTED,
    RELEASED,
    TRANSFER,
)
from emulator.wire.amqp.values import Described, Symbol, Uint, Ulong
from tests.wire.raw_peer import (
    RECEIVER,
    SENDER,
    RawPeer,
    message,
    performative,
    ready,
    receive,
    section,
    settlement,
    timestamp,
)
from tests.wire.wire_endpoints import DEAD, MAX_DELIVERIES, Wire

pytestmark = pytest.mark.asyncio(loop_scope="session")


class TestSending:
    async def test_each_delivery_is_answered_by_itself(self, shared: Wire, peer: RawPeer, queue: str) -> None:
        await peer.attached(0, SENDER, queue)
        await peer.write(
            peer.transfer_frame(0, message(b"1"))
            + peer.transfer_frame(0, b"no message")
            + peer.transfer_frame(0, message(b"2"), settled=True)
            + peer.transfer_frame(0, message(b"3"))
        )
        answers = [await peer.hear_until(DISPOSITION) for _ in range(3)]
        said = {each.field(1): (each.field(4).descriptor, each.field(3), each.condition) for each in answers}
        base = min(said)
        assert said[base] == (ACCEPTED, True, None)
        assert said[base + 1] == (REJECTED, True, "amqp:decode-error")
        assert len(answers[[a.field(1) for a in answers].index(base + 1)].field(4).value[0].value) == 3
        assert said[base + 3] == (ACCEPTED, True, None)
        assert shared.held(queue) == ["1", "2", "3"]

    async def test_one_that_is_too_large_does_not_spoil_those_that_came_with_it(
        self, shared: Wire, peer: RawPeer, queue: str
    ) -> None:
        await peer.attached(0, SENDER, queue)
        # As AMQP it is within the limit; as the engine counts, its batch is not.
        batch = b"".join(section(0x75, message(b"", "x" * 200)) for _ in range(900))
        await peer.write(
            peer.transfer_frame(0, message(b"1"))
            + b"".join(_parts(peer, batch, 0x80013700))
            + peer.transfer_frame(0, message(b"2"))
        )
        answers = [await peer.hear_until(DISPOSITION) for _ in range(3)]
        assert {each.condition for each in answers} <= {None, "amqp:link:message-size-exceeded"}
        assert [body for body in shared.held(queue) if body] == ["1", "2"]

    async def test_a_message_of_many_frames_is_put_together_or_dropped_when_aborted(
        self, shared: Wire, peer: RawPeer, queue: str
    ) -> None:
        await peer.attached(0, SENDER, queue)
        whole = message(b"x" * 1000)
        await peer.write(peer.transfer_frame(0, whole[:500], more=True))
        await peer.say(TRANSFER, Uint(0), None, None, None, None, True, None, None, None, True)
        for _ in range(2):
            await peer.write(peer.transfer_frame(0, whole[:500], more=True))
            await peer.say(TRANSFER, Uint(0), None, None, None, None, True, payload=whole[500:700])
            await peer.say(TRANSFER, Uint(0), payload=whole[700:])
            await peer.hear_until(DISPOSITION)
        assert shared.held(queue) == ["x" * 1000] * 2

    async def test_an_endless_message_is_not_kept_and_refused_at_its_end(
        self, shared: Wire, peer: RawPeer, queue: str
    ) -> None:
        await peer.attached(0, SENDER, queue)
        await peer.write(peer.transfer_frame(0, b"x" * 60_000, more=True))
        more = performative(TRANSFER, Uint(0), None, None, None, None, True, payload=b"x" * 60_000)
        for _ in range(20):
            await peer.write(more)
        await peer.say(TRANSFER, Uint(0))
        assert (await peer.hear_until(DISPOSITION)).condition == "amqp:link:message-size-exceeded"
        await peer.transfer(0, message())
        assert (await peer.hear_until(DISPOSITION)).condition is None
        assert shared.held(queue) == ["body"]

    async def test_a_settled_message_that_is_refused_costs_the_link(
        self, shared: Wire, peer: RawPeer, queue: str
    ) -> None:
        await peer.attached(0, SENDER, queue)
        await peer.transfer(0, b"no message", settled=True)
        assert (await peer.hear_until(DETACH)).condition == "amqp:decode-error"

    async def test_a_scheduled_message_waits(self, shared: Wire, peer: RawPeer, queue: str) -> None:
        await peer.attached(0, SENDER, queue)
        await peer.transfer(0, message(scheduled_enqueue_time=timestamp(time.time() + 60)))
        await peer.hear_until(DISPOSITION)
        assert [each.state for each in shared.bus.peek(queue, 0, 9)] == ["scheduled"]


def _parts(peer: RawPeer, payload: bytes, format: int) -> list[bytes]:
    frames = [peer.transfer_frame(0, payload[:60_000], more=True, format=format)]
    for at in range(60_000, len(payload), 60_000):
        more = at + 60_000 < len(payload)
        part = payload[at : at + 60_000]
        frames.append(performative(TRANSFER, Uint(0), None, None, None, None, more, payload=part))
    return frames


class TestSettling:
    async def held(self, shared: Wire, peer: RawPeer, queue: str, count: int) -> None:
        """Deliveries 0 to `count`, locked by the peer."""
        await shared.put(queue, *(f"{number}" for number in range(count)))
        await peer.attached(0, RECEIVER, queue, rcv=1)
        await peer.credit(0, count)
        frames = await receive(peer, count)
        assert [each.field(1) for each in frames] == list(range(1, 1 + count))
        assert all(len(each.field(2)) == 16 and each.field(4) is False for each in frames)
        await peer.credit(0, 0, count=count)

    async def answer(self, peer: RawPeer) -> tuple[int, int, str | None]:
        heard = await peer.hear_until(DISPOSITION)
        assert heard.field(0) is False
        assert heard.field(1) == heard.field(2)
        assert heard.field(3) is True
        return heard.field(1), heard.field(4).descriptor, heard.condition

    async def test_each_of_a_range_is_answered_by_itself(
        self, shared: Wire, peer: RawPeer, queue: str
    ) -> None:
        await self.held(shared, peer, queue, 4)
        await peer.settle(1, 3)
        assert [await self.answer(peer) for _ in range(3)] == [(n, ACCEPTED, None) for n in (1, 2, 3)]
        assert shared.held(queue) == ["3"]

    async def test_every_outcome_does_what_it_says(self, shared: Wire, peer: RawPeer, queue: str) -> None:
        await self.held(shared, peer, queue, 6)
        info = {Symbol("DeadLetterReason"): "r", Symbol("DeadLetterErrorDescription"): "d"}
        error = Described(Ulong(0x1D), [Symbol("com.microsoft:dead-letter"), None, info])
        await peer.write(
            settlement(1)
            + settlement(2, state=MODIFIED, fields=[True, False])
            + settlement(3, state=MODIFIED, fields=[True, True])
            + settlement(4, state=REJECTED, fields=[error])
            + settlement(5, state=RELEASED)
            + settlement(6, state=MODIFIED)
        )
        answers = {await self.answer(peer) for _ in range(6)}
        assert answers == {
            *((1, ACCEPTED, None), (2, MODIFIED, None), (3, MODIFIED, None)),
            *((4, REJECTED, None), (5, RELEASED, None), (6, MODIFIED, None)),
        }
        left = {each.body: (each.state, each.delivery_count) for each in shared.bus.peek(queue, 0, 9)}
        assert left == {
            b"1": ("active", 1),
            b"2": ("deferred", 1),
            b"4": ("active", 0),
            b"5": ("active", 1),
        }
        (dead,) = shared.bus.peek(queue + DEAD, 0, 9)
        assert (dead.body, dead.dead_letter_reason, dead.dead_letter_description) == (b"3", "r", "d")

    async def test_a_lock_that_is_lost_is_told_of_that_delivery_alone(
        self, shared: Wire, peer: RawPeer, queue: str
    ) -> None:
        await self.held(shared, peer, queue, 3)
        await peer.settle(2)
        assert await self.answer(peer) == (2, ACCEPTED, None)
        await peer.write(settlement(1) + settlement(2) + settlement(3) + settlement(99))
        answers = {await self.answer(peer) for _ in range(4)}
        lost = "com.microsoft:message-lock-lost"
        assert answers == {
            (1, ACCEPTED, None),
            (2, REJECTED, lost),
            (3, ACCEPTED, None),
            (99, REJECTED, lost),
        }

    async def test_what_the_engine_no_longer_holds_is_a_lost_lock(
        self, shared: Wire, peer: RawPeer, queue: str
    ) -> None:
        await shared.put(queue, "1", "2")
        await peer.attached(0, RECEIVER, queue)
        await peer.credit(0, 2)
        first, _ = await receive(peer, 2)
        tag = first.field(2)
        await shared.bus.complete(queue, [str(UUID(bytes_le=tag))])
        await peer.settle(1, 2)
        lost = (1, REJECTED, "com.microsoft:message-lock-lost")
        assert {await self.answer(peer), await self.answer(peer)} == {lost, (2, ACCEPTED, None)}

    async def test_settled_at_once_needs_no_answer(self, shared: Wire, peer: RawPeer, queue: str) -> None:
        await self.held(shared, peer, queue, 2)
        await peer.write(settlement(1, settled=True) + settlement(77, settled=True) + settlement(2))
        assert await self.answer(peer) == (2, ACCEPTED, None)
        assert shared.held(queue) == []

    async def test_what_cannot_be_done_is_refused_and_changes_nothing(
        self, shared: Wire, peer: RawPeer, queue: str
    ) -> None:
        await self.held(shared, peer, queue, 3)
        changes = {Symbol("x"): 1}
        info = Described(Ulong(0x1D), [Symbol("com.microsoft:dead-letter"), None, changes])
        await peer.write(
            settlement(1, state=MODIFIED, fields=[True, False, changes])
            + settlement(2, state=REJECTED, fields=[info])
            + settlement(3, state=0x34)
        )
        answers = {await self.answer(peer) for _ in range(3)}
        assert answers == {(n, REJECTED, "amqp:not-implemented") for n in (1, 2, 3)}
        assert len(shared.held(queue)) == 3

    async def test_a_dead_letter_cannot_be_dead_lettered(
        self, shared: Wire, peer: RawPeer, queue: str
    ) -> None:
        await shared.put(queue, "1")
        for _ in range(MAX_DELIVERIES):
            (each,) = await shared.bus.receive(queue, 1, "test")
            await shared.bus.abandon(queue, [each.lock_token])
        await peer.attached(0, RECEIVER, queue + DEAD)
        await peer.credit(0, 1)
        await receive(peer, 1)
        await peer.settle(1, state=REJECTED)
        assert await self.answer(peer) == (1, REJECTED, "amqp:not-allowed")

    async def test_what_is_received_settled_is_deleted(self, shared: Wire, peer: RawPeer, queue: str) -> None:
        await shared.put(queue, "1", "2")
        await peer.attached(0, RECEIVER, queue, snd=1)
        await peer.credit(0, 1)
        (delivery,) = await receive(peer, 1)
        assert delivery.field(4) is True
        assert shared.held(queue) == ["2"]

    async def test_locks_outlive_their_link_and_their_connection(self, shared: Wire, queue: str) -> None:
        async with ready(shared.amqp.port, shared.keys.servicebus_key) as peer:
            await self.held(shared, peer, queue, 1)
        assert shared.held(queue) == ["0"]
        assert await shared.bus.receive(queue, 1, "test") == []
