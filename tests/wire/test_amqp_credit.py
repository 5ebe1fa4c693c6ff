"""Credit, windows and frames of what is delivered."""

import pytest

from emulator.wire.amqp.performatives import DISPOSITION, FLOW
from emulator.wire.amqp.values import Uint
from tests.wire.raw_peer import RECEIVER, SENDER, RawPeer, message, ready, receive, sections_of, silent
from tests.wire.wire_endpoints import Wire

pytestmark = pytest.mark.asyncio(loop_scope="session")


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
