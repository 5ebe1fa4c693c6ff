"""The bus port: what Service Bus can really do, and no more. Entities are in `topology/servicebus.json`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

MAX_MESSAGE_BYTES = 256 * 1024
"""Body and properties of one message, and of all messages of one send, which is one AMQP transfer (Service
Bus Standard). Who has more to send sends several times, and so says that a part may arrive alone.
"""


class BusError(Exception):
    """A send or a settlement that did not happen, or of which it is not known that it did."""


class EntityNotFound(BusError):
    """No such queue, topic or subscription."""


class MessageTooLarge(BusError):
    """Larger than the entity takes."""


class MessageLockLost(BusError):
    """The lock expired or the message was settled already."""


class BusAccessDenied(BusError):
    """Who the app says it is is not believed, or may not do this."""


class TransientBusError(BusError):
    """Worth repeating."""


class BusThrottled(TransientBusError):
    """The namespace is over its quota of operations."""


class BusUnreachable(TransientBusError):
    """No connection, or no answer."""


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    body: bytes
    message_id: str
    subject: str
    correlation_id: str | None = None
    session_id: str | None = None
    content_type: str = "application/json"
    properties: Mapping[str, str] = field(default_factory=dict)
    scheduled_for: datetime | None = None


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A locked message of a dead-letter queue. `lock` settles it, once."""

    body: bytes
    message_id: str
    subject: str
    correlation_id: str | None
    content_type: str
    properties: Mapping[str, str]
    reason: str
    description: str
    enqueued_at: datetime
    lock: str


class Bus(Protocol):
    async def send(self, entity: str, messages: Sequence[OutgoingMessage]) -> None:
        """Send to a queue or topic, in order, all or nothing. Raises EntityNotFound, MessageTooLarge,
        BusAccessDenied, TransientBusError.

        After a TransientBusError the messages may have arrived all the same. Sending them again is right:
        who receives must cope with a message that comes twice.
        """
        ...

    async def receive_dead_letters(self, entity: str, limit: int) -> Sequence[DeadLetter]:
        """Peek-lock up to `limit` messages of the dead-letter queue of a queue or of
        `topic/Subscriptions/name`.

        Answers at once, with what there is.
        """
        ...

    async def complete_dead_letter(self, entity: str, lock: str) -> None:
        """Raises MessageLockLost."""
        ...

    async def abandon_dead_letter(self, entity: str, lock: str) -> None:
        """Raises MessageLockLost."""
        ...
