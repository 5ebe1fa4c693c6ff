"""The bus port on Azure Service Bus, by `azure-servicebus`.

The one client holds what all senders and receivers are made with. It has no connection itself: in the SDK
(7.15) each sender and receiver opens its own, so it is they that are opened anew when one breaks. Nothing is
opened before the first call, which must come on the loop that the app runs on; another loop may follow once
this one has ended or `close` was called.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import UTC
from uuid import UUID

from azure.core.credentials_async import AsyncTokenCredential
from azure.servicebus import ServiceBusMessage, ServiceBusSubQueue
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver

from adapters.azure.connections import Connection, identity
from adapters.azure.dead_letters import DeadLetterQueue
from adapters.azure.lifetime import Closable, close_with_loop, give_up
from adapters.azure.outbox import Outbox
from core.bus import Bus, DeadLetter, EntityNotFound, MessageLockLost, OutgoingMessage

TRY_TIMEOUT_S = 15.0
"""For opening a connection and for one attempt to send: TLS, a token and three round trips, or an answer."""

_SUBSCRIPTIONS = "/Subscriptions/"


class AzureBus(Bus):
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._client: ServiceBusClient | None = None
        self._credential: AsyncTokenCredential | None = None
        self._outboxes: dict[str, Outbox] = {}
        self._dead_letters: dict[str, DeadLetterQueue] = {}
        self._closing: AsyncGenerator[None] | None = None

    async def send(self, entity: str, messages: Sequence[OutgoingMessage]) -> None:
        if _SUBSCRIPTIONS in entity:
            raise EntityNotFound(f"{entity}: a subscription is sent to by its topic")
        if not messages:
            return
        outgoing = [_outgoing(message) for message in messages]
        client = await self._opened()
        outbox = self._outboxes.get(entity)
        if outbox is None:
            outbox = self._outboxes[entity] = Outbox(entity, lambda: client.get_queue_sender(entity))
        await outbox.send(outgoing)

    async def receive_dead_letters(self, entity: str, limit: int) -> Sequence[DeadLetter]:
        client = await self._opened()
        queue = self._dead_letters.get(entity)
        if queue is None:
            queue = self._dead_letters[entity] = DeadLetterQueue(entity, _receiver(client, entity))
        return await queue.receive(limit)

    async def complete_dead_letter(self, entity: str, lock: str) -> None:
        await self._held(entity).complete(lock)

    async def abandon_dead_letter(self, entity: str, lock: str) -> None:
        await self._held(entity).abandon(lock)

    async def close(self) -> None:
        """What is being sent is sent first. Another call opens everything again."""
        closing, self._closing = self._closing, None
        if closing is not None:
            await closing.aclose()

    async def _opened(self) -> ServiceBusClient:
        if self._client is None:
            self._client = client = self._new_client()
            self._closing = await close_with_loop(self._close)
            return client
        return self._client

    def _new_client(self) -> ServiceBusClient:
        text = self._connection.connection_string
        # No retries in the SDK, which would multiply with those of the outbox and of core/resilience.py.
        if text is not None:
            return ServiceBusClient.from_connection_string(text, retry_total=0, try_timeout=TRY_TIMEOUT_S)
        self._credential = identity(self._connection)
        return ServiceBusClient(
            self._connection.endpoint, self._credential, retry_total=0, try_timeout=TRY_TIMEOUT_S
        )

    async def _close(self) -> None:
        credential, self._credential = self._credential, None
        parts: list[Closable] = [*self._outboxes.values(), *self._dead_letters.values()]
        self._client, self._closing, self._outboxes, self._dead_letters = None, None, {}, {}
        # When the loop ends, the SDK's own tasks are cancelled already, and waiting for those is an error.
        await asyncio.gather(*map(give_up, parts), return_exceptions=True)
        if credential is not None:
            await give_up(credential)

    def _held(self, entity: str) -> DeadLetterQueue:
        queue = self._dead_letters.get(entity)
        if queue is None:
            raise MessageLockLost(f"{entity}: nothing is held")
        return queue


def _receiver(client: ServiceBusClient, entity: str) -> Callable[[], ServiceBusReceiver]:
    name, separator, subscription = entity.partition(_SUBSCRIPTIONS)

    def new_receiver() -> ServiceBusReceiver:
        if separator:
            return client.get_subscription_receiver(
                name, subscription, sub_queue=ServiceBusSubQueue.DEAD_LETTER
            )
        return client.get_queue_receiver(name, sub_queue=ServiceBusSubQueue.DEAD_LETTER)

    return new_receiver


def _outgoing(message: OutgoingMessage) -> ServiceBusMessage:
    scheduled = message.scheduled_for
    properties: dict[str | bytes, int | float | bytes | bool | str | UUID] = {}
    properties.update(message.properties)
    return ServiceBusMessage(
        message.body,
        application_properties=properties or None,
        session_id=message.session_id,
        message_id=message.message_id,
        scheduled_enqueue_time_utc=None if scheduled is None else scheduled.astimezone(UTC),
        content_type=message.content_type,
        correlation_id=message.correlation_id,
        subject=message.subject,
    )
