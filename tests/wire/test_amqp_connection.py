"""What the real SDK makes of the endpoint's connections: what it is told, windows, limits, silence."""

import asyncio
from pathlib import Path

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.exceptions import ServiceBusError

from emulator.servicebus.rows import MAX_MESSAGE_BYTES
from emulator.wire.amqp.connection import Connection
from emulator.wire.amqp.performatives import ATTACH, BEGIN, FLOW, OPEN
from emulator.wire.amqp.pipe import Limits
from emulator.wire.amqp.replies import Error
from tests.wire.sdk import HeardFrame, Keep, heard_of, take
from tests.wire.wire_endpoints import QUEUES, Wire, serving

pytestmark = pytest.mark.asyncio(loop_scope="session")

BARELY = 5
"""A window that is used up at once."""


async def test_the_sdk_is_told_limits_with_which_it_can_work(
    client: ServiceBusClient, kept: Keep, queue: str, heard: list[HeardFrame]
) -> None:
    await kept(client.get_queue_receiver(queue)).peek_messages()
    ((container, _, frame_bytes, channel_max, idle_ms, *_),) = heard_of(heard, OPEN)
    assert container
    assert frame_bytes >= 512
    assert channel_max is None or channel_max > 0
    assert idle_ms is None or idle_ms >= 60_000, "it says nothing while nobody listens"
    ((remote_channel, _, incoming, outgoing, handle_max, *_),) = heard_of(heard, BEGIN)
    assert isinstance(remote_channel, int)
    assert incoming == outgoing == 2**31 - 1, "it counts down, and only a flow counts up again"
    assert handle_max >= 32, "it takes this for the limit of its own handles"


async def test_a_links_answer_repeats_what_the_sdk_asked_for(
    shared: Wire, client: ServiceBusClient, kept: Keep, queue: str, heard: list[HeardFrame]
) -> None:
    receiver, sender = kept(client.get_queue_receiver(queue)), kept(client.get_queue_sender(queue))
    await receiver.peek_messages()
    await sender.send_messages(ServiceBusMessage("x"))
    address = f"amqps://127.0.0.1:{shared.amqp.port}/{queue}".encode()
    answers = {bytes(each[0]): each for each in heard_of(heard, ATTACH)}
    for handler, place, role in ((receiver, 5, False), (sender, 6, True)):
        link = handler._handler._link
        answer = answers.pop(link.name.encode())
        assert bytes(answer[place][0]) == address
        assert answer[2] is role
        assert (answer[3], answer[4]) == (link.send_settle_mode, link.rcv_settle_mode)
        assert answer[9] == (None if role else 0), "initial delivery count, of whoever sends"
        assert answer[10] == MAX_MESSAGE_BYTES
        assert answer[13] == {}
    nodes = sorted(bytes(each[5][0]).decode() for each in answers.values() if not each[2])
    assert nodes == ["$cbs", "$cbs", f"{queue}/$management"]


async def test_messages_go_on_when_the_sdks_window_was_used_up(
    shared: Wire, client: ServiceBusClient, kept: Keep, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It opens it again by a flow that names no link."""
    monkeypatch.setattr("azure.servicebus._pyamqp.client.INCOMING_WINDOW", BARELY)
    bodies = [f"{number}" for number in range(3 * BARELY)]
    await shared.put(queue, *bodies)
    receiver = kept(client.get_queue_receiver(queue))
    messages = await take(receiver, len(bodies))
    assert [str(message) for message in messages] == bodies
    for message in messages:
        await receiver.complete_message(message)
    assert shared.held(queue) == []


async def test_a_receiver_that_closes_is_told_that_its_credit_is_drained(
    shared: Wire, client: ServiceBusClient, queue: str, heard: list[HeardFrame]
) -> None:
    await shared.put(queue, "1")
    async with client.get_queue_receiver(queue) as receiver:
        (message,) = await receiver.receive_messages(10, max_wait_time=5)
        await receiver.complete_message(message)
        handle = receiver._handler._link.remote_handle
    (flow,) = [each for each in heard_of(heard, FLOW) if each[4] == handle]
    assert (flow[5], flow[6], flow[8]) == (1, 0, True)


async def test_what_the_sdk_says_after_the_end_of_its_session_is_passed_over(
    client: ServiceBusClient, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both links and `$management`'s are detached too late, when the server has answered the end."""
    told: list[Error] = []
    lost: list[Exception | None] = []
    end, connection_lost = Connection.end, Connection.connection_lost

    def watched_end(self: Connection, error: Error) -> None:
        told.append(error)
        end(self, error)

    def watched_loss(self: Connection, exc: Exception | None) -> None:
        lost.append(exc)
        connection_lost(self, exc)

    monkeypatch.setattr(Connection, "end", watched_end)
    monkeypatch.setattr(Connection, "connection_lost", watched_loss)
    receiver, sender = client.get_queue_receiver(queue), client.get_queue_sender(queue)
    await receiver.peek_messages()
    await sender.send_messages(ServiceBusMessage("x"))
    await asyncio.gather(receiver.close(), sender.close())
    async with asyncio.timeout(5):
        while len(lost) < 2:  # noqa: ASYNC110  (asyncio calls no one back)
            await asyncio.sleep(0.01)
    assert told == []


async def test_a_sender_that_was_given_up_for_its_silence_connects_again(tmp_path: Path) -> None:
    async with (
        serving(tmp_path, topology=QUEUES, limits=Limits(idle_s=0.2)) as wire,
        ServiceBusClient.from_connection_string(
            wire.connection_string, retry_total=1, retry_backoff_factor=0.01
        ) as client,
        client.get_queue_sender("queue-0") as sender,
    ):
        await sender.send_messages(ServiceBusMessage("1"))
        async with asyncio.timeout(5):
            while wire.amqp.connections:  # noqa: ASYNC110  (no event)
                await asyncio.sleep(0.01)
        await sender.send_messages(ServiceBusMessage("2"))
        assert wire.held("queue-0") == ["1", "2"]


async def test_a_link_too_many_is_refused_and_the_sdk_connects_again(
    shared: Wire, client: ServiceBusClient, kept: Keep, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the fifth link, `$management`'s second."""
    await shared.put(queue, "x")
    receiver = kept(client.get_queue_receiver(queue))
    with monkeypatch.context() as patch:
        patch.setattr("emulator.wire.amqp.connection._MAX_LINKS", 4)
        (message,) = await take(receiver)
        async with asyncio.timeout(10):
            with pytest.raises(ServiceBusError):
                await receiver.renew_message_lock(message)
    assert [str(each) for each in await receiver.peek_messages(sequence_number=1)] == ["x"]
