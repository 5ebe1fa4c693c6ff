"""What azure-cosmos raises, and what becomes of it."""

from types import SimpleNamespace

import pytest
from azure.core.exceptions import (
    ClientAuthenticationError,
    IncompleteReadError,
    ServiceRequestError,
    ServiceRequestTimeoutError,
    ServiceResponseTimeoutError,
)
from azure.cosmos.exceptions import (
    CosmosBatchOperationError,
    CosmosClientTimeoutError,
    CosmosHttpResponseError,
)

from adapters.azure.cosmos_errors import errors_of_the_port
from core.documents import (
    BadDocumentRequest,
    DocumentError,
    DocumentNotFound,
    DocumentsUnavailable,
    DocumentTimeout,
    PreconditionFailed,
    RetryWith,
    TooManyRequests,
)


def response(status: int, **headers: str) -> CosmosHttpResponseError:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return CosmosHttpResponseError(
        message="no", response=SimpleNamespace(status_code=status, headers=named, reason="no")
    )


def of_batch(index: int, status: int, **fields: object) -> CosmosBatchOperationError:
    responses = [{"statusCode": 424}] * index + [{"statusCode": status, **fields}]
    return CosmosBatchOperationError(
        error_index=index, headers={}, status_code=status, message="no", operation_responses=responses
    )


def raised(error: Exception) -> Exception:
    with pytest.raises(Exception, match=r".") as caught, errors_of_the_port():
        raise error
    return caught.value


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (response(404), DocumentNotFound),
        (response(404, x_ms_substatus="1002"), DocumentsUnavailable),
        (response(404, x_ms_substatus="1003"), BadDocumentRequest),
        (response(410, x_ms_substatus="1002"), DocumentsUnavailable),
        (response(449), RetryWith),
        (response(500), DocumentTimeout),
        (ServiceRequestTimeoutError("connecting took too long"), DocumentsUnavailable),
        (ServiceResponseTimeoutError("no answer"), DocumentTimeout),
        (ServiceRequestError("the connection broke"), DocumentTimeout),
        (IncompleteReadError("half an answer"), DocumentTimeout),
        (CosmosClientTimeoutError(), DocumentTimeout),
    ],
)
def test_each_fault_has_its_name(error: Exception, expected: type[DocumentError]) -> None:
    assert type(raised(error)) is expected


@pytest.mark.parametrize(
    "error", [response(401), response(403), ClientAuthenticationError("who?"), KeyError("x")]
)
def test_what_is_neither_the_callers_nor_infrastructures_fault_surfaces_as_it_is(error: Exception) -> None:
    assert raised(error) is error


def test_the_wait_that_a_429_asks_for_is_kept() -> None:
    error = raised(response(429, x_ms_retry_after_ms="1250"))
    assert isinstance(error, TooManyRequests)
    assert error.retry_after_s == 1.25
    error = raised(of_batch(1, 429, retryAfterMilliseconds=40))
    assert isinstance(error, TooManyRequests)
    assert error.retry_after_s == 0.04
    without = raised(response(429))
    assert isinstance(without, TooManyRequests)
    assert without.retry_after_s == 0.0


def test_a_batch_names_the_operation_that_failed() -> None:
    error = raised(of_batch(2, 412, message="the ETag is another"))
    assert isinstance(error, PreconditionFailed)
    assert error.operation == 2
    assert "the ETag is another" in str(error)
