"""The Azure bus adapter keeps the contract of the port: the real SDK over AMQP, on the emulator."""

import asyncio
import gc
import logging
import warnings
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.amqp import AmqpAnnotatedMessage

from adapters.azure.bus import AzureBus
from adapters.azure.connections import Connection, service_bus_connection
from core.bus import (
    Bus,
    BusAccessDenied,
    BusThrottled,
    BusUnreachable,
    MessageLockLost,
    OutgoingMessage,
)
from emulator.clock import SystemClock
from emulator.metrics import Metrics
from emulator.servicebus.engine import ServiceBusEngine
from emulator.servicebus.schema import SCHEMA
from emulator.servicebus.topology import read_topology
from emulator.store import Store
from emulator.wire.amqp.server import AmqpServer
from emulator.wire.keys import WireKeys, load_or_create, servicebus_connection_string
from tests.contract.bus_suite import QUEUE, BusSuite, message
from tests.contract.test_embedded_bus import as_sent, dead_letter

TOPOLOGY = Path(__file__).parents[2] / "topology" / "servicebus.json"


class Endpoint:
    """The emulator's AMQP endpoint. It stays on its port when it is stopped and started."""

    def __init__(self, engine: ServiceBusEngine, store: Store, keys: WireKeys) -> None:
        self.engine = engine
        self._store = store
        self.keys = keys
        self.port = 0
        self.server: AmqpServer | None = None

    async def start(self) -> None:
        self.server = AmqpServer(self.engine, self._store, SystemClock(), self.keys.servicebus_key)
        await self.server.listen("127.0.0.1", self.port)
        self.port = self.server.port

    async def stop(self) -> None:
        if self.server is not None:
            await self.server.close()
            self.server = None

    def connection(self) -> Connection:
        text = servicebus_connection_string(self.keys, "127.0.0.1", self.port)
        return service_bus_connection({"ServiceBusConnection": text})


@pytest.fixture
async def endpoint(tmp_path: Path) -> AsyncIterator[Endpoint]:
    store = Store(tmp_path / "store.db", schema=SCHEMA, synchronous="OFF")
    engine = ServiceBusEngine(store, SystemClock(), Random(1), read_topology(TOPOLOGY), Metrics())
    await engine.start()
    endpoint = Endpoint(engine, store, load_or_create(tmp_path))
    await endpoint.start()
    yield endpoint
    await endpoint.stop()
    await engine.stop()
    await store.close()


class TestAzureBus(BusSuite):
    @pytest.fixture
    def bus(self, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> Bus:
        """Closed with the loop of the test, which spares a second: the SDK's own tasks are cancelled then."""
        monkeypatch.setattr("adapters.azure.dead_letters.WAIT_S", 0.4)
        self.engine = endpoint.engine
        return AzureBus(endpoint.connection())

    async def arrived(self, bus: Bus, queue: str) -> Sequence[OutgoingMessage]:
        return [as_sent(each) for each in await self.engine.receive(queue, 1000, "test")]

    async def put_dead_letter(
        self, bus: Bus, path: str, message: OutgoingMessage, reason: str, description: str
    ) -> None:
        await dead_letter(self.engine, bus, path, message, reason, description)

    async def test_a_sender_is_opened_anew_when_the_endpoint_was_away(
        self, bus: Bus, endpoint: Endpoint
    ) -> None:
        await bus.send(QUEUE, [message(1)])
        await endpoint.stop()
        with pytest.raises(BusUnreachable, match=QUEUE):
            await bus.send(QUEUE, [message(2)])
        await endpoint.start()
        await asyncio.gather(*(bus.send(QUEUE, [message(number)]) for number in (3, 4)))
        assert await self.arrived(bus, QUEUE) == [message(1), message(3), message(4)]

    async def test_an_endpoint_that_was_away_between_two_sends_is_not_noticed(
        self, bus: Bus, endpoint: Endpoint
    ) -> None:
        """As when Service Bus has closed a connection that was idle."""
        await bus.send(QUEUE, [message(1)])
        await endpoint.stop()
        await endpoint.start()
        await bus.send(QUEUE, [message(2), message(3)])
        assert await self.arrived(bus, QUEUE) == [message(1), message(2), message(3)]

    async def test_locks_are_lost_with_their_connection_and_the_dead_letters_stay(
        self, bus: Bus, endpoint: Endpoint
    ) -> None:
        """They come again when the locks have expired."""
        for number in (1, 2):
            await self.put_dead_letter(bus, QUEUE, message(number), "reason", "")
        first, second = await bus.receive_dead_letters(QUEUE, 10)
        await endpoint.stop()
        await endpoint.start()
        with pytest.raises(BusUnreachable):
            await bus.complete_dead_letter(QUEUE, first.lock)
        with pytest.raises(MessageLockLost):
            await bus.complete_dead_letter(QUEUE, second.lock)
        left = self.engine.peek(f"{QUEUE}/$DeadLetterQueue", 0, 10)
        assert [each.message_id for each in left] == [message(1).message_id, message(2).message_id]
        assert list(await bus.receive_dead_letters(QUEUE, 10)) == []

    async def test_a_throttled_service_is_told_as_such(self, bus: Bus) -> None:
        await bus.send(QUEUE, [message(1)])
        self.engine.fail_until(datetime.now(UTC).timestamp() + 3600)
        with pytest.raises(BusThrottled):
            await bus.send(QUEUE, [message(2)])
        self.engine.fail_until(0)
        await bus.send(QUEUE, [message(3)])
        assert await self.arrived(bus, QUEUE) == [message(1), message(3)]

    async def test_a_wrong_key_is_told_and_shown_to_nobody(self, endpoint: Endpoint) -> None:
        wrong = WireKeys("d3Jvbmc=", "", "")
        text = servicebus_connection_string(wrong, "127.0.0.1", endpoint.port)
        bus = AzureBus(service_bus_connection({"ServiceBusConnection": text}))
        for call in (bus.send(QUEUE, [message()]), bus.receive_dead_letters(QUEUE, 1)):
            with pytest.raises(BusAccessDenied, match=QUEUE) as refused:
                await call
            assert "d3Jvbmc" not in str(refused.value)
        await bus.close()

    async def test_what_other_senders_put_into_a_body_is_told_as_it_is(
        self, bus: Bus, endpoint: Endpoint
    ) -> None:
        """`value` where ours send `data`, a property that is a number, and no properties at all."""
        async with (
            ServiceBusClient.from_connection_string(endpoint.connection().connection_string or "") as client,
            client.get_queue_sender(QUEUE) as sender,
        ):
            await sender.send_messages(
                [
                    AmqpAnnotatedMessage(value_body="text", application_properties={"count": 7}),
                    AmqpAnnotatedMessage(data_body=[b"two ", b"parts"]),
                ]
            )
        held = await self.engine.receive(QUEUE, 2, "test")
        await self.engine.dead_letter(QUEUE, [each.lock_token for each in held], "why", "")
        dead = await bus.receive_dead_letters(QUEUE, 10)
        assert [each.body for each in dead] == [b"text", b"two parts"]
        assert dead[0].properties["count"] == "7"
        assert dead[1].correlation_id is None
        assert [each.reason for each in dead] == ["why", "why"]

    async def test_closed_it_is_opened_again_by_the_next_call(self, bus: Bus) -> None:
        assert isinstance(bus, AzureBus)
        await bus.send(QUEUE, [message(1)])
        await bus.close()
        await bus.send(QUEUE, [message(2)])
        assert await self.arrived(bus, QUEUE) == [message(1), message(2)]


def test_an_endpoint_that_accepts_and_says_nothing_is_unreachable(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("adapters.azure.bus.TRY_TIMEOUT_S", 0.5)
    caplog.set_level(logging.CRITICAL, "azure.servicebus")  # a line kept in the log would keep the connection

    async def run() -> None:
        held = []
        server = await asyncio.start_server(lambda _, writer: held.append(writer), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        text = servicebus_connection_string(WireKeys("a2V5", "", ""), "127.0.0.1", port)
        bus = AzureBus(service_bus_connection({"ServiceBusConnection": text}))
        async with asyncio.timeout(30):
            sends = (bus.send(QUEUE, [message(number)]) for number in range(5))
            outcomes = await asyncio.gather(*sends, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [BusUnreachable] * 5
        await bus.close()
        for writer in held:
            writer.close()
        server.close()

    asyncio.run(run())
    with warnings.catch_warnings():
        # The SDK (7.15) leaves a connection that was opened and never answered to the garbage collector.
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.mark.parametrize("endpoint_ends_first", [False, True])
async def test_what_nobody_closed_ends_with_the_loop(endpoint: Endpoint, endpoint_ends_first: bool) -> None:
    """Of an app that is told nothing of its end. Warnings of what is left open would be errors here."""
    ours = asyncio.get_running_loop()
    bus = AzureBus(endpoint.connection())

    async def bring_dead_letter() -> None:
        [held] = await endpoint.engine.receive("parked", 1, "test")
        await endpoint.engine.dead_letter("parked", [held.lock_token], "reason", "")

    async def app() -> None:
        await bus.send(QUEUE, [message()])
        await bus.send("parked", [message()])
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(bring_dead_letter(), ours))
        assert len(await bus.receive_dead_letters("parked", 1)) == 1
        if endpoint_ends_first:
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(endpoint.stop(), ours))

    await asyncio.to_thread(asyncio.run, app(), debug=True)
    assert bus._client is None
    async with asyncio.timeout(30):
        while endpoint.server is not None and endpoint.server.connections:  # noqa: ASYNC110  (no event)
            await asyncio.sleep(0.01)
