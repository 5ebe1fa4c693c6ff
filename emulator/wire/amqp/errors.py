"""Error conditions: those of AMQP (part 2.8 of the specification) and those of Service Bus."""

from __future__ import annotations

from typing import Final

from emulator.servicebus.errors import (
    EntityNotFound,
    InvalidMessage,
    InvalidOperation,
    MessageLockLost,
    MessageNotFound,
    MessageTooLarge,
    ServerBusy,
    ServiceBusError,
)
from emulator.wire.amqp.replies import Error

NOT_FOUND: Final = "amqp:not-found"
UNAUTHORIZED: Final = "amqp:unauthorized-access"
NOT_ALLOWED: Final = "amqp:not-allowed"
NOT_IMPLEMENTED: Final = "amqp:not-implemented"
INVALID_FIELD: Final = "amqp:invalid-field"
DECODE_ERROR: Final = "amqp:decode-error"
INTERNAL_ERROR: Final = "amqp:internal-error"
RESOURCE_LIMIT: Final = "amqp:resource-limit-exceeded"
FORCED: Final = "amqp:connection:forced"
FRAMING_ERROR: Final = "amqp:connection:framing-error"
UNATTACHED_HANDLE: Final = "amqp:session:unattached-handle"
HANDLE_IN_USE: Final = "amqp:session:handle-in-use"
MESSAGE_SIZE_EXCEEDED: Final = "amqp:link:message-size-exceeded"
LOCK_LOST: Final = "com.microsoft:message-lock-lost"
SERVER_BUSY: Final = "com.microsoft:server-busy"
MESSAGE_NOT_FOUND: Final = "com.microsoft:message-not-found"

_CONDITIONS: Final[dict[type[ServiceBusError], str]] = {
    EntityNotFound: NOT_FOUND,
    InvalidMessage: INVALID_FIELD,
    InvalidOperation: NOT_ALLOWED,
    MessageLockLost: LOCK_LOST,
    MessageNotFound: MESSAGE_NOT_FOUND,
    MessageTooLarge: MESSAGE_SIZE_EXCEEDED,
    ServerBusy: SERVER_BUSY,
}


class ConnectionFailed(Exception):
    """The connection is to be closed with this error."""

    def __init__(self, condition: str, description: str) -> None:
        super().__init__(description)
        self.error = Error(condition, description)


class SessionFailed(Exception):
    """The session is to be ended with this error."""

    def __init__(self, condition: str, description: str) -> None:
        super().__init__(description)
        self.error = Error(condition, description)


class LinkRefused(Exception):
    """The link is not to be attached, for this error."""

    def __init__(self, condition: str, description: str) -> None:
        super().__init__(description)
        self.error = Error(condition, description)


def error_of(error: Exception) -> Error:
    """What a peer is told of an engine's or the disk's error."""
    for kind in type(error).__mro__:
        if kind in _CONDITIONS:
            return Error(_CONDITIONS[kind], str(error))
    return Error(INTERNAL_ERROR, f"{type(error).__name__}: {error}")
