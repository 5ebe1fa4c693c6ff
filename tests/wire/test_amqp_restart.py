"""The endpoint that goes away and comes again, and several on one store, with the real SDK."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver, ServiceBusSender

from emulator.wire.amqp.performatives import DISPOSITION, TRANSFER
from tests.wire.raw_peer import RECEIVER, SENDER, message, ready
from tests.wire.wire_endpoints import QUEUES, serving

QUEUE = "queue-0"


async def test_a_client_goes_on_after_a_restart_and_nothing_is_lost(tmp_path: Path) -> None:
    async with AsyncExitStack() as clients:
        client: ServiceBusClient | None = None
        sender: ServiceBusSender
        receiver: ServiceBusReceiver
        port = 0
        for round in range(2):
            async with serving(tmp_path, topology=QUEUES, amqp_port=port) as wire:
                port = wire.amqp.port
                if client is None:
                    client = await clients.enter_async_context(
                        ServiceBusClient.from_connection_string(
                            wire.connection_string, retry_total=5, retry_backoff_factor=0.1
                        )
                    )
                    sender = client.get_queue_sender(QUEUE)
                    receiver = client.get_queue_receiver(QUEUE)
                    clients.push_async_callback(sender.close)
                    clients.push_async_callback(receiver.close)
                await sender.send_messages(ServiceBusMessage(f"first of {round}"))
                await sender.send_messages(ServiceBusMessage(f"second of {round}"))
                received = []
                while not received:
                    received = await receiver.receive_messages(1, max_wait_time=2)
                await receiver.complete_message(received[0])
                held = wire.held(QUEUE)
        assert held == ["first of 1", "second of 1"]


async def test_a_message_sent_to_one_instance_is_received_from_another(tmp_path: Path) -> None:
    """On one port: the kernel deals connections out. Here nobody tells the other that there is work."""
    async with (
        serving(tmp_path, topology=QUEUES) as one,
        serving(
            tmp_path, topology=QUEUES, amqp_port=one.amqp.port, cosmos_port=one.endpoints.cosmos.port
        ) as two,
    ):
        assert two.keys == one.keys
        async with AsyncExitStack() as stack:
            peers = []
            while not (one.amqp.connections and two.amqp.connections):
                key = one.keys.servicebus_key
                peers.append(await stack.enter_async_context(ready(one.amqp.port, key)))
            for peer in peers:
                await peer.attached(0, RECEIVER, QUEUE)
                await peer.credit(0, 1)
            for number in range(len(peers)):
                await one.put(QUEUE, f"{number}")
            async with asyncio.timeout(10):
                await asyncio.gather(*(peer.hear_until(TRANSFER) for peer in peers))


async def test_a_message_that_was_acknowledged_is_there_when_the_server_is_again(tmp_path: Path) -> None:
    async with (
        serving(tmp_path, topology=QUEUES) as wire,
        ready(wire.amqp.port, wire.keys.servicebus_key) as peer,
    ):
        await peer.attached(0, SENDER, QUEUE)
        sent = [await peer.transfer(0, message(b"%d" % number)) for number in range(50)]
        acknowledged = {(await peer.hear_until(DISPOSITION)).field(1) for _ in range(20)}
    async with serving(tmp_path, topology=QUEUES) as wire:
        assert set(wire.held(QUEUE)) >= {str(each - sent[0]) for each in acknowledged}
