"""URLs signed with the app's identity: Azurite serves those over TLS alone, so the service is played here."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from azure.core.credentials import AccessToken
from azure.storage.blob import UserDelegationKey
from azure.storage.blob.aio import BlobServiceClient

from adapters.azure.blobs import AzureBlobs, blob_client
from adapters.azure.connections import blob_connection
from core.blobs import LONGEST_URL_S

WEEK = timedelta(days=7)


class NoIdentity:
    async def get_token(self, *scopes: str, **options: object) -> AccessToken:
        raise AssertionError("no request is made")

    async def close(self) -> None:
        pass

    async def __aenter__(self) -> "NoIdentity":
        return self

    async def __aexit__(self, *error: object) -> None:
        pass


@pytest.fixture
async def client(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[BlobServiceClient]:
    connection = blob_connection({"BlobConnection__blobServiceUri": "https://shop.blob.core.windows.net"})
    async with blob_client(connection, NoIdentity()) as client:
        asked: list[tuple[datetime, datetime]] = []

        async def get_user_delegation_key(start: datetime, expiry: datetime) -> UserDelegationKey:
            asked.append((start, expiry))
            key = UserDelegationKey()
            key.signed_oid, key.signed_tid, key.signed_service, key.signed_version = (
                "oid",
                "tid",
                "b",
                "2025-11-05",
            )
            key.signed_start = f"{start:%Y-%m-%dT%H:%M:%SZ}"
            key.signed_expiry = f"{expiry:%Y-%m-%dT%H:%M:%SZ}"
            key.value = "a2V5"
            return key

        monkeypatch.setattr(client, "get_user_delegation_key", get_user_delegation_key)
        client.asked = asked
        yield client


async def test_without_an_account_key_a_url_is_signed_with_the_identitys_key(
    client: BlobServiceClient,
) -> None:
    url = urlsplit(await AzureBlobs(client).read_url("labels/ord-1.pdf", 3600))
    assert (url.scheme, url.netloc, url.path) == (
        "https",
        "shop.blob.core.windows.net",
        "/orderflow/labels/ord-1.pdf",
    )
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    assert query["skoid"] == "oid"
    assert query["sp"] == "r"
    assert query["sr"] == "b"
    assert query["spr"] == "https"
    lives = datetime.fromisoformat(query["se"]) - datetime.now(UTC)
    assert timedelta(seconds=3590) < lives <= timedelta(seconds=3600)


async def test_a_key_is_asked_for_once_and_again_when_a_url_would_outlive_it(
    client: BlobServiceClient,
) -> None:
    blobs = AzureBlobs(client)
    for _ in range(3):
        await blobs.read_url("a", 60)
    await blobs.read_url("a", LONGEST_URL_S)
    assert len(client.asked) == 1
    start, expiry = client.asked[0]
    assert start < datetime.now(UTC) < expiry
    assert expiry - start == WEEK
    blobs._identity_key = (blobs._identity_key[0], datetime.now(UTC) + timedelta(seconds=30))
    await blobs.read_url("a", 60)
    assert len(client.asked) == 2
