"""Looking through one dead-letter queue.

"With what there is": AMQP has no such question. A receiver grants credit and waits, and what comes later it
is given too, locked, until somebody looks. So this asks first whether there is anything (peek: a request with
an answer, usually no), receives only then, and closes the receiver, whose credit would go on taking messages,
once it holds no lock.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusReceiver
from azure.servicebus.amqp import AmqpMessageBodyType

from adapters.azure.bus_errors import errors_of_the_port
from adapters.azure.lifetime import give_up
from core.bus import BusError, DeadLetter, MessageLockLost

WAIT_S = 1.0
"""For the first message, when there is one: it may be locked by another, and then none comes."""


class DeadLetterQueue:
    """`new_receiver` gives a receiver of the dead-letter queue of `entity` that is not open yet."""

    def __init__(self, entity: str, new_receiver: Callable[[], ServiceBusReceiver]) -> None:
        self._entity = entity
        self._new_receiver = new_receiver
        self._receiver: ServiceBusReceiver | None = None
        self._locked: dict[str, ServiceBusReceivedMessage] = {}
        self._turn = asyncio.Lock()  # a receiver does not bear two calls at once

    async def receive(self, limit: int) -> Sequence[DeadLetter]:
        async with self._turn:
            now = datetime.now(UTC)
            self._locked = {lock: one for lock, one in self._locked.items() if _locked_until(one) > now}
            try:
                with errors_of_the_port(self._entity):
                    receiver = await self._opened()
                    if not await receiver.peek_messages(1, sequence_number=1):
                        # Each open receiver is a connection, and the official emulator takes ten.
                        await self._close_if_idle()
                        return []
                    received = await receiver.receive_messages(limit, max_wait_time=WAIT_S)
            except BusError:
                await self._close()  # the locks it held expire by themselves
                raise
            self._locked |= {str(message.lock_token): message for message in received}
            await self._close_if_idle()
            return [_dead_letter(message) for message in received]

    async def complete(self, lock: str) -> None:
        """Raises MessageLockLost."""
        await self._settle(lock, ServiceBusReceiver.complete_message)

    async def abandon(self, lock: str) -> None:
        """Raises MessageLockLost."""
        await self._settle(lock, ServiceBusReceiver.abandon_message)

    async def close(self) -> None:
        """Another call opens it again."""
        async with self._turn:
            await self._close()

    async def _settle(
        self, lock: str, settle: Callable[[ServiceBusReceiver, ServiceBusReceivedMessage], Awaitable[None]]
    ) -> None:
        async with self._turn:
            message = self._locked.pop(lock, None)
            if message is None or self._receiver is None:
                raise MessageLockLost(f"{self._entity}: {lock} is not held")
            try:
                with errors_of_the_port(self._entity):
                    await settle(self._receiver, message)
            except MessageLockLost:
                await self._close_if_idle()
                raise
            except BusError:
                await self._close()
                raise
            await self._close_if_idle()

    async def _opened(self) -> ServiceBusReceiver:
        if self._receiver is None:
            self._receiver = self._new_receiver()
            await self._receiver.__aenter__()
        return self._receiver

    async def _close_if_idle(self) -> None:
        if not self._locked:
            await self._close()

    async def _close(self) -> None:
        receiver, self._receiver = self._receiver, None
        self._locked.clear()
        if receiver is not None:
            await give_up(receiver)


def _locked_until(message: ServiceBusReceivedMessage) -> datetime:
    return message.locked_until_utc or datetime.max.replace(tzinfo=UTC)


def _dead_letter(message: ServiceBusReceivedMessage) -> DeadLetter:
    data = message.body_type is AmqpMessageBodyType.DATA
    return DeadLetter(
        body=b"".join(message.body) if data else _text(message.body).encode(),
        message_id=message.message_id or "",
        subject=message.subject or "",
        correlation_id=message.correlation_id,
        content_type=message.content_type or "",
        properties={
            _text(name): _text(value) for name, value in (message.application_properties or {}).items()
        },
        reason=message.dead_letter_reason or "",
        description=message.dead_letter_error_description or "",
        enqueued_at=message.enqueued_time_utc or datetime.fromtimestamp(0, UTC),
        lock=str(message.lock_token),
    )


def _text(value: object) -> str:
    """The SDK gives strings as bytes."""
    return value.decode() if isinstance(value, bytes) else str(value)
