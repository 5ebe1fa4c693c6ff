"""The errors of azure-cosmos as those of the documents port. What is not in the tables surfaces as it is."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from aiohttp import ClientConnectorError
from azure.core.exceptions import (
    IncompleteReadError,
    ServiceRequestError,
    ServiceRequestTimeoutError,
    ServiceResponseError,
)
from azure.cosmos.exceptions import (
    CosmosBatchOperationError,
    CosmosClientTimeoutError,
    CosmosHttpResponseError,
)

from core.documents import (
    BadDocumentRequest,
    DocumentConflict,
    DocumentError,
    DocumentNotFound,
    DocumentsUnavailable,
    DocumentTimeout,
    DocumentTooLarge,
    PreconditionFailed,
    RetryWith,
    TooManyRequests,
)

_ERRORS: dict[int, type[DocumentError]] = {
    400: BadDocumentRequest,
    404: DocumentNotFound,
    408: DocumentTimeout,
    409: DocumentConflict,
    410: DocumentsUnavailable,  # the partition has moved; the SDK has already looked for it
    412: PreconditionFailed,
    413: DocumentTooLarge,
    449: RetryWith,
    500: DocumentTimeout,  # as after a 408, a write may have taken effect
    502: DocumentTimeout,
    503: DocumentsUnavailable,
    504: DocumentTimeout,
}

# Sub-statuses of 404: https://learn.microsoft.com/rest/api/cosmos-db/http-status-codes-for-cosmosdb
_REPLICA_IS_BEHIND = 1002
_NO_SUCH_CONTAINER = 1003


@contextmanager
def errors_of_the_port() -> Iterator[None]:
    try:
        yield
    except CosmosBatchOperationError as error:
        raise _of_batch(error) from error
    except CosmosHttpResponseError as error:
        found = _of_response(error)
        if found is None:
            raise
        raise found from error
    except (ServiceResponseError, IncompleteReadError, CosmosClientTimeoutError) as error:
        raise DocumentTimeout(str(error)) from error
    except ServiceRequestError as error:
        # azure-core names so also a connection that broke after the request was sent.
        unsent = isinstance(error, ServiceRequestTimeoutError) or isinstance(
            error.inner_exception, ClientConnectorError
        )
        raise (DocumentsUnavailable if unsent else DocumentTimeout)(str(error)) from error


def _of_response(error: CosmosHttpResponseError) -> DocumentError | None:
    message = error.message
    if error.status_code == TooManyRequests.status:
        return TooManyRequests(message, _seconds(error.headers.get("x-ms-retry-after-ms")))
    if error.status_code == DocumentNotFound.status and error.sub_status == _NO_SUCH_CONTAINER:
        return BadDocumentRequest(message)
    if error.status_code == DocumentNotFound.status and error.sub_status == _REPLICA_IS_BEHIND:
        return DocumentsUnavailable(message)
    named = _ERRORS.get(error.status_code or 0)
    return None if named is None else named(message)


def _of_batch(error: CosmosBatchOperationError) -> DocumentError:
    index = error.error_index or 0
    responses = error.operation_responses or []
    response: Mapping[str, object] = responses[index] if index < len(responses) else {}
    message = f"operation {index} of the batch: {response.get('message') or error.message}"
    if error.status_code == TooManyRequests.status:
        return TooManyRequests(message, _seconds(response.get("retryAfterMilliseconds")))
    return _ERRORS.get(error.status_code or 0, DocumentError)(message, index)


def _seconds(milliseconds: object) -> float:
    try:
        return float(str(milliseconds)) / 1000
    except ValueError:
        return 0.0
