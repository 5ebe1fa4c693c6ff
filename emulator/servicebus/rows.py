"""Between messages and rows of `bus_messages`, and between lock tokens and what stands for them there."""

from dataclasses import astuple, dataclass
from typing import Any

import orjson

from emulator.servicebus.errors import MessageTooLarge
from emulator.servicebus.messages import LockedMessage, Message, StoredMessage
from emulator.servicebus.schema import NEVER, SCHEDULED

MAX_MESSAGE_BYTES = 256 * 1024
"""Body and properties of one message, and of all that are sent in one call (Service Bus Standard)."""

CONTENT = "message_id, subject, correlation_id, content_type, headers, properties, body"
STORED = (
    f"{CONTENT}, sequence, enqueue_sequence, enqueued_at, expires_at, delivery_count, reason, description, "
    "state, due_at"
)
SEQUENCE, DELIVERY_COUNT = 7, 11
"""Where these are among the columns STORED."""

type Row = tuple[Any, ...]
type Content = tuple[str, str | None, str | None, str | None, str | None, str | None, bytes]


@dataclass(frozen=True, slots=True)
class Headers:
    """What a message seldom has. One column, NULL when it has none."""

    session_id: str | None = None
    to: str | None = None
    reply_to: str | None = None
    reply_to_session_id: str | None = None
    partition_key: str | None = None


_NO_HEADERS = Headers()


def encode(message: Message) -> tuple[Content, int]:
    """The content columns and the size in bytes. Raises MessageTooLarge."""
    properties = orjson.dumps(dict(message.properties)).decode() if message.properties else None
    headers = None
    if (
        message.session_id is not None
        or message.to is not None
        or message.reply_to is not None
        or message.reply_to_session_id is not None
        or message.partition_key is not None
    ):
        given = Headers(
            message.session_id,
            message.to,
            message.reply_to,
            message.reply_to_session_id,
            message.partition_key,
        )
        headers = orjson.dumps(astuple(given)).decode()
    texts = (
        f"{message.message_id}{message.subject or ''}{message.correlation_id or ''}"
        f"{message.content_type or ''}{properties or ''}{headers or ''}"
    )
    size = len(message.body) + len(texts.encode())
    if size > MAX_MESSAGE_BYTES:
        raise MessageTooLarge(
            f"message {message.message_id!r}: {size} bytes, at most {MAX_MESSAGE_BYTES} are taken"
        )
    content = (
        message.message_id,
        message.subject,
        message.correlation_id,
        message.content_type,
        headers,
        properties,
        message.body,
    )
    return content, size


def decode(content: Content) -> Message:
    """What `encode` was given, without its times."""
    message_id, subject, correlation_id, content_type, headers, properties, body = content
    given = Headers(*orjson.loads(headers)) if headers else _NO_HEADERS
    return Message(
        body=body,
        message_id=message_id,
        subject=subject,
        correlation_id=correlation_id,
        content_type=content_type,
        session_id=given.session_id,
        to=given.to,
        reply_to=given.reply_to,
        reply_to_session_id=given.reply_to_session_id,
        partition_key=given.partition_key,
        properties=orjson.loads(properties) if properties else {},
    )


def stored(row: Row) -> StoredMessage:
    """`row` has the columns STORED."""
    return StoredMessage(*_stored(row))


def locked(row: Row, nonce_text: str, locked_until: int) -> LockedMessage:
    """`row` has the columns STORED, `locked_until` is in milliseconds."""
    sequence: int = row[SEQUENCE]
    token = f"{nonce_text}-{sequence >> 48:04x}-{sequence & 0xFFFFFFFFFFFF:012x}"
    return LockedMessage(*(*_stored(row), token, locked_until / 1000))


def _stored(row: Row) -> tuple[Any, ...]:
    (message_id, subject, correlation_id, content_type, headers, properties, body) = row[:7]
    (
        sequence,
        enqueue_sequence,
        enqueued_at,
        expires_at,
        delivery_count,
        reason,
        description,
        state,
        due_at,
    ) = row[7:]
    return (
        body,
        message_id,
        subject,
        correlation_id,
        content_type,
        *(orjson.loads(headers) if headers else (None, None, None, None, None)),
        orjson.loads(properties) if properties else {},
        sequence,
        enqueue_sequence or sequence,
        enqueued_at / 1000,
        None if expires_at >= NEVER else expires_at / 1000,
        delivery_count,
        reason,
        description,
        "scheduled" if state == SCHEDULED else "active",
        due_at / 1000 if state == SCHEDULED else None,
    )


def nonce_text(nonce: int) -> str:
    """The first 64 bits of the lock tokens of one receive; the last 64 are the message's sequence number.

    So a token names its row, without an index on tokens, in whichever process it is settled.
    """
    digits = f"{nonce:016x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:]}"


def parse_token(token: str) -> tuple[int, int]:
    """Nonce and sequence number; of a string that is no token, those of no message."""
    digits = token.replace("-", "")
    try:
        nonce, sequence = int(digits[:16], 16), int(digits[16:], 16)
    except ValueError:
        return 0, 0
    return (nonce, sequence) if nonce < NEVER * 2 and sequence < NEVER * 2 else (0, 0)
