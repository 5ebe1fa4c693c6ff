"""Tokens of the real SDK: refreshed on the connection that they opened, expired, refused."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from azure.core.credentials import AccessToken, AzureNamedKeyCredential, AzureSasCredential
from azure.servicebus import ServiceBusMessage
from azure.servicebus._pyamqp.error import TokenAuthFailure
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.exceptions import ServiceBusAuthenticationError, ServiceBusAuthorizationError

from emulator.clock import SystemClock
from emulator.wire.amqp.performatives import ATTACH, DETACH, OPEN
from emulator.wire.amqp.tokens import sign
from emulator.wire.keys import KEY_NAME
from tests.wire.sdk import HeardFrame, heard_of
from tests.wire.wire_endpoints import QUEUES, Wire, serving

QUEUE = "queue-0"
LIFE_S = 3600


class MovedClock(SystemClock):
    """The endpoint's clock and, while it is patched in, the one by which the SDK refreshes its tokens."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def time(self) -> float:
        return super().time() + self.ahead_s

    def utc_now(self) -> datetime:
        return datetime.fromtimestamp(self.time(), UTC)


class Credential:
    """As the SDK's own for a shared key, which gives tokens for an hour."""

    token_type = b"servicebus.windows.net:sastoken"

    def __init__(self, clock: MovedClock, key: str, life_s: int = LIFE_S) -> None:
        self.key = key
        self.given = 0
        self._clock = clock
        self._life_s = life_s

    async def get_token(self, *scopes: str, **_: object) -> AccessToken:
        self.given += 1
        expires_at = int(self._clock.time()) + self._life_s
        # The SDK is told of an hour in any case: what happens when it does not refresh in time?
        return AccessToken(sign(scopes[0], expires_at, self.key), int(self._clock.time()) + LIFE_S)


def client_of(wire: Wire, credential: object, **options: object) -> ServiceBusClient:
    return ServiceBusClient(f"127.0.0.1:{wire.amqp.port}", credential, use_tls=False, **options)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> MovedClock:
    clock = MovedClock()
    for module in ("azure.servicebus._pyamqp.cbs", "azure.servicebus._pyamqp.aio._cbs_async"):
        monkeypatch.setattr(f"{module}.utc_now", clock.utc_now)
    return clock


@asynccontextmanager
async def moved(folder: Path, clock: MovedClock) -> AsyncIterator[Wire]:
    async with serving(folder, topology=QUEUES, clock=clock) as wire:
        yield wire


def why(error: ServiceBusAuthenticationError) -> tuple[int, str]:
    """Status and reason of the answer to put-token, which the SDK's own text leaves out."""
    failure = error.inner_exception
    assert isinstance(failure, TokenAuthFailure)
    return failure.status_code, failure.status_description.decode().partition(":")[0]


async def test_a_token_is_refreshed_on_the_same_links_and_counts_from_then_on(
    tmp_path: Path, clock: MovedClock, heard: list[HeardFrame]
) -> None:
    async with moved(tmp_path, clock) as wire:
        credential = Credential(clock, wire.keys.servicebus_key)
        async with (
            client_of(wire, credential, retry_total=0) as client,
            client.get_queue_sender(QUEUE) as sender,
        ):
            await sender.send_messages(ServiceBusMessage("1"))
            links = len(heard_of(heard, ATTACH))
            clock.ahead_s = 0.95 * LIFE_S
            await sender.send_messages(ServiceBusMessage("2"))
            assert (credential.given, len(heard_of(heard, ATTACH))) == (2, links)
            clock.ahead_s = 1.5 * LIFE_S  # the first token has expired
            await sender.schedule_messages(ServiceBusMessage("3"), clock.utc_now())  # on new links
        assert len(heard_of(heard, OPEN)) == 1
        assert wire.held(QUEUE) == ["1", "2", "3"]


async def test_a_refresh_that_is_refused_is_told_and_another_token_is_taken(
    tmp_path: Path, clock: MovedClock
) -> None:
    async with moved(tmp_path, clock) as wire:
        credential = Credential(clock, wire.keys.servicebus_key)
        async with (
            client_of(wire, credential, retry_total=0) as client,
            client.get_queue_sender(QUEUE) as sender,
        ):
            await sender.send_messages(ServiceBusMessage("1"))
            clock.ahead_s = 0.95 * LIFE_S
            right, credential.key = credential.key, "d3Jvbmc="
            async with asyncio.timeout(10):
                with pytest.raises(ServiceBusAuthenticationError) as refused:
                    await sender.send_messages(ServiceBusMessage("2"))
            assert why(refused.value) == (401, "InvalidSignature")
            credential.key = right
            await sender.send_messages(ServiceBusMessage("3"))
        assert wire.held(QUEUE) == ["1", "3"]


async def test_links_end_with_a_token_that_was_not_refreshed_and_the_sdk_gets_another(
    tmp_path: Path, clock: MovedClock, heard: list[HeardFrame]
) -> None:
    clock.ahead_s = 0.7 - clock.time() % 1  # the token's second is over soon
    async with moved(tmp_path, clock) as wire:
        credential = Credential(clock, wire.keys.servicebus_key, life_s=1)
        async with (
            client_of(wire, credential, retry_total=1, retry_backoff_factor=0.01) as client,
            client.get_queue_receiver(QUEUE) as receiver,
        ):
            with pytest.raises(ServiceBusAuthorizationError, match="ExpiredToken"):
                await receiver.receive_messages(max_wait_time=5)
            assert [each[2][0] for each in heard_of(heard, DETACH)] == [b"amqp:unauthorized-access"]
            await wire.put(QUEUE, "x")
            assert len(await receiver.receive_messages(max_wait_time=5)) == 1
            assert credential.given == 2


async def test_every_credential_of_the_sdk_is_taken(tmp_path: Path) -> None:
    async with serving(tmp_path, topology=QUEUES) as wire:
        key = wire.keys.servicebus_key
        token = sign(f"sb://127.0.0.1:{wire.amqp.port}/{QUEUE}", int(SystemClock().time()) + 60, key)
        credentials = (AzureNamedKeyCredential(KEY_NAME, key), AzureSasCredential(token))
        for credential in credentials:
            async with (
                client_of(wire, credential, retry_total=0) as client,
                client.get_queue_sender(QUEUE) as sender,
            ):
                await sender.send_messages(ServiceBusMessage("x"))
        async with client_of(wire, credentials[1], retry_total=0) as client:
            with pytest.raises(ServiceBusAuthenticationError) as refused:
                await client.get_queue_sender("queue-1").send_messages(ServiceBusMessage("x"))
            assert why(refused.value) == (401, "InvalidAudience")
        assert len(wire.held(QUEUE)) == 2
