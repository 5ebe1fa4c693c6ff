"""Which links a token allows, and for how long, by the frame."""

import pytest

from emulator.wire.amqp.performatives import DETACH, TRANSFER
from emulator.wire.amqp.values import Ulong
from tests.wire.raw_peer import RECEIVER, RawPeer, connected, ready, section, sections_of, silent
from tests.wire.wire_endpoints import DEAD, Wire

pytestmark = pytest.mark.asyncio(loop_scope="session")


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
