"""The errors of the Service Bus SDK as those of the port."""

from collections.abc import Iterator
from contextlib import contextmanager

from azure.core.exceptions import AzureError, ClientAuthenticationError
from azure.servicebus.exceptions import (
    MessageAlreadySettled,
    MessageLockLostError,
    MessageNotFoundError,
    MessageSizeExceededError,
    MessagingEntityDisabledError,
    MessagingEntityNotFoundError,
    OperationTimeoutError,
    ServiceBusAuthenticationError,
    ServiceBusAuthorizationError,
    ServiceBusCommunicationError,
    ServiceBusConnectionError,
    ServiceBusError,
    ServiceBusQuotaExceededError,
    ServiceBusServerBusyError,
    SessionLockLostError,
)

from core.bus import (
    BusAccessDenied,
    BusError,
    BusThrottled,
    BusUnreachable,
    EntityNotFound,
    MessageLockLost,
    MessageTooLarge,
    TransientBusError,
)

_ERRORS: tuple[tuple[type[BusError], tuple[type[Exception], ...]], ...] = (
    (EntityNotFound, (MessagingEntityNotFoundError,)),
    (MessageTooLarge, (MessageSizeExceededError,)),
    (
        MessageLockLost,
        (MessageLockLostError, MessageAlreadySettled, MessageNotFoundError, SessionLockLostError),
    ),
    (BusThrottled, (ServiceBusServerBusyError, ServiceBusQuotaExceededError)),
    (
        BusAccessDenied,
        (ServiceBusAuthenticationError, ServiceBusAuthorizationError, ClientAuthenticationError),
    ),
    (
        BusUnreachable,
        (
            ServiceBusConnectionError,
            ServiceBusCommunicationError,
            OperationTimeoutError,
            TimeoutError,
            OSError,
        ),
    ),
    (TransientBusError, (MessagingEntityDisabledError,)),
)


@contextmanager
def errors_of_the_port(entity: str) -> Iterator[None]:
    try:
        yield
    except (AzureError, MessageAlreadySettled, OSError) as error:
        raise port_error(entity, error) from error


def port_error(entity: str, error: Exception) -> BusError:
    """By the SDK's class; where that says nothing, by what the SDK wrapped."""
    cause = error.inner_exception if isinstance(error, AzureError) else None
    text = f"{entity}: {error}"
    # A token that is refused is told by an HTTP status; the SDK calls every one of them authentication.
    status = getattr(cause, "status_code", None)
    if status == 404:
        return EntityNotFound(text)
    if isinstance(status, int) and status >= 500:
        return BusUnreachable(text)
    for found in (error, cause):
        for ours, theirs in _ERRORS:
            if isinstance(found, theirs):
                return ours(text)
    if type(error) is ServiceBusError:
        # The SDK knows which conditions pass, though it tells by no public name. What failed for no condition
        # at all is the SDK's own state after a connection broke.
        unexpected = cause is not None and not hasattr(cause, "condition")
        if unexpected or error._retryable:
            return BusUnreachable(text)
    return BusError(text)
