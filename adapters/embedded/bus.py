"""The bus port on the emulator's Service Bus engine."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from core.bus import (
    Bus,
    BusError,
    BusThrottled,
    DeadLetter,
    EntityNotFound,
    MessageLockLost,
    MessageTooLarge,
    OutgoingMessage,
)
from emulator import engines
from emulator.servicebus import errors
from emulator.servicebus.engine import ServiceBusEngine
from emulator.servicebus.entities import DEAD_LETTER_SUFFIX
from emulator.servicebus.messages import LockedMessage, Message

OWNER = "app"
"""Who holds the dead letters that the app looks at."""


def _current() -> ServiceBusEngine:
    return engines.current().bus


class EmbeddedBus(Bus):
    """`engine` gives the engine to talk to, by default the one of this emulator process."""

    def __init__(self, engine: Callable[[], ServiceBusEngine] = _current) -> None:
        self._engine = engine

    async def send(self, entity: str, messages: Sequence[OutgoingMessage]) -> None:
        with _errors_of_the_port():
            await self._engine().send(entity, [_message(message) for message in messages])

    async def receive_dead_letters(self, entity: str, limit: int) -> Sequence[DeadLetter]:
        with _errors_of_the_port():
            held = await self._engine().receive(entity + DEAD_LETTER_SUFFIX, limit, OWNER)
        return [_dead_letter(message) for message in held]

    async def complete_dead_letter(self, entity: str, lock: str) -> None:
        with _errors_of_the_port():
            await self._engine().complete(entity + DEAD_LETTER_SUFFIX, [lock])

    async def abandon_dead_letter(self, entity: str, lock: str) -> None:
        with _errors_of_the_port():
            await self._engine().abandon(entity + DEAD_LETTER_SUFFIX, [lock])


@contextmanager
def _errors_of_the_port() -> Iterator[None]:
    try:
        yield
    except errors.EntityNotFound as error:
        raise EntityNotFound(str(error)) from error
    except errors.MessageTooLarge as error:
        raise MessageTooLarge(str(error)) from error
    except errors.MessageLockLost as error:
        raise MessageLockLost(str(error)) from error
    except errors.ServerBusy as error:
        raise BusThrottled(str(error)) from error
    except errors.ServiceBusError as error:
        raise BusError(str(error)) from error


def _message(message: OutgoingMessage) -> Message:
    return Message(
        body=message.body,
        message_id=message.message_id,
        subject=message.subject,
        correlation_id=message.correlation_id,
        content_type=message.content_type,
        session_id=message.session_id,
        properties=message.properties,
        scheduled_for=None if message.scheduled_for is None else message.scheduled_for.timestamp(),
    )


def _dead_letter(message: LockedMessage) -> DeadLetter:
    return DeadLetter(
        body=message.body,
        message_id=message.message_id,
        subject=message.subject or "",
        correlation_id=message.correlation_id,
        content_type=message.content_type or "",
        properties={name: str(value) for name, value in message.properties.items()},
        reason=message.dead_letter_reason or "",
        description=message.dead_letter_description or "",
        enqueued_at=datetime.fromtimestamp(message.enqueued_at, UTC),
        lock=message.lock_token,
    )
