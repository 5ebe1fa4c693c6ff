"""The keys of the wire endpoints: random, one set per state folder, so none is in the repository."""

from __future__ import annotations

import base64
import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from emulator.wire.storage import ACCOUNT

KEY_NAME = "RootManageSharedAccessKey"
"""The name of Service Bus's key; it may send, listen and manage."""

_FILE = "wire-keys.json"


class KeysError(Exception):
    """The file of the keys cannot be used; the message says what to do."""


@dataclass(frozen=True, slots=True)
class WireKeys:
    """In base64, of 32, 64 and 64 bytes."""

    servicebus_key: str
    cosmos_key: str
    storage_key: str


def load_or_create(state: Path) -> WireKeys:
    """The keys in the folder, made when there are none. Several processes may do so at once: one wins.

    Raises KeysError.
    """
    path = state / _FILE
    try:
        if not path.exists():
            _create(path)
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise KeysError(f"{path}: {error.strerror}: give another --state, or make it usable") from error
    try:
        given = json.loads(text)
        return WireKeys(
            _key(given, "servicebus_key", 32), _key(given, "cosmos_key", 64), _key(given, "storage_key", 64)
        )
    except ValueError as error:
        raise KeysError(f"{path}: {error}: delete it to have new keys made") from error


def servicebus_connection_string(keys: WireKeys, host: str, port: int) -> str:
    return (
        f"Endpoint=sb://{_authority(host, port)};SharedAccessKeyName={KEY_NAME};"
        f"SharedAccessKey={keys.servicebus_key};UseDevelopmentEmulator=true;"
    )


def cosmos_connection_string(keys: WireKeys, host: str, port: int) -> str:
    return f"AccountEndpoint=http://{_authority(host, port)}/;AccountKey={keys.cosmos_key};"


def storage_connection_string(keys: WireKeys, host: str, port: int) -> str:
    return (
        f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={keys.storage_key};"
        f"BlobEndpoint=http://{_authority(host, port)}/{ACCOUNT};"
    )


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _create(path: Path) -> None:
    """Complete before it has its name, and never over another's: a link fails where a rename replaces."""
    keys = WireKeys(_random_key(32), _random_key(64), _random_key(64))
    draft = path.with_name(f"{_FILE}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(asdict(keys), file)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            return  # another process was first: its keys are those of the folder
    finally:
        draft.unlink()


def _random_key(size: int) -> str:
    return base64.b64encode(secrets.token_bytes(size)).decode()


def _key(given: object, name: str, size: int) -> str:
    key = given.get(name) if isinstance(given, dict) else None
    if not isinstance(key, str) or len(base64.b64decode(key, validate=True)) != size:
        raise ValueError(f"{name} must be {size} bytes in base64")
    return key
