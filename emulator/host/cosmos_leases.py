"""Who reads which part of a container's change feed for a function, and how far it is.

One lease per function and feed range, a document in the app's lease container (partition key /id), with the
rules of the change feed processor of the Azure Cosmos DB SDKs: a lease that is not renewed expires, instances
take over what is expired or unowned, and one that has fewer than its share takes from the one that has most.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from emulator.clock import Clock
from emulator.documents.engine import FEED_RANGES, DocumentsEngine
from emulator.documents.model import Json, RequestFailed


@dataclass(frozen=True, slots=True)
class Lease:
    feed_range: int
    owner: str
    """Empty when nobody has it."""
    continuation: int
    """Sequence of the last change that needs no more attention."""
    expires_at: float
    etag: str


class LeaseLost(Exception):
    """Another instance has it now."""


class Leases:
    """One function's leases. Methods raise RequestFailed when the documents engine fails."""

    def __init__(
        self,
        documents: DocumentsEngine,
        clock: Clock,
        *,
        container: str,
        prefix: str,
        owner: str,
        expiration_s: float,
    ) -> None:
        """`container` holds the leases; `prefix` tells apart the functions that share it."""
        self._documents = documents
        self._clock = clock
        self._container = container
        self._prefix = prefix
        self._owner = owner
        self._expiration_s = expiration_s

    async def all(self, first_continuation: int) -> list[Lease]:
        """Those that do not exist yet are created, to begin after `first_continuation`."""
        return [await self._read_or_create(number, first_continuation) for number in range(FEED_RANGES)]

    async def save(self, lease: Lease, *, continuation: int, owner: str | None = None) -> Lease:
        """Move it on, renew it, take it or (owner "") give it up. Raises LeaseLost."""
        owner = self._owner if owner is None else owner
        expires_at = self._clock.time() + self._expiration_s if owner else 0.0
        item: Mapping[str, Json] = {
            "id": self._id(lease.feed_range),
            "owner": owner,
            "continuation": continuation,
            "expires_at": expires_at,
        }
        try:
            saved = await self._documents.replace(
                self._container, self._id(lease.feed_range), item, lease.etag
            )
        except RequestFailed as failure:
            if failure.status in {404, 412}:
                raise LeaseLost(self._id(lease.feed_range)) from None
            raise
        return _lease(lease.feed_range, saved)

    def share(self, leases: Sequence[Lease]) -> list[Lease]:
        """Those that this instance should take now, so that all instances end up with equal shares."""
        now = self._clock.time()
        held = Counter({self._owner: 0})
        free: list[Lease] = []
        for lease in leases:
            if not lease.owner or lease.expires_at <= now:
                free.append(lease)
            else:
                held[lease.owner] += 1
        mine = held[self._owner]
        wanted = math.ceil(len(leases) / len(held)) - mine
        if wanted <= 0 or free:
            return free[: max(wanted, 0)]
        richest, most = max(held.items(), key=lambda entry: (entry[1], entry[0]))
        spare = min(wanted, (most - mine) // 2)
        return [lease for lease in leases if lease.owner == richest][:spare]

    async def _read_or_create(self, number: int, first_continuation: int) -> Lease:
        id = self._id(number)
        try:
            return _lease(number, await self._documents.read(self._container, id, id))
        except RequestFailed as failure:
            if failure.status != 404:
                raise
        item: Mapping[str, Json] = {
            "id": id,
            "owner": "",
            "continuation": first_continuation,
            "expires_at": 0.0,
        }
        try:
            return _lease(number, await self._documents.create(self._container, id, item))
        except RequestFailed as failure:
            if failure.status != 409:
                raise
        return _lease(number, await self._documents.read(self._container, id, id))

    def _id(self, number: int) -> str:
        return f"{self._prefix}.{number}"


def _lease(number: int, item: Mapping[str, Json]) -> Lease:
    continuation, expires_at = item["continuation"], item["expires_at"]
    assert isinstance(continuation, int)  # noqa: S101  (written by `save`)
    assert isinstance(expires_at, float | int)  # noqa: S101
    return Lease(number, str(item["owner"]), continuation, float(expires_at), str(item["_etag"]))
