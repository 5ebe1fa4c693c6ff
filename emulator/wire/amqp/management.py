"""Requests to `<entity>/$management`, answered from the engine.

Operations and their bodies: https://learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-request-response
Status codes are those that Microsoft's .NET client pairs with each error condition (AmqpExceptionHelper.cs).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from emulator.servicebus.engine import ServiceBusEngine
from emulator.servicebus.errors import ServiceBusError
from emulator.servicebus.messages import LockedMessage, Message, StoredMessage
from emulator.wire.amqp.errors import (
    LOCK_LOST,
    MESSAGE_NOT_FOUND,
    MESSAGE_SIZE_EXCEEDED,
    NOT_ALLOWED,
    NOT_FOUND,
    NOT_IMPLEMENTED,
    SERVER_BUSY,
    error_of,
)
from emulator.wire.amqp.message_decoding import decode_message
from emulator.wire.amqp.message_encoding import encode_message
from emulator.wire.amqp.values import Array, DecodeError, Value

MAX_PEEKED: Final = 250
MAX_PEEKED_BYTES: Final = 1024 * 1024
"""An answer has fewer messages than were asked for when they would be more than this; at least one."""

_ARGUMENT_ERROR: Final = "com.microsoft:argument-error"
_RECEIVE_AND_DELETE, _PEEK_LOCK = 0, 1
"""receiver-settle-mode of receive-by-sequence-number."""


@dataclass(frozen=True, slots=True)
class ManagementAnswer:
    """`condition` is the errorCondition, a symbol; `body` the value of the answer's body."""

    status: int
    description: str
    condition: str | None = None
    body: Value = None


class _Refused(Exception):
    def __init__(self, status: int, condition: str, description: str) -> None:
        super().__init__(description)
        self.answer = ManagementAnswer(status, description, condition)


@dataclass(frozen=True, slots=True)
class _Request:
    """`owner` is whoever locks, by the name of its link."""

    engine: ServiceBusEngine
    path: str
    body: Mapping[Value, Value]
    owner: str


type _Operation = Callable[[_Request], Awaitable[ManagementAnswer]]


async def handle(
    engine: ServiceBusEngine,
    entity_path: str,
    operation: str,
    body: Value,
    properties: Mapping[str, Value],
) -> ManagementAnswer:
    """`body` is the value of the request's body, `properties` are its application properties.

    What is refused changed nothing, but for an update of several locks of which some are lost: the others
    are settled. What the store raises is passed on.
    """
    perform = _OPERATIONS.get(operation)
    if perform is None:
        return _no_such_operation(operation)
    if not isinstance(body, dict):
        return ManagementAnswer(400, "the body must be a map", _ARGUMENT_ERROR)
    if body.get("session-id") is not None:
        return _NO_SESSIONS
    owner = properties.get("associated-link-name")
    try:
        return await perform(_Request(engine, entity_path, body, owner if isinstance(owner, str) else "amqp"))
    except _Refused as refused:
        return refused.answer
    except ServiceBusError as error:
        told = error_of(error)
        return ManagementAnswer(_STATUS.get(told.condition, 500), told.description, told.condition)


async def _renew_lock(request: _Request) -> ManagementAnswer:
    tokens = _lock_tokens(request)
    until = await request.engine.renew(request.path, tokens)
    expirations = Array("timestamp", [round(until * 1000)] * len(tokens))
    return _ok({"expirations": expirations})


async def _peek_message(request: _Request) -> ManagementAnswer:
    first = _number(request, "from-sequence-number")
    count = _number(request, "message-count")
    if count < 1:
        raise _bad("message-count must be 1 or more")
    entries: list[Value] = []
    size = 0
    for message in request.engine.peek(request.path, first, min(count, MAX_PEEKED)):
        data = encode_message(message)
        size += len(data)
        if entries and size > MAX_PEEKED_BYTES:
            break
        entries.append({"message": data})
    return _ok({"messages": entries}) if entries else ManagementAnswer(204, "No Content")


async def _receive_by_sequence_number(request: _Request) -> ManagementAnswer:
    numbers = _numbers(request, "sequence-numbers")
    mode = _number(request, "receiver-settle-mode")
    messages: list[StoredMessage] = []
    if mode == _RECEIVE_AND_DELETE:
        messages += await request.engine.receive_and_delete_deferred(request.path, numbers)
    elif mode == _PEEK_LOCK:
        messages += await request.engine.receive_deferred(request.path, numbers, request.owner)
    else:
        raise _bad("receiver-settle-mode must be 0 or 1")
    return _ok({"messages": [_entry(message) for message in messages]})


def _entry(message: StoredMessage) -> Value:
    data = encode_message(message)
    if isinstance(message, LockedMessage):
        return {"message": data, "lock-token": UUID(message.lock_token)}
    return {"message": data}


async def _update_disposition(request: _Request) -> ManagementAnswer:
    engine, path = request.engine, request.path
    tokens = _lock_tokens(request)
    if request.body.get("properties-to-modify"):
        raise _Refused(501, NOT_IMPLEMENTED, "properties-to-modify is not served")
    match request.body.get("disposition-status"):
        case "completed":
            await engine.complete(path, tokens)
        case "abandoned":
            await engine.abandon(path, tokens)
        case "defered":
            await engine.defer(path, tokens)
        case "suspended":
            reason = _text(request, "deadletter-reason")
            await engine.dead_letter(path, tokens, reason, _text(request, "deadletter-description"))
        case other:
            raise _bad(
                f"disposition-status must be completed, abandoned, defered or suspended, found {other!r}"
            )
    return _ok(None)


async def _schedule_message(request: _Request) -> ManagementAnswer:
    entries = request.body.get("messages")
    if not isinstance(entries, list) or not entries:
        raise _bad("messages must be a list of at least one")
    messages = [_scheduled(entry) for entry in entries]
    numbers = await request.engine.send(request.path, messages)
    return _ok({"sequence-numbers": Array("long", numbers)})


def _scheduled(entry: Value) -> Message:
    data = entry.get("message") if isinstance(entry, dict) else None
    if not isinstance(data, bytes):
        raise _bad("each of messages must be a map with the binary message")
    try:
        message = decode_message(data)
    except DecodeError as error:
        raise _bad(f"message: {error}") from error
    if message.scheduled_for is None:
        raise _bad("a message to schedule needs the annotation x-opt-scheduled-enqueue-time")
    return message


async def _cancel_scheduled_message(request: _Request) -> ManagementAnswer:
    await request.engine.cancel_scheduled(request.path, _numbers(request, "sequence-numbers"))
    return _ok(None)


def _ok(body: Value) -> ManagementAnswer:
    return ManagementAnswer(200, "OK", body=body)


def _bad(description: str) -> _Refused:
    return _Refused(400, _ARGUMENT_ERROR, description)


def _lock_tokens(request: _Request) -> list[str]:
    values = request.body.get("lock-tokens")
    if not isinstance(values, list) or not values:
        raise _bad("lock-tokens must be an array of at least one UUID")
    tokens = []
    for value in values:
        if not isinstance(value, UUID):
            raise _bad(f"lock-tokens must be UUIDs, found {value!r}")
        tokens.append(str(value))
    return tokens


def _number(request: _Request, name: str) -> int:
    value = request.body.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not -(2**63) <= value < 2**63:
        raise _bad(f"{name} must be an integer, found {value!r}")
    return value


def _numbers(request: _Request, name: str) -> list[int]:
    values = request.body.get(name)
    if not isinstance(values, list) or not values:
        raise _bad(f"{name} must be an array of at least one long")
    numbers = []
    for value in values:
        if not isinstance(value, int) or isinstance(value, bool) or not -(2**63) <= value < 2**63:
            raise _bad(f"{name} must be longs, found {value!r}")
        numbers.append(value)
    return numbers


def _text(request: _Request, name: str) -> str:
    value = request.body.get(name)
    if value is not None and not isinstance(value, str):
        raise _bad(f"{name} must be a string, found {value!r}")
    return value or ""


def _no_such_operation(operation: str) -> ManagementAnswer:
    if operation in _SESSION_OPERATIONS:
        return _NO_SESSIONS
    return ManagementAnswer(501, f"the operation {operation!r} is not served", NOT_IMPLEMENTED)


_NO_SESSIONS: Final = ManagementAnswer(
    400, "the entity does not require sessions, and none are served", NOT_ALLOWED
)
_SESSION_OPERATIONS: Final = {
    "com.microsoft:get-message-sessions",
    "com.microsoft:get-session-state",
    "com.microsoft:renew-session-lock",
    "com.microsoft:set-session-state",
}
_OPERATIONS: Final[dict[str, _Operation]] = {
    "com.microsoft:cancel-scheduled-message": _cancel_scheduled_message,
    "com.microsoft:peek-message": _peek_message,
    "com.microsoft:receive-by-sequence-number": _receive_by_sequence_number,
    "com.microsoft:renew-lock": _renew_lock,
    "com.microsoft:schedule-message": _schedule_message,
    "com.microsoft:update-disposition": _update_disposition,
}
_STATUS: Final = {
    LOCK_LOST: 410,
    MESSAGE_NOT_FOUND: 404,
    MESSAGE_SIZE_EXCEEDED: 403,
    NOT_ALLOWED: 400,
    NOT_FOUND: 404,
    SERVER_BUSY: 503,
}
