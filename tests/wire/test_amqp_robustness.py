"""Peers that are broken, hostile, slow, gone or many get an error or a close; the others notice nothing."""

import asyncio
import resource
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emulator.wire.amqp.performatives import (
    ATTACH,
    BEGIN,
    CLOSE,
    DISPOSITION,
    END,
    FLOW,
    OPEN,
    SASL_INIT,
    TRANSFER,
)
from emulator.wire.amqp.pipe import Limits
from emulator.wire.amqp.values import Described, Symbol, Uint, Ulong
from tests.wire.raw_peer import (
    AMQP_HEADER,
    RECEIVER,
    SASL_HEADER,
    SENDER,
    Closed,
    RawPeer,
    connected,
    message,
    performative,
    ready,
    settlement,
)
from tests.wire.wire_endpoints import QUEUES, Wire, serving

pytestmark = pytest.mark.asyncio(loop_scope="session")

HANDSHAKE = [
    SASL_HEADER,
    performative(SASL_INIT, Symbol("ANONYMOUS"), kind=1),
    AMQP_HEADER,
    performative(OPEN, "raw", None, Uint(65536)),
]
CONVERSATION = [
    *HANDSHAKE,
    performative(BEGIN, None, Uint(0), Uint(100), Uint(100)),
    performative(
        ATTACH,
        "cbs",
        Uint(0),
        SENDER,
        None,
        None,
        Described(Ulong(0x28), []),
        Described(Ulong(0x29), ["$cbs"]),
    ),
    performative(TRANSFER, Uint(0), Uint(0), b"tag", payload=message()),
    performative(FLOW, Uint(0), Uint(9), Uint(0), Uint(9), Uint(0), Uint(0), Uint(5)),
    settlement(0, 5),
    performative(END),
    performative(CLOSE),
]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def fragile(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Wire]:
    """A server with little patience and room."""
    limits = Limits(
        handshake_s=0.3,
        idle_s=0.3,
        stalled_s=0.5,
        work_bytes=300_000,
        partial_bytes=400_000,
        unread_bytes=50_000,
        max_unread_bytes=2_000_000,
    )
    async with serving(tmp_path_factory.mktemp("fragile"), topology=QUEUES, limits=limits) as wire:
        yield wire


async def still_served(wire: Wire) -> None:
    """Another peer, that is."""
    async with ready(wire.amqp.port, wire.keys.servicebus_key) as peer:
        await peer.attached(0, SENDER, "queue-0")


async def nobody_is_left(wire: Wire) -> None:
    for _ in range(1000):
        if not wire.amqp.connections:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{wire.amqp.connections} connections are left")


class TestBadBytes:
    @pytest.mark.parametrize(
        ("frame", "condition"),
        [
            (b"\x7f\xff\xff\xff\x02\0\0\0", "amqp:decode-error"),
            (b"\0\0\0\x04\x02\0\0\0", "amqp:decode-error"),
            (b"\0\0\0\x09\x02\0\0\0\x00", "amqp:decode-error"),
            (b"\0\0\0\x08\x02\x05\0\0", "amqp:decode-error"),
            (performative(0x19), "amqp:decode-error"),
            (performative(SASL_INIT, Symbol("ANONYMOUS")), "amqp:not-allowed"),
            (performative(OPEN, "again"), "amqp:not-allowed"),
            (performative(BEGIN, None, Uint(0), Uint(1), Uint(1)), "amqp:not-allowed"),
            (performative(BEGIN, None, Uint(0), Uint(1), Uint(1), channel=5000), "amqp:not-allowed"),
            (performative(END, channel=9), "amqp:not-allowed"),
            (performative(FLOW, channel=0), "amqp:decode-error"),
            (performative(TRANSFER, Uint(200), payload=b"first without an id"), "amqp:decode-error"),
            (performative(TRANSFER, Uint(201), Uint(0), b"t"), "amqp:decode-error"),
        ],
    )
    async def test_a_wrong_frame_closes_the_connection_and_says_why(
        self, shared: Wire, frame: bytes, condition: str
    ) -> None:
        async with ready(shared.amqp.port, shared.keys.servicebus_key) as peer:
            await peer.write(frame)
            heard = await peer.until_closed()
            assert (heard[-1].code, heard[-1].condition) == (CLOSE, condition)

    async def test_a_frame_size_that_is_too_small_is_refused(self, shared: Wire) -> None:
        async with connected(shared.amqp.port) as peer:
            await peer.sasl()
            await peer.write(AMQP_HEADER + performative(OPEN, "raw", None, Uint(100)))
            await peer.read_exactly(8)
            heard = await peer.until_closed()
            assert [each.code for each in heard] == [OPEN, CLOSE]
            assert heard[-1].condition == "amqp:invalid-field"

    @pytest.mark.parametrize("count", range(len(CONVERSATION) + 1))
    async def test_a_peer_may_vanish_after_any_frame_and_within_it(self, shared: Wire, count: int) -> None:
        for cut in (b"", CONVERSATION[min(count, len(CONVERSATION) - 1)][:-1]):
            async with connected(shared.amqp.port) as peer:
                await peer.write(b"".join(CONVERSATION[:count]) + cut)
                peer.writer.transport.abort()
        await nobody_is_left(shared)

    @settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    async def test_whatever_is_sent_the_server_closes_or_goes_on(
        self, shared: Wire, data: st.DataObject
    ) -> None:
        parts = list(CONVERSATION)
        kind = data.draw(st.sampled_from(["bytes", "order", "noise"]))
        if kind == "order":
            parts = HANDSHAKE + data.draw(st.lists(st.sampled_from(CONVERSATION), max_size=10))
        stream = bytearray(b"".join(parts))
        if kind == "bytes":
            for _ in range(data.draw(st.integers(1, 4))):
                stream[data.draw(st.integers(0, len(stream) - 1))] = data.draw(st.integers(0, 255))
        if kind == "noise":
            stream = bytearray(b"".join(HANDSHAKE) + data.draw(st.binary(max_size=200)))
        async with connected(shared.amqp.port) as peer:
            await peer.write(bytes(stream))
            peer.writer.write_eof()
            await peer.until_closed_or_gone()
        await nobody_is_left(shared)


class TestSlowPeers:
    async def test_a_peer_that_does_not_finish_its_handshake_is_given_up(self, fragile: Wire) -> None:
        for count in range(len(HANDSHAKE)):
            async with connected(fragile.amqp.port) as peer:
                await peer.write(b"".join(HANDSHAKE[:count]) + HANDSHAKE[count][:4])
                async with asyncio.timeout(3):
                    await peer.reader.read()

    async def test_a_peer_that_falls_silent_is_told_that_it_was_idle(self, fragile: Wire) -> None:
        async with connected(fragile.amqp.port) as peer:
            opened = await peer.open()
            assert opened.field(4) == 300
            heard = await peer.until_closed()
            assert heard[-1].condition == "amqp:connection:forced"

    async def test_a_peer_that_reads_nothing_gets_no_more_and_is_cut_and_its_messages_come_again(
        self, fragile: Wire, queue: str
    ) -> None:
        bodies = [f"{number}" + "x" * 60_000 for number in range(100)]
        for body in bodies:
            await fragile.put(queue, body, message_id="id")
        async with connected(fragile.amqp.port) as peer:
            small = peer.writer.get_extra_info("socket")
            small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            await peer.open()
            await peer.begin()
            await peer.put_token("sb://h/", fragile.keys.servicebus_key)
            await peer.attached(0, RECEIVER, queue, rcv=1)
            peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
            await peer.credit(0, 100)
            await nobody_is_left(fragile)
        assert len(fragile.held(queue)) == 100
        free = await fragile.bus.receive(queue, 100, "test")
        assert len(free) > 30, "the rest of them was not taken for a peer that does not read"
        await still_served(fragile)

    async def test_a_peer_that_sends_faster_than_the_store_writes_is_read_from_more_slowly(
        self, fragile: Wire, queue: str
    ) -> None:
        async with ready(fragile.amqp.port, fragile.keys.servicebus_key) as peer:
            await peer.attached(0, SENDER, queue)
            count = 60
            for _ in range(count):
                peer.writer.write(peer.transfer_frame(0, message(b"x" * 50_000)))
            for _ in range(count):
                assert (await peer.hear_until(DISPOSITION)).condition is None
        assert len(fragile.held(queue)) == count


class TestMany:
    async def test_a_thousand_connections_are_served_at_once(self, shared: Wire, queue: str) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = 2200  # both ends are in this process
        if hard < wanted:
            pytest.skip(f"at most {hard} descriptors are allowed here")
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
        async with AsyncExitStack() as stack:
            peers = []
            for _ in range(10):
                peers += await asyncio.gather(
                    *(
                        stack.enter_async_context(ready(shared.amqp.port, shared.keys.servicebus_key))
                        for _ in range(100)
                    )
                )
            assert shared.amqp.connections >= 1000
            for peer in peers[:50]:
                await peer.attached(0, RECEIVER, queue, rcv=1)
                await peer.credit(0, 1)
            await peers[-1].attached(0, SENDER, queue)
            for number in range(50):
                await peers[-1].transfer(0, message(b"%d" % number))
            delivered = await asyncio.gather(*(peer.hear_until(TRANSFER) for peer in peers[:50]))
            assert len(delivered) == 50
            for peer in peers[:50]:
                await peer.settle(1)
            await asyncio.gather(*(peer.hear_until(DISPOSITION) for peer in peers[:50]))
            assert shared.held(queue) == []
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    async def test_handles_are_bounded(self, peer: RawPeer) -> None:
        await peer.attach(255, RECEIVER, "queue-1")
        assert (await peer.hear_until(END)).condition == "amqp:session:handle-in-use"

    async def test_links_are_bounded_over_all_sessions(
        self, peer: RawPeer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("emulator.wire.amqp.connection._MAX_LINKS", 12)
        await peer.begin(channel=1)
        for handle in range(5):  # beside the two of $cbs
            for channel in (0, 1):
                await peer.attached(handle, RECEIVER, "queue-1", channel=channel)
        await peer.attach(5, RECEIVER, "queue-1", channel=1)
        heard = await peer.until_closed()
        assert (heard[-1].code, heard[-1].condition) == (CLOSE, "amqp:resource-limit-exceeded")

    async def test_unfinished_messages_are_bounded_over_all_links(self, fragile: Wire) -> None:
        async with ready(fragile.amqp.port, fragile.keys.servicebus_key) as peer:
            for handle in range(3):
                await peer.attached(handle, SENDER, "queue-0")
            for handle in range(3):
                await peer.write(peer.transfer_frame(handle, b"x" * 60_000, more=True))
                more = performative(
                    TRANSFER, Uint(handle), None, None, None, None, True, payload=b"x" * 60_000
                )
                await peer.write(more * 2)
            heard = await peer.until_closed()
            assert (heard[-1].code, heard[-1].condition) == (CLOSE, "amqp:resource-limit-exceeded")
        await still_served(fragile)


async def test_a_server_that_stops_tells_its_peers(tmp_path: Path) -> None:
    async with serving(tmp_path) as wire, connected(wire.amqp.port) as peer:
        await peer.open()
        await wire.endpoints.close()
        heard = await peer.until_closed()
        assert heard[-1].condition == "amqp:connection:forced"
        with pytest.raises((OSError, Closed)):
            async with connected(wire.amqp.port) as late:
                await late.open()
