"""Between messages and rows of `bus_messages`, and between lock tokens and what stands for them there."""

from base64 import b64decode
from typing import Any

import orjson

from emulator.servicebus import properties
from emulator.servicebus.errors import MessageTooLarge
from emulator.servicebus.messages import LockedMessage, Message, State, StoredMessage
from emulator.servicebus.schema import DEFERRED, DEFERRED_LOCKED, LOCKED, NEVER, READY, SCHEDULED

MAX_MESSAGE_BYTES = 256 * 1024
"""Body and properties of one message, and of all that are sent in one call (Service Bus Standard)."""

CONTENT = "message_id, subject, correlation_id, content_type, headers, properties, body"
STORED = (
    f"{CONTENT}, sequence, enqueue_sequence, enqueued_at, expires_at, delivery_count, reason, description, "
    "state, due_at"
)
SEQUENCE, EXPIRES_AT, DELIVERY_COUNT = 7, 10, 11
"""Where these are among the columns STORED."""

type Row = tuple[Any, ...]
type Content = tuple[str, str | None, str | None, str | None, str | bytes | None, str | None, bytes]
type Headers = tuple[str | None, str | None, str | None, str | None, str | None]
"""Session id, to, reply to, reply to session id and partition key: what a message seldom has."""

_HEADERS_END = b"\n"
"""Between headers as JSON, which has no line break, and `Message.amqp`: the column is then a blob."""

_NO_HEADERS: Headers = (None, None, None, None, None)
_STATES: dict[int, State] = {
    READY: "active",
    LOCKED: "active",
    SCHEDULED: "scheduled",
    DEFERRED: "deferred",
    DEFERRED_LOCKED: "deferred",
}


def encode(message: Message) -> tuple[Content, int]:
    """The content columns and the size in bytes. Raises MessageTooLarge, InvalidMessage."""
    custom = properties.encode(message.properties) if message.properties else None
    given: Headers = (
        message.session_id,
        message.to,
        message.reply_to,
        message.reply_to_session_id,
        message.partition_key,
    )
    seldom = "" if given == _NO_HEADERS else orjson.dumps(given).decode()
    texts = (
        f"{message.message_id}{message.subject or ''}{message.correlation_id or ''}"
        f"{message.content_type or ''}{custom or ''}{seldom}"
    )
    texts_bytes = len(texts.encode())
    headers: str | bytes | None = seldom or None
    if message.amqp is not None:  # says what the texts say, and its sender counts in it
        headers = seldom.encode() + _HEADERS_END + message.amqp
        texts_bytes = min(texts_bytes, len(message.amqp))
    size = len(message.body) + texts_bytes
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
        custom,
        message.body,
    )
    return content, size


def decode(content: Content) -> Message:
    """What `encode` was given, without its times."""
    message_id, subject, correlation_id, content_type, headers, custom, body = content
    given, amqp = _headers(headers)
    return Message(
        body=body,
        message_id=message_id,
        subject=subject,
        correlation_id=correlation_id,
        content_type=content_type,
        session_id=given[0],
        to=given[1],
        reply_to=given[2],
        reply_to_session_id=given[3],
        partition_key=given[4],
        amqp=amqp,
        properties=properties.decode(custom) if custom else {},
    )


def _headers(kept: str | bytes | None) -> tuple[Headers, bytes | None]:
    if kept is None:
        return _NO_HEADERS, None
    if isinstance(kept, bytes):
        given, _, amqp = kept.partition(_HEADERS_END)
        return tuple(orjson.loads(given)) if given else _NO_HEADERS, amqp
    session_id, to, reply_to, reply_to_session_id, partition_key, *more = orjson.loads(kept)
    amqp_of_version_2 = b64decode(more[0]) if more else None
    return (session_id, to, reply_to, reply_to_session_id, partition_key), amqp_of_version_2


def stored(row: Row) -> StoredMessage:
    """`row` has the columns STORED."""
    return StoredMessage(*_stored(row))


def locked(row: Row, nonce_text: str, locked_until: int) -> LockedMessage:
    """`row` has the columns STORED, `locked_until` is in milliseconds."""
    sequence: int = row[SEQUENCE]
    token = f"{nonce_text}-{sequence >> 48:04x}-{sequence & 0xFFFFFFFFFFFF:012x}"
    return LockedMessage(*(*_stored(row), token, locked_until / 1000))


def _stored(row: Row) -> tuple[Any, ...]:
    (
        message_id,
        subject,
        correlation_id,
        content_type,
        headers,
        custom,
        body,
        sequence,
        enqueue_sequence,
        enqueued_at,
        expires_at,
        delivery_count,
        reason,
        description,
        state,
        due_at,
    ) = row
    given, amqp = _headers(headers)
    return (
        body,
        message_id,
        subject,
        correlation_id,
        content_type,
        *given,
        amqp,
        properties.decode(custom) if custom else {},
        sequence,
        enqueue_sequence or sequence,
        enqueued_at / 1000,
        None if expires_at >= NEVER else expires_at / 1000,
        delivery_count,
        reason,
        description,
        _STATES[state],
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
    try:
        nonce, sequence = divmod(int(token.replace("-", ""), 16), 2**64)
    except ValueError:
        return 0, 0
    return (nonce, sequence) if nonce < NEVER * 2 and sequence < NEVER * 2 else (0, 0)
