"""The Blob Storage REST protocol on the emulator's blobs, as far as files need it: create a container, put a
whole block blob, get it whole or in part, delete it, with the account's key or with a URL that it signed.

On the port of the functions, under the account's name, as Azurite has it (path style). What is not served is
refused with the service's error.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import formatdate, parsedate_to_datetime
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from emulator.blobs import BlobsEngine, ContainerNotFound, StoredBlob
from emulator.clock import Clock
from emulator.http import HttpAnswer

ACCOUNT: Final = "devstoreaccount1"
PATH: Final = f"/{ACCOUNT}/"

_VALID_S: Final = 900
_RANGE = re.compile(r"bytes=(\d{1,15})-(\d{1,15})?")
_CONTAINER = re.compile(r"[a-z0-9](?!.*--)[a-z0-9-]{1,61}[a-z0-9]")
_CONDITIONS: Final = ("if-match", "if-modified-since", "if-unmodified-since")
_SIGNED_HEADERS: Final = (
    "content-encoding",
    "content-language",
    "content-length",
    "content-md5",
    "content-type",
    "date",
    "if-modified-since",
    "if-match",
    "if-none-match",
    "if-unmodified-since",
    "range",
)
_SIGNED_FIELDS: Final = (
    *("si", "sip", "spr", "sv", "sr", "snapshot", "ses"),
    *("rscc", "rscd", "rsce", "rscl", "rsct"),
)
"""Of a shared access signature, after permission, start, expiry and resource, since version 2020-12-06.
https://learn.microsoft.com/rest/api/storageservices/create-service-sas
"""
_SERVED_FIELDS: Final = frozenset({"sp", "st", "se", "spr", "sv", "sr", "sig"})


class _Refusal(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class BlobStorage:
    """`key` is the account's, in base64."""

    def __init__(self, blobs: BlobsEngine, key: str, clock: Clock) -> None:
        self._blobs = blobs
        self._key = base64.b64decode(key)
        self._clock = clock

    def answer(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> HttpAnswer:
        """`headers` with names in lower case; the path of `url` begins with PATH. Raises sqlite3.Error."""
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        container, _, name = unquote(parts.path.removeprefix(PATH)).partition("/")
        try:
            self._check_access(method, parts.path, query, headers)
            return self._serve(method, container, name, query, headers, body)
        except ContainerNotFound as missing:
            refusal = _Refusal(404, "ContainerNotFound", str(missing))
        except _Refusal as given:
            refusal = given
        return _error(method, refusal)

    def _serve(
        self,
        method: str,
        container: str,
        name: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes,
    ) -> HttpAnswer:
        operation = (method, query.get("restype"), query.get("comp"), bool(name))
        match operation:
            case ("PUT", "container", None, False):
                return self._create_container(container)
            case ("PUT", None, None, True):
                return self._put(container, name, headers, body)
            case ("GET" | "HEAD", None, None, True):
                blob = self._blobs.get(container, name)
                if blob is None:
                    raise _not_found()
                return _content(method, blob, headers)
            case ("DELETE", None, None, True):
                return self._delete(container, name, headers)
        raise _Refusal(
            501, "NotImplemented", f"{method} with {dict(query)} is not served by the emulator for {name!r}."
        )

    def _create_container(self, container: str) -> HttpAnswer:
        if not _CONTAINER.fullmatch(container):
            raise _Refusal(400, "InvalidResourceName", f"{container!r} is no name for a container.")
        if not self._blobs.create_container(container):
            raise _Refusal(409, "ContainerAlreadyExists", "The specified container already exists.")
        return HttpAnswer(201)

    def _put(self, container: str, name: str, headers: Mapping[str, str], body: bytes) -> HttpAnswer:
        if headers.get("x-ms-blob-type") != "BlockBlob":
            raise _Refusal(501, "NotImplemented", "Only block blobs are served by the emulator.")
        if any(header in headers for header in _CONDITIONS):
            raise _Refusal(501, "NotImplemented", "Only if-none-match: * is served by the emulator.")
        if "if-none-match" in headers and self._blobs.get(container, name) is not None:
            raise _Refusal(409, "BlobAlreadyExists", "The specified blob already exists.")
        content_type = headers.get("x-ms-blob-content-type") or headers.get("content-type")
        blob = self._blobs.put(container, name, body, content_type or "application/octet-stream")
        return HttpAnswer(201, _described(blob))

    def _delete(self, container: str, name: str, headers: Mapping[str, str]) -> HttpAnswer:
        if any(header in headers for header in (*_CONDITIONS, "if-none-match")):
            raise _Refusal(501, "NotImplemented", "Conditions of a delete are not served by the emulator.")
        if not self._blobs.delete(container, name):
            raise _not_found()
        return HttpAnswer(202, {"x-ms-delete-type-permanent": "true"})

    def _check_access(
        self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str]
    ) -> None:
        """Raises _Refusal 403, or 401 for a request that brings nothing."""
        if "sig" in query:
            self._check_signed_url(method, path, query)
            return
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme != "SharedKey":
            raise _Refusal(401, "NoAuthenticationInformation", "A shared key or a signed URL must be given.")
        account, _, signature = given.partition(":")
        if account != ACCOUNT or not self._signed(_request_text(method, path, query, headers), signature):
            raise _Refusal(403, "AuthenticationFailed", "The signature does not fit the request.")
        try:
            date = parsedate_to_datetime(headers.get("x-ms-date") or headers.get("date", "")).timestamp()
        except (ValueError, OverflowError):
            raise _Refusal(403, "AuthenticationFailed", "The date must be one of RFC 1123.") from None
        if abs(self._clock.time() - date) > _VALID_S:
            raise _Refusal(403, "AuthenticationFailed", "The date lies too far from the server's.")

    def _check_signed_url(self, method: str, path: str, query: Mapping[str, str]) -> None:
        unknown = query.keys() - _SERVED_FIELDS
        if unknown:
            raise _Refusal(403, "AuthenticationFailed", f"{', '.join(sorted(unknown))}: not served in a SAS.")
        resource = f"/blob/{ACCOUNT}/{unquote(path.removeprefix(PATH))}"
        fields = [query.get("sp", ""), query.get("st", ""), query.get("se", ""), resource]
        text = "\n".join([*fields, *(query.get(field, "") for field in _SIGNED_FIELDS)])
        if query.get("sr") != "b" or not self._signed(text, query["sig"]):
            raise _Refusal(403, "AuthenticationFailed", "The signature does not fit the URL.")
        now = self._clock.time()
        if not _moment(query.get("st")) <= now < _moment(query.get("se")):
            raise _Refusal(403, "AuthenticationFailed", "The signed URL has expired or is not yet valid.")
        if method not in ("GET", "HEAD") or "r" not in query.get("sp", ""):
            raise _Refusal(403, "AuthorizationPermissionMismatch", "The signed URL does not allow this.")

    def _signed(self, text: str, signature: str) -> bool:
        wanted = base64.b64encode(hmac.digest(self._key, text.encode(), hashlib.sha256))
        return hmac.compare_digest(wanted, signature.encode())


def _not_found() -> _Refusal:
    return _Refusal(404, "BlobNotFound", "The specified blob does not exist.")


def _request_text(method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str]) -> str:
    """What a client signs with the account's key.
    https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key
    """
    length = headers.get("content-length", "")
    stated = {**headers, "content-length": "" if length == "0" else length}
    own = sorted((name, value) for name, value in headers.items() if name.startswith("x-ms-"))
    return (
        "\n".join([method, *(stated.get(name, "") for name in _SIGNED_HEADERS), ""])
        + "".join(f"{name}:{value}\n" for name, value in own)
        + f"/{ACCOUNT}{path}"
        + "".join(f"\n{name.lower()}:{value}" for name, value in sorted(query.items()))
    )


def _moment(text: str | None) -> float:
    if not text:
        return 0.0
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise _Refusal(403, "AuthenticationFailed", f"{text!r} is no time.") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _content(method: str, blob: StoredBlob, headers: Mapping[str, str]) -> HttpAnswer:
    described = {**_described(blob), "content-type": blob.content_type, "accept-ranges": "bytes"}
    size = len(blob.content)
    wanted = _RANGE.fullmatch(headers.get("x-ms-range") or headers.get("range", ""))
    if wanted is None or method == "HEAD":
        return HttpAnswer(200, described, blob.content)
    first, last = int(wanted[1]), min(int(wanted[2] or size), size - 1)
    if first > last:
        raise _Refusal(416, "InvalidRange", "The range specified is invalid for the current size.")
    described["content-range"] = f"bytes {first}-{last}/{size}"
    return HttpAnswer(206, described, blob.content[first : last + 1])


def _described(blob: StoredBlob) -> dict[str, str]:
    return {
        "etag": f'"{hashlib.sha256(blob.content_type.encode() + blob.content).hexdigest()[:16]}"',
        "last-modified": formatdate(blob.changed_at, usegmt=True),
        "x-ms-blob-type": "BlockBlob",
        "x-ms-request-server-encrypted": "false",
    }


def _error(method: str, refusal: _Refusal) -> HttpAnswer:
    headers = {"x-ms-error-code": refusal.code, "content-type": "application/xml"}
    message = str(refusal).replace("&", "&amp;").replace("<", "&lt;")
    body = (
        f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{refusal.code}</Code>'
        f"<Message>{message}</Message></Error>"
    )
    return HttpAnswer(refusal.status, headers, b"" if method == "HEAD" else body.encode())
