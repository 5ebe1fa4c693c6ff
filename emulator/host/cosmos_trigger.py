"""Runs a function on the changes of a container: at most one batch at a time of each feed range.

A function's `feedPollDelay` is obeyed: a range at rest is polled once in so long. While changes keep coming
Azure reads on without a pause; here batches begin that far apart then too, and are larger for it, unless one
is as large as allowed (`FeedProcessorCore.cs`, Azure/azure-cosmos-dotnet-v3).

As in Azure the lease moves on after a batch, also when the function failed on it (the batch is then lost),
unless a retry policy holds it. A batch may come twice when a lease changes hands. The rules are those of
`CosmosDBTriggerListener.cs` (Azure/azure-webjobs-sdk-extensions).
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from zlib import crc32

from azure_functions_runtime.bindings.datumdef import Datum

from emulator.clock import Clock
from emulator.documents.engine import FEED_RANGES, DocumentsEngine
from emulator.documents.model import Change, RequestFailed
from emulator.host.cosmos_leases import Lease, LeaseLost, Leases
from emulator.host.functions import Function
from emulator.host.invocations import Invocations
from emulator.host.retries import Stopping, pause, run_with_retries
from emulator.host.settings import resolve
from emulator.metrics import current_trigger
from emulator.store import Store, StoreStopped

_log = logging.getLogger("emulator.host")
_FAILED_SECONDS = 0.5
"""Before a failed request for a lease is tried again."""


@dataclass(frozen=True, slots=True)
class FeedOptions:
    """Of the decorator, in seconds; the defaults are Azure's."""

    container: str
    lease_container: str
    lease_prefix: str
    max_items: int
    from_beginning: bool
    poll_s: float | None
    """`feedPollDelay`; None where the function does not say."""
    acquire_s: float
    renew_s: float
    expiration_s: float


def feed_options(function: Function, settings: Mapping[str, str]) -> FeedOptions:
    """Raises AppRefused for a setting that is not set, and for a number that is none."""
    trigger = function.trigger

    def text(key: str, default: str = "") -> str:
        return resolve(trigger.text(key, default), settings, f"function {function.name}")

    poll_ms = trigger.number("feedPollDelay", 0)
    return FeedOptions(
        container=text("containerName"),
        lease_container=text("leaseContainerName", "leases"),
        lease_prefix=f"{text('leaseContainerPrefix')}{text('databaseName')}.{text('containerName')}",
        max_items=trigger.number("maxItemsPerInvocation", 100),
        from_beginning=trigger.flag("startFromBeginning", False),
        poll_s=poll_ms / 1000 if poll_ms > 0 else None,
        acquire_s=trigger.number("leaseAcquireInterval", 13000) / 1000,
        renew_s=trigger.number("leaseRenewInterval", 17000) / 1000,
        expiration_s=trigger.number("leaseExpirationInterval", 60000) / 1000,
    )


class CosmosTrigger:
    """One function's change feed in one instance."""

    def __init__(
        self,
        function: Function,
        options: FeedOptions,
        *,
        store: Store,
        documents: DocumentsEngine,
        invocations: Invocations,
        clock: Clock,
        owner: str,
        pace_s: float,
        poll_s: float | None,
    ) -> None:
        """A range's batches begin at least `pace_s` apart, so that under load they are larger; with `poll_s`
        that long, and a range at rest is looked at once in `poll_s` (else as soon as it has something new).
        """
        self._function = function
        self._options = options
        self._store = store
        self._documents = documents
        self._invocations = invocations
        self._owner = owner
        self._pace_s = pace_s if poll_s is None else poll_s
        self._poll_s = poll_s
        self._leases = Leases(
            documents,
            clock,
            container=options.lease_container,
            prefix=options.lease_prefix,
            owner=owner,
            expiration_s=options.expiration_s,
        )
        self._readers: dict[int, _Reader] = {}
        self._stopping = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    def start(self) -> None:
        for number in range(FEED_RANGES):
            name = f"feed:{self._options.container}:{number}"
            self._store.listen(name, partial(self._wake, number))
        self._keeper = asyncio.get_running_loop().create_task(self._keep_leases())

    def wake_all(self) -> None:
        """Look at the feed."""
        for reader in self._readers.values():
            reader.changed.set()

    async def drain(self) -> None:
        """Finish the batches in hand and give the leases up."""
        self._stopping.set()
        self.wake_all()
        readers = list(self._readers.values())
        if self._keeper is not None:
            self._keeper.cancel()
        if readers:
            await asyncio.wait([reader.task for reader in readers if reader.task is not None])
        for reader in readers:
            if not reader.lost:
                await self._save(reader, owner="")

    def stop(self) -> None:
        """At once: the leases stay with this instance until they expire."""
        self._stopping.set()
        for task in (self._keeper, *(reader.task for reader in self._readers.values())):
            if task is not None:
                task.cancel()

    def _wake(self, number: int) -> bool:
        """False when another instance reads that range."""
        reader = self._readers.get(number)
        if reader is None:
            return False
        reader.changed.set()
        return True

    async def _keep_leases(self) -> None:
        current_trigger.set("lease")
        loop = asyncio.get_running_loop()
        renewed = loop.time()
        while True:
            try:
                await self._take_share()
            except StoreStopped:
                return
            except (RequestFailed, sqlite3.Error) as error:
                _log.warning("leases of %s: %s", self._function.name, error)
            if loop.time() - renewed >= self._options.renew_s:
                renewed = loop.time()
                await asyncio.gather(*(self._save(reader) for reader in list(self._readers.values())))
            await asyncio.sleep(min(self._options.acquire_s, self._options.renew_s))

    async def _take_share(self) -> None:
        first = 0 if self._options.from_beginning else self._documents.position()
        leases = await self._leases.all(first)
        # Its own are those of an earlier life: whoever bore the name of this instance before is dead.
        own = [lease for lease in leases if lease.owner == self._owner]
        for lease in [*own, *self._leases.share(leases)]:
            if lease.feed_range in self._readers:
                continue
            try:
                taken = await self._leases.save(lease, continuation=lease.continuation)
            except LeaseLost:
                continue
            reader = _Reader(taken)
            self._readers[lease.feed_range] = reader
            reader.task = asyncio.get_running_loop().create_task(self._read(reader))

    async def _read(self, reader: _Reader) -> None:
        loop = asyncio.get_running_loop()
        number = reader.lease.feed_range
        try:
            if self._poll_s:
                await pause(self._poll_s * self._beat(number), self._stopping)
            while not (reader.lost or self._stopping.is_set()):
                reader.changed.clear()
                changes = self._documents.changes(
                    self._options.container, number, reader.lease.continuation, self._options.max_items
                )
                if not changes:
                    looked = loop.time()
                    await reader.changed.wait()
                    await self._next_look(looked)
                    continue
                began = loop.time()
                await run_with_retries(
                    self._invocations, self._function, self._inputs(changes), self._stopping
                )
                while not await self._save(reader, continuation=changes[-1].sequence):
                    await pause(_FAILED_SECONDS, self._stopping)
                if self._poll_s and len(changes) == self._options.max_items:
                    continue
                if (rest := began + self._pace_s - loop.time()) > 0:
                    await pause(rest, self._stopping)
        except (Stopping, StoreStopped):
            return
        finally:
            del self._readers[number]

    def _beat(self, number: int) -> float:
        """From 0 to 1, so that functions and ranges with the same delay are not all polled at once."""
        return crc32(f"{self._function.name}.{number}".encode()) / 2**32

    async def _next_look(self, looked: float) -> None:
        """Wait for the poll at which what came after the one at `looked` is found. Raises Stopping."""
        if self._poll_s:
            since = asyncio.get_running_loop().time() - looked
            await pause(self._poll_s - since % self._poll_s, self._stopping)

    def _inputs(self, changes: Sequence[Change]) -> list[tuple[str, Datum]]:
        items = ",".join([change.text for change in changes])
        return [(self._function.trigger.name, Datum(f"[{items}]", "json"))]

    async def _save(
        self, reader: _Reader, *, continuation: int | None = None, owner: str | None = None
    ) -> bool:
        """Whether the lease needs no further attempt: it was written, or it is lost."""
        async with reader.saving:
            lease = reader.lease
            try:
                reader.lease = await self._leases.save(
                    lease,
                    continuation=lease.continuation if continuation is None else continuation,
                    owner=owner,
                )
            except LeaseLost:
                reader.lost = True
                reader.changed.set()
                _log.info("%s: range %d went to another instance", self._function.name, lease.feed_range)
            except (RequestFailed, StoreStopped, sqlite3.Error) as error:
                _log.warning("%s: lease of range %d: %s", self._function.name, lease.feed_range, error)
                return False
        return True


@dataclass(slots=True)
class _Reader:
    lease: Lease
    lost: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    saving: asyncio.Lock = field(default_factory=asyncio.Lock)
    """A renewal goes on beside a batch; the ETag lets only one of two writes through."""
    task: asyncio.Task[None] | None = None
