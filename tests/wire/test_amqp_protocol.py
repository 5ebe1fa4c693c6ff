"""The protocol by the frame: links, credit, windows, settlement, rights. What the SDKs do not show."""

import asyncio
import time
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
import pytest_asyncio

from emulator.wire.amqp.performatives import (
    ATTACH,
    BEGIN,
    CLOSE,
    DETACH,
    DISPOSITION,
    END,
    FLOW,
    MODIFIED,
    OPEN,
    REJECTED,
    RELEASED,
    SASL_INIT,
    TRANSFER,
)
from emulator.wire.amqp.values import Array, Described, Symbol, Uint, Ulong
from tests.wire.raw_peer import (
    AMQP_HEADER,
    RECEIVER,
    SASL_HEADER,
    SENDER,
    Frame,
    RawPeer,
    connected,
    message,
    performative,
    ready,
    section,
    sections_of,
    settlement,
    timestamp,
)
from tests.wire.wire_endpoints import DEAD, MAX_DELIVERIES, Wire

pytestmark = pytest.mark.asyncio(loop_scope="session")

ACCEPTED = 0x24


@pytest_asyncio.fixture(loop_scope="session")
async def peer(shared: Wire) -> AsyncIterator[RawPeer]:
    async with ready(shared.amqp.port, shared.keys.servicebus_key) as peer:
        yield peer


async def receive(peer: RawPeer, count: int) -> list[Frame]:
    return [await peer.hear_until(TRANSFER) for _ in range(count)]


async def silent(peer: RawPeer) -> bool:
    """Nothing comes for a moment."""
    try:
        async with asyncio.timeout(0.1):
            heard = await peer.hear()
    except TimeoutError:
        return True
    raise AssertionError(heard)


class TestHandshake:
    async def test_a_peer_may_say_everything_at_once(self, shared: Wire) -> None:
        async with connected(shared.amqp.port) as peer:
            await peer.write(
                SASL_HEADER
                + performative(SASL_INIT, Symbol("ANONYMOUS"), kind=1)
                + AMQP_HEADER
                + performative(OPEN, "raw")
                + performative(BEGIN, None, Uint(0), Uint(100), Uint(100), channel=3)
            )
            assert await peer.read_exactly(8) == SASL_HEADER
            await peer.hear()
            await peer.hear()
            assert await peer.read_exactly(8) == AMQP_HEADER
            opened, begun = await peer.hear(), await peer.hear()
            assert (opened.code, opened.field(2), begun.code, begun.channel) == (OPEN, 65536, BEGIN, 3)
            assert begun.field(0) == 3

    async def test_sasl_may_be_left_out(self, shared: Wire) -> None:
        """Who the peer is, its tokens say."""
        async with connected(shared.amqp.port) as peer:
            await peer.write(AMQP_HEADER + performative(OPEN, "raw"))
            assert await peer.read_exactly(8) == AMQP_HEADER
            assert (await peer.hear()).code == OPEN

    async def test_another_mechanism_is_refused(self, shared: Wire) -> None:
        async with connected(shared.amqp.port) as peer:
            await peer.write(SASL_HEADER + performative(SASL_INIT, Symbol("PLAIN"), b"\0u\0p", kind=1))
            await peer.read_exactly(8)
            heard = await peer.until_closed()
            assert heard[-1].field(0) == 1

    @pytest.mark.parametrize("header", [b"GET / HT", b"AMQP\x02\x01\x00\x00", b"AMQP\x00\x00\x09\x01"])
    async def test_another_protocol_is_told_which_is_spoken(self, shared: Wire, header: bytes) -> None:
        async with connected(shared.amqp.port) as peer:
            await peer.write(header)
            assert await peer.read_exactly(8) == SASL_HEADER
            assert await peer.until_closed() == []

    async def test_closing_is_answered(self, peer: RawPeer) -> None:
        await peer.say(CLOSE)
        heard = await peer.until_closed()
        assert (heard[-1].code, heard[-1].condition) == (CLOSE, None)

    async def test_a_peer_with_an_idle_timeout_hears_a_heartbeat(self, shared: Wire) -> None:
        async with connected(shared.amqp.port) as peer:
            await peer.open(idle_timeout_ms=300)
            started = time.monotonic()
            for _ in range(3):
                assert (await peer.hear()).code is None
            assert time.monotonic() - started < 3 * 0.3


class TestLinks:
    async def test_a_link_is_answered_as_it_was_asked_for(self, peer: RawPeer) -> None:
        for handle, role in ((0, SENDER), (1, RECEIVER)):
            answer = await peer.attached(handle, role, "amqps://host:1/queue-1", rcv=1, name=f"name {role}")
            assert (answer.field(0), answer.field(1), answer.field(2)) == (f"name {role}", handle, not role)
            assert (answer.field(3), answer.field(4)) == (0, 1)
            place = 5 if role == RECEIVER else 6
            assert answer.field(place).value[0] == "amqps://host:1/queue-1"
            assert answer.field(9) == (0 if role == RECEIVER else None)
            assert answer.field(10) == 262_144
            assert answer.field(13) == {}

    async def test_detaching_and_ending_are_answered_and_what_comes_late_is_passed_over(
        self, peer: RawPeer
    ) -> None:
        await peer.attached(0, RECEIVER, "queue-1")
        await peer.say(DETACH, Uint(0), True)
        detached = await peer.hear_until(DETACH)
        assert (detached.field(0), detached.field(1), detached.condition) == (0, True, None)
        await peer.attached(0, RECEIVER, "queue-1")
        await peer.say(END)
        assert (await peer.hear_until(END)).condition is None
        await peer.say(DETACH, Uint(0), True)
        await peer.begin(channel=1)
        await peer.begin(channel=0)

    @pytest.mark.parametrize(
        ("address", "condition"),
        [
            ("nowhere", "amqp:not-found"),
            ("nowhere/$management", "amqp:not-found"),
            ("events", "amqp:not-found"),
            ("events/Subscriptions/none", "amqp:not-found"),
            ("", "amqp:invalid-field"),
            ("sb://host/", "amqp:invalid-field"),
            ("queue-1/$Transfer/$DeadLetterQueue", "amqp:not-implemented"),
        ],
    )
    async def test_what_is_not_there_is_refused(self, peer: RawPeer, address: str, condition: str) -> None:
        assert await peer.refused(0, RECEIVER, address) == condition
        await peer.say(DETACH, Uint(0), True)
        await peer.attached(0, RECEIVER, "queue-1")

    async def test_sessions_and_transactions_are_refused(self, peer: RawPeer) -> None:
        sessions = {Symbol("com.microsoft:session-filter"): None}
        assert await peer.refused(0, RECEIVER, "queue-1", filters=sessions) == "amqp:not-allowed"
        other = {Symbol("apache.org:selector-filter:string"): "x"}
        assert await peer.refused(1, RECEIVER, "queue-1", filters=other) == "amqp:not-implemented"
        coordinator = Described(Ulong(0x30), [Array("symbol", ["amqp:local-transactions"])])
        await peer.say(ATTACH, "tx", Uint(2), SENDER, None, None, None, coordinator)
        assert (await peer.hear_until(DETACH)).condition == "amqp:not-implemented"

    async def test_what_a_refused_link_already_sent_is_passed_over(self, peer: RawPeer) -> None:
        await peer.attach(0, SENDER, "nowhere")
        await peer.transfer(0, message())
        assert (await peer.hear_until(DETACH)).condition == "amqp:not-found"
        await peer.attached(1, SENDER, "queue-1")

    async def test_a_handle_that_is_not_attached_ends_the_session(self, peer: RawPeer) -> None:
        await peer.transfer(7, message())
        assert (await peer.hear_until(END)).condition == "amqp:session:unattached-handle"
        await peer.begin(channel=1)

    async def test_a_handle_that_is_in_use_ends_the_session(self, peer: RawPeer) -> None:
        await peer.attached(0, RECEIVER, "queue-1")
        await peer.attach(0, RECEIVER, "queue-1")
        assert (await peer.hear_until(END)).condition == "amqp:session:handle-in-use"


class TestRights:
    async def test_without_a_token_nothing_is_attached(self, shared: Wire) -> None:
        async with connected(shared.amqp.port) as peer:
            await peer.open()
            await peer.begin()
            for handle, address in enumerate(("queue-1", "nowhere", "queue-1/$management")):
                assert await peer.refused(handle, RECEIVER, address) == "amqp:unauthorized-access"

    async def test_a_token_is_for_its_entity_and_what_is_below(self, shared: Wire) -> None:
        async with ready(shared.amqp.port, shared.keys.servicebus_key, "sb://h/Queue-1") as peer:
            for handle, address in enumerate(("queue-1", f"queue-1{DEAD}", "QUEUE-1/$management")):
                await peer.attached(handle, RECEIVER, address)
            for handle, address in enumerate(("queue-10", "queue-2", "queue"), 10):
                assert await peer.refused(handle, RECEIVER, address) == "amqp:unauthorized-access"

    @pytest.mark.parametrize("wrong", [{"key": "other"}, {"expires_in": -5}, {"name": "sb://h/queue-2"}])
    async def test_a_wrong_token_is_refused(self, shared: Wire, wrong: dict[str, object]) -> None:
        async with connected(shared.amqp.port) as peer:
            await peer.open()
            await peer.begin()
            right = {"key": shared.keys.servicebus_key}
            assert await peer.put_token("sb://h/queue-1", **{**right, **wrong}) == 401
            assert await peer.refused(0, RECEIVER, "queue-2") == "amqp:unauthorized-access"

    async def test_the_answer_has_the_id_of_its_request_and_what_is_no_put_token_is_a_400(
        self, peer: RawPeer
    ) -> None:
        request = section(0x73, [Ulong(77)]) + section(0x74, {"operation": "other"}) + section(0x77, "x")
        await peer.transfer(200, request)
        answer = sections_of((await peer.hear_until(TRANSFER)).payload)
        assert answer[0x73][5] == 77
        assert answer[0x74]["status-code"] == 400

    async def test_a_right_ends_with_its_token_unless_it_is_renewed(self, shared: Wire) -> None:
        key = shared.keys.servicebus_key
        async with connected(shared.amqp.port) as peer:
            await peer.open()
            await peer.begin()
            for queue in ("queue-1", "queue-2"):
                assert await peer.put_token(f"sb://h/{queue}", key, expires_in=1.9) == 202
            await peer.attached(0, RECEIVER, "queue-1")
            await peer.attached(1, RECEIVER, "queue-2")
            assert await peer.put_token("sb://h/queue-2", key) == 202
            detached = await peer.hear_until(DETACH)
            assert (detached.field(0), detached.condition) == (0, "amqp:unauthorized-access")
            assert await silent(peer)
            assert await peer.refused(2, RECEIVER, "queue-1") == "amqp:unauthorized-access"


class TestCredit:
    async def test_only_as_many_come_as_there_is_credit_for(
        self, shared: Wire, peer: RawPeer, queue: str
    ) -> None:
        await peer.attached(0, RECEIVER, queue)
        await shared.put(queue, "1", "2", "3", "4", "5")
        assert await silent(peer)
        await peer.credit(0, 2)
        assert [sections_of(each.payload)[0x75] for each in await receive(peer, 2)] == [b"1", b"2"]
        assert await silent(peer)
        await peer.credit(0, 2, count=1)  # said before the second was seen: one more
        assert [sections_of(each.payload)[0x75] for each in await receive(peer, 1)] == [b"3"]
        assert await silent(peer)

    async def test_drained_credit_is_given_back_after_what_was_there(
        self, shared: Wire, peer: RawPeer, queue: str
    ) -> None:
        await peer.attached(0, RECEIVER, queue)
        await peer.credit(0, 0, drain=True)
        flow = await peer.hear_until(FLOW)
        assert (flow.field(4), flow.field(5), flow.field(6), flow.field(8)) == (0, 0, 0, True)
        await shared.put(queue, "1")
        await peer.credit(0, 10, drain=True)
        await receive(peer, 1)
        flow = await peer.hear_until(FLOW)
        assert (flow.field(5), flow.field(6), flow.field(8)) == (10, 0, True)
        await shared.put(queue, "2")
        assert await silent(peer)
        await peer.credit(0, 1, count=10)
        await receive(peer, 1)

    async def test_a_flow_that_asks_for_an_echo_gets_one(self, peer: RawPeer) -> None:
        await peer.attached(0, RECEIVER, "queue-0")
        await peer.credit(0, 5, echo=True)
        flow = await peer.hear_until(FLOW)
        assert (flow.field(4), flow.field(5), flow.field(6)) == (0, 0, 5)
        await peer.say(FLOW, Uint(0), Uint(9), Uint(0), Uint(9), None, None, None, None, None, True)
        assert (await peer.hear_until(FLOW)).field(4) is None

    async def test_a_sender_gets_credit_and_more_before_it_is_used_up(
        self, shared: Wire, peer: RawPeer, queue: str
    ) -> None:
        await peer.attached(0, SENDER, queue)
        flow = await peer.hear_until(FLOW)
        credit = flow.field(6)
        assert (flow.field(4), flow.field(5), credit) == (0, 0, 1000)
        await peer.write(b"".join(peer.transfer_frame(0, message()) for _ in range(credit)))
        counts = []
        settled = 0
        while settled < credit:
            heard = await peer.hear()
            settled += heard.code == DISPOSITION
            if heard.code == FLOW:
                counts.append(heard.field(5))
                assert heard.field(6) == 1000
        assert counts
        assert counts == sorted(counts)

    async def test_a_full_window_holds_transfers_back(self, shared: Wire, queue: str) -> None:
        key = shared.keys.servicebus_key
        await shared.put(queue, *"12345")
        async with ready(shared.amqp.port, key) as peer:
            await peer.begin(channel=1, window=2)
            await peer.attached(0, RECEIVER, queue, channel=1)
            await peer.credit(0, 5, window=2, channel=1)
            await receive(peer, 2)
            assert await silent(peer)
            free = await shared.bus.receive(queue, 5, "test")
            assert [each.body for each in free] == [b"3", b"4", b"5"], "what cannot go out is not locked"
            await shared.bus.release(queue, [each.lock_token for each in free])
            await peer.say(FLOW, Uint(2), Uint(3), Uint(0), Uint(9), channel=1)
            bodies = [sections_of(each.payload)[0x75] for each in await receive(peer, 3)]
            assert bodies == [b"3", b"4", b"5"]

    async def test_a_large_message_goes_out_in_frames_that_the_peer_takes_and_as_its_window_opens(
        self, shared: Wire, queue: str
    ) -> None:
        body = "x" * 3000
        await shared.put(queue, body, message_id="id")
        async with ready(shared.amqp.port, shared.keys.servicebus_key, max_frame_size=512) as peer:
            await peer.begin(channel=1, window=2)
            await peer.attached(0, RECEIVER, queue, channel=1)
            await peer.credit(0, 5, window=2, channel=1)
            frames = await receive(peer, 2)
            assert await silent(peer)
            await peer.say(FLOW, Uint(2), Uint(100), Uint(0), Uint(9), channel=1)
            while frames[-1].field(5):
                frames += await receive(peer, 1)
            assert all(len(each.payload) <= 512 - 8 for each in frames)
            assert [each.field(1) for each in frames] == [0] + [None] * (len(frames) - 1)
            whole = sections_of(b"".join(each.payload for each in frames))
            assert whole[0x75] == body.encode()

    async def test_receivers_of_one_queue_share_its_messages(
        self, shared: Wire, peer: RawPeer, queue: str
    ) -> None:
        for handle in (0, 1):
            await peer.attached(handle, RECEIVER, queue)
            await peer.credit(handle, 10)
        await shared.put(queue, *"123456")
        handles = [each.field(0) for each in await receive(peer, 6)]
        assert sorted(handles) == [0, 0, 0, 1, 1, 1]


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
