"""Each error of the SDK, made as the SDK makes it, is one of the port's."""

import logging

import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import CredentialUnavailableError
from azure.servicebus import exceptions
from azure.servicebus._pyamqp import error as amqp
from azure.servicebus._transport._pyamqp_transport import PyamqpTransport

from adapters.azure.bus_errors import errors_of_the_port, port_error
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


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (exceptions.MessagingEntityNotFoundError(), EntityNotFound),
        (exceptions.MessageSizeExceededError(), MessageTooLarge),
        (exceptions.MessageLockLostError(), MessageLockLost),
        (exceptions.MessageAlreadySettled(action="complete"), MessageLockLost),
        (exceptions.MessageNotFoundError(), MessageLockLost),
        (exceptions.ServiceBusServerBusyError(), BusThrottled),
        (exceptions.ServiceBusQuotaExceededError(), BusThrottled),
        (exceptions.ServiceBusAuthenticationError(), BusAccessDenied),
        (exceptions.ServiceBusAuthorizationError(), BusAccessDenied),
        (exceptions.ServiceBusConnectionError(), BusUnreachable),
        (exceptions.ServiceBusCommunicationError(), BusUnreachable),
        (exceptions.OperationTimeoutError(), BusUnreachable),
        (exceptions.MessagingEntityDisabledError(), TransientBusError),
        (exceptions.ServiceBusError("no more is known"), BusError),
        (ConnectionResetError("reset"), BusUnreachable),
        (TimeoutError(), BusUnreachable),
    ],
)
def test_an_error_has_its_name_in_the_port(error: Exception, expected: type[BusError]) -> None:
    assert type(port_error("payments", error)) is expected


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (b"amqp:not-found", EntityNotFound),
        (b"amqp:link:message-size-exceeded", MessageTooLarge),
        (b"amqp:resource-limit-exceeded", BusThrottled),
        (b"com.microsoft:server-busy", BusThrottled),
        (b"amqp:unauthorized-access", BusAccessDenied),
        (b"com.microsoft:auth-failed", BusAccessDenied),
        (b"amqp:link:detach-forced", BusUnreachable),
        (b"amqp:internal-error", BusUnreachable),
        (b"com.microsoft:container-close", BusUnreachable),
        (b"com.microsoft:entity-disabled", TransientBusError),
        (b"com.microsoft:message-lock-lost", MessageLockLost),
        (b"com.microsoft:timeout", BusUnreachable),
        (b"amqp:not-allowed", BusError),
        (b"amqp:not-implemented", BusError),
        (b"com.microsoft:argument-error", BusError),
    ],
)
def test_a_condition_that_the_service_gives_is_an_error_of_the_port(
    condition: bytes, expected: type[BusError]
) -> None:
    given = amqp.AMQPLinkError(condition=condition, description="why", info=None)
    error = PyamqpTransport.create_servicebus_exception(logging.getLogger("test"), given)
    assert type(port_error("payments", error)) is expected


@pytest.mark.parametrize(
    ("status", "expected"), [(401, BusAccessDenied), (404, EntityNotFound), (500, BusUnreachable)]
)
def test_a_refused_token_is_told_by_its_status(status: int, expected: type[BusError]) -> None:
    given = amqp.TokenAuthFailure(status, b"because")
    error = PyamqpTransport.create_servicebus_exception(logging.getLogger("test"), given)
    assert type(port_error("payments", error)) is expected


@pytest.mark.parametrize(
    ("cause", "expected"),
    [
        (CredentialUnavailableError(message="log in first"), BusAccessDenied),
        (ClientAuthenticationError(message="AADSTS70011"), BusAccessDenied),
        (TimeoutError("the token took too long"), BusUnreachable),
        (AttributeError("'NoneType' object has no attribute 'detach'"), BusUnreachable),
    ],
)
def test_what_the_sdk_wraps_decides(cause: Exception, expected: type[BusError]) -> None:
    error = PyamqpTransport.create_servicebus_exception(logging.getLogger("test"), cause)
    assert type(port_error("payments", error)) is expected


def test_the_error_names_the_entity_and_keeps_its_cause() -> None:
    cause = exceptions.ServiceBusServerBusyError()
    with pytest.raises(BusThrottled, match=r"^payments: .*busy") as raised, errors_of_the_port("payments"):
        raise cause
    assert raised.value.__cause__ is cause


def test_what_is_no_error_of_the_bus_passes() -> None:
    with pytest.raises(KeyError), errors_of_the_port("payments"):
        raise KeyError("a mistake of ours")
