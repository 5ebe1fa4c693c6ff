"""The blobs port on Azure Blob Storage: one container."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from azure.core.exceptions import (
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.storage.blob import BlobSasPermissions, ContentSettings, UserDelegationKey, generate_blob_sas
from azure.storage.blob.aio import BlobServiceClient

from adapters.azure.connections import Connection
from core.blobs import (
    Blob,
    BlobError,
    BlobNotFound,
    Blobs,
    BlobsUnavailable,
    check_content_type,
    check_name,
    check_part,
    check_seconds,
    no_such_part,
)

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.core.pipeline.transport import AsyncHttpTransport

CONTAINER: Final = "orderflow"

_KEY_LIFE = timedelta(days=7)
"""From its start, which lies back a little for clocks that differ: the longest that the service gives."""
_CLOCKS_DIFFER = timedelta(minutes=5)

_TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})


def blob_client(
    connection: Connection,
    credential: AsyncTokenCredential | None = None,
    transport: AsyncHttpTransport[Any, Any] | None = None,
) -> BlobServiceClient:
    """To be closed by the caller. `credential` is for a connection without a connection string; `transport`
    is the SDK's own when none is given.
    """
    # Whoever asks repeats transient errors (core/resilience.py).
    given: dict[str, Any] = {"retry_total": 0}
    if transport is not None:
        given["transport"] = transport
    if connection.connection_string is not None:
        return BlobServiceClient.from_connection_string(connection.connection_string, **given)
    if credential is None:
        raise ValueError("credential: must be given with a connection that has no connection string")
    return BlobServiceClient(connection.endpoint, credential, **given)


async def create_container(client: BlobServiceClient, container: str = CONTAINER) -> bool:
    """False when it was there. Raises BlobError."""
    try:
        with _errors_of_the_port(container):
            await client.create_container(container)
    except ResourceExistsError:
        return False
    except HttpResponseError as error:
        raise BlobError(f"the account answered {error.status_code}: {error.message}") from error
    return True


class AzureBlobs(Blobs):
    """`client` comes from `blob_client`; `container` must be there."""

    def __init__(self, client: BlobServiceClient, container: str = CONTAINER) -> None:
        self._client = client
        self._container = client.get_container_client(container)
        self._identity_key: tuple[UserDelegationKey, datetime] | None = None

    async def put(self, name: str, content: bytes, content_type: str) -> None:
        check_name(name)
        check_content_type(content_type)
        with _errors_of_the_port(name):
            await self._container.upload_blob(
                name, content, overwrite=True, content_settings=ContentSettings(content_type=content_type)
            )

    async def get(self, name: str) -> Blob:
        check_name(name)
        with _errors_of_the_port(name):
            stream = await self._container.download_blob(name)
            content = await stream.readall()
        return Blob(content, stream.properties.content_settings.content_type or "application/octet-stream")

    async def get_part(self, name: str, start: int, end: int) -> bytes:
        check_name(name)
        check_part(start, end)
        try:
            with _errors_of_the_port(name):
                stream = await self._container.download_blob(name, offset=start, length=end - start)
                part = await stream.readall()
        except HttpResponseError as error:
            if error.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                raise no_such_part(name, start, end) from error
            raise
        if len(part) < end - start:
            raise no_such_part(name, start, end)
        return part

    async def delete(self, name: str) -> None:
        check_name(name)
        with suppress(BlobNotFound), _errors_of_the_port(name):
            await self._container.delete_blob(name)

    async def read_url(self, name: str, seconds: int) -> str:
        check_name(name)
        check_seconds(seconds)
        expiry = datetime.now(UTC) + timedelta(seconds=seconds)
        account_key = getattr(self._client.credential, "account_key", None)
        blob = self._container.get_blob_client(name)
        signature = generate_blob_sas(
            account_name=str(self._client.account_name),
            container_name=blob.container_name,
            blob_name=name,
            account_key=account_key,
            user_delegation_key=None if account_key else await self._key_until(expiry, name),
            permission=BlobSasPermissions(read=True),
            expiry=expiry,
            protocol="https" if blob.url.startswith("https:") else "https,http",
        )
        return f"{blob.url}?{signature}"

    async def _key_until(self, expiry: datetime, name: str) -> UserDelegationKey:
        """A key of the identity that lives longer than the URL; asked for once in a few days."""
        if self._identity_key is None or self._identity_key[1] < expiry:
            start = datetime.now(UTC) - _CLOCKS_DIFFER
            with _errors_of_the_port(name):
                key = await self._client.get_user_delegation_key(start, start + _KEY_LIFE)
            self._identity_key = key, start + _KEY_LIFE
        return self._identity_key[0]


@contextmanager
def _errors_of_the_port(name: str) -> Iterator[None]:
    try:
        yield
    except ResourceNotFoundError as error:
        if getattr(error, "error_code", None) == "ContainerNotFound":
            raise BlobError(f"the container of the blob {name!r} is not there: {error.message}") from error
        raise BlobNotFound(f"there is no blob {name!r}") from error
    except (ServiceRequestError, ServiceResponseError) as error:
        raise BlobsUnavailable(str(error)) from error
    except HttpResponseError as error:
        if error.status_code in _TRANSIENT:
            raise BlobsUnavailable(str(error)) from error
        raise
