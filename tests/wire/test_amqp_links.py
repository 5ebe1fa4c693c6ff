"""Handshake and links by the frame: what the SDKs do not show."""

import time

import pytest

from emulator.wire.amqp.performatives import ATTACH, BEGIN, CLOSE, DETACH, END, OPEN, SASL_INIT
from emulator.wire.amqp.values import Array, Described, Symbol, Uint, Ulong
from tests.wire.raw_peer import (
    AMQP_HEADER,
    RECEIVER,
    SASL_HEADER,
    SENDER,
    RawPeer,
    connected,
    message,
    performative,
)
from tests.wire.wire_endpoints import Wire

pytestmark = pytest.mark.asyncio(loop_scope="session")


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
