"""Where Service Bus, Cosmos DB and the blobs are, and how the app says who it is: from settings.

The names are those that the triggers' `connection` stands for: `X` is a connection string and wins;
`X__<endpoint>` is an address to be used with the identity of the app, `X__clientId` names a user-assigned
identity, `X__credential=managedidentity` asks for that kind and no other.
https://learn.microsoft.com/azure/azure-functions/functions-reference#configure-an-identity-based-connection
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from core.settings import InvalidSetting

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

SERVICE_BUS = "ServiceBusConnection"
COSMOS = "CosmosConnection"
BLOBS = "BlobConnection"

_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", re.IGNORECASE)
_AZURITE = "http://127.0.0.1:10000/devstoreaccount1"


@dataclass(frozen=True, slots=True)
class Connection:
    """To one service. Without `connection_string` the identity of the app is used.

    endpoint: the host name of the namespace, or the URL of the account or of the blob service.
    client_id: of a user-assigned identity.
    managed_identity: use that and no other kind of identity.
    """

    endpoint: str
    connection_string: str | None = field(default=None, repr=False)
    client_id: str | None = None
    managed_identity: bool = False


def service_bus_connection(environment: Mapping[str, str]) -> Connection:
    """Raises InvalidSetting."""
    return _connection(environment, SERVICE_BUS, "fullyQualifiedNamespace", _namespace, _namespace_of)


def cosmos_connection(environment: Mapping[str, str]) -> Connection:
    """Raises InvalidSetting."""
    return _connection(environment, COSMOS, "accountEndpoint", _https, _account_of)


def blob_connection(environment: Mapping[str, str]) -> Connection:
    """Raises InvalidSetting."""
    return _connection(environment, BLOBS, "blobServiceUri", _blob_service, _blob_service_of)


def identity(connection: Connection) -> AsyncTokenCredential:
    """To be closed by the caller. Asks nobody for a token yet."""
    # Imported when needed: it costs half a second, and a connection string does without.
    from azure.identity.aio import DefaultAzureCredential, ManagedIdentityCredential  # noqa: PLC0415

    if connection.managed_identity:
        return ManagedIdentityCredential(client_id=connection.client_id)
    if connection.client_id is None:
        return DefaultAzureCredential()
    return DefaultAzureCredential(managed_identity_client_id=connection.client_id)


def _connection(
    environment: Mapping[str, str],
    name: str,
    suffix: str,
    endpoint: Callable[[str, str], str],
    endpoint_of: Callable[[str, Mapping[str, str]], str],
) -> Connection:
    text = environment.get(name, "").strip()
    address = environment.get(f"{name}__{suffix}", "").strip()
    if not text and not address:
        raise InvalidSetting(
            f"{name}: must be a connection string, or {name}__{suffix} an address to use with the app's"
            " identity; neither is set"
        )
    given = endpoint(f"{name}__{suffix}", address) if address else None
    if text:
        found = endpoint_of(name, _parts(name, text))
        if given is not None and _host_of(given) != _host_of(found):
            raise InvalidSetting(
                f"{name} and {name}__{suffix}: must name the same host, not {_host_of(found)} and"
                f" {_host_of(given)}; the connection string would win"
            )
        return Connection(found, text)
    credential = environment.get(f"{name}__credential", "").strip()
    if credential not in {"", "managedidentity"}:
        raise InvalidSetting(f"{name}__credential: must be managedidentity or absent, not {credential!r}")
    return Connection(
        endpoint=given or "",
        client_id=environment.get(f"{name}__clientId", "").strip() or None,
        managed_identity=credential == "managedidentity",
    )


def _parts(name: str, text: str) -> Mapping[str, str]:
    """Of a connection string. No error quotes any of it: a part that is out of place may be the key."""
    parts = [part.strip().partition("=") for part in text.split(";") if part.strip()]
    if not all(key and separator for key, separator, _ in parts):
        raise InvalidSetting(f"{name}: must be a connection string, Name=Value;Name=Value")
    return {key: value for key, _, value in parts}


def _need(name: str, parts: Mapping[str, str], *wanted: str) -> None:
    for part in wanted:
        if not parts.get(part):
            raise InvalidSetting(f"{name}: a connection string must have {part}=")


def _namespace(name: str, text: str) -> str:
    if not _HOST.fullmatch(text):
        raise InvalidSetting(f"{name}: must be a host name such as shop.servicebus.windows.net, not {text!r}")
    return text


def _namespace_of(name: str, parts: Mapping[str, str]) -> str:
    _need(name, parts, "Endpoint")
    address = _split(name, "Endpoint", parts["Endpoint"])
    if address.scheme != "sb" or not address.hostname:
        raise InvalidSetting(f"{name}: Endpoint must be sb://host or sb://host:port")
    if "SharedAccessSignature" not in parts:
        _need(name, parts, "SharedAccessKeyName", "SharedAccessKey")
    if "EntityPath" in parts:
        raise InvalidSetting(f"{name}: must be for the whole namespace; EntityPath ties it to one entity")
    if parts.get("UseDevelopmentEmulator", "true") != "true":
        raise InvalidSetting(f"{name}: UseDevelopmentEmulator must be true or absent")
    return address.netloc


def _https(name: str, text: str) -> str:
    address = _split(name, "the address", text)
    if address.scheme != "https" or not address.hostname:
        raise InvalidSetting(f"{name}: must be an https:// address, not {text!r}; tokens travel on no other")
    return text


def _account_of(name: str, parts: Mapping[str, str]) -> str:
    _need(name, parts, "AccountEndpoint", "AccountKey")
    return _web_address(name, "AccountEndpoint", parts["AccountEndpoint"])


def _blob_service(name: str, text: str) -> str:
    """What is signed names the account, and the SDK knows it by its host alone."""
    if ".blob.core." not in (_split(name, "the address", _https(name, text)).hostname or ""):
        raise InvalidSetting(
            f"{name}: must be https://ACCOUNT.blob.core.windows.net, or the same of another cloud, not"
            f" {text!r}: a URL for reading a blob is signed with the account's name"
        )
    return text


def _blob_service_of(name: str, parts: Mapping[str, str]) -> str:
    if parts.get("UseDevelopmentStorage") == "true":
        return _AZURITE
    if "SharedAccessSignature" in parts and "AccountKey" not in parts:
        raise InvalidSetting(
            f"{name}: must have AccountName= and AccountKey=; a SharedAccessSignature cannot sign URLs for"
            f" reading a blob. Without a key use the app's identity: {name}__blobServiceUri"
        )
    _need(name, parts, "AccountName", "AccountKey")
    if "BlobEndpoint" in parts:
        return _web_address(name, "BlobEndpoint", parts["BlobEndpoint"])
    scheme = parts.get("DefaultEndpointsProtocol", "https")
    return f"{scheme}://{parts['AccountName']}.blob.{parts.get('EndpointSuffix', 'core.windows.net')}"


def _web_address(name: str, part: str, text: str) -> str:
    address = _split(name, part, text)
    if address.scheme not in {"http", "https"} or not address.hostname:
        raise InvalidSetting(f"{name}: {part} must be an http:// or https:// address")
    return text


def _split(name: str, part: str, text: str) -> SplitResult:
    try:
        address = urlsplit(text)
        address.port  # noqa: B018  (read for its check)
    except ValueError:
        raise InvalidSetting(f"{name}: {part} must be an address") from None
    return address


def _host_of(endpoint: str) -> str:
    return (urlsplit(endpoint if "//" in endpoint else f"//{endpoint}").hostname or "").lower()
