"""The Service Bus engine: what a namespace does, without a wire.

Delivery is at least once, in the order of sequence numbers among what is free. A lock belongs to a row,
not to a process: any process on the store may settle it, and when its holder dies the message comes again
once the lock has expired.
"""

from collections.abc import Callable, Sequence
from random import Random

from emulator.clock import Clock
from emulator.metrics import Metrics
from emulator.servicebus import writes
from emulator.servicebus.alarm import Alarm
from emulator.servicebus.entities import Entities, Mailbox, build, paths
from emulator.servicebus.errors import (
    InvalidOperation,
    MessageLockLost,
    MessageNotFound,
    MessageTooLarge,
    ServerBusy,
    ServiceBusError,
)
from emulator.servicebus.faults import Faults
from emulator.servicebus.messages import LockedMessage, Message, StoredMessage
from emulator.servicebus.rows import MAX_MESSAGE_BYTES, STORED, Row, encode, locked, nonce_text, stored
from emulator.servicebus.schema import NEVER
from emulator.servicebus.topology import Topology
from emulator.store import Store, Transaction

type Settle = Callable[[Transaction, Mailbox, str, int], bool]
type Take = Callable[[Transaction, Mailbox, list[Row], int], None]


class ServiceBusEngine:
    """Paths are `queue`, `topic`, `topic/Subscriptions/name`, the receivable ones each + `/$DeadLetterQueue`.

    Whoever receives from `path` listens to `queue:{path}` on the store: woken when a message became free.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        random: Random,
        topology: Topology,
        metrics: Metrics,
        *,
        faults: Faults | None = None,
        scan_s: float = 1.0,
    ) -> None:
        """`scan_s`: how soon what another process left, or forgot to tell, is found at the latest."""
        self._store = store
        self._clock = clock
        self._random = random
        self._topology = topology
        self._metrics = metrics
        self._faults = faults
        self._entities = Entities([])
        self._alarm = Alarm(clock, self._do_what_is_due, scan_s)
        self._fails_until = 0.0

    async def start(self) -> None:
        """Raises ServiceBusError when the store holds messages of an entity that the topology has no more."""
        known = paths(self._topology)

        def register(tx: Transaction) -> dict[str, int]:
            tx.executemany(
                "INSERT OR IGNORE INTO bus_entities (path) VALUES (?)", [(path,) for path in known]
            )
            return dict(tx.execute("SELECT path, id FROM bus_entities").fetchall())

        ids = await self._store.write(register)
        for path, held in self._store.read(
            "SELECT path, count(*) FROM bus_messages JOIN bus_entities ON id = entity GROUP BY path"
        ):
            if path not in known:
                raise ServiceBusError(
                    f"the store holds {held} messages of {path!r}, which the topology does not have: "
                    "add it again, or use another --state folder"
                )
        self._entities = build(self._topology, ids.__getitem__)
        self._alarm.start(await self._do_what_is_due())

    async def stop(self) -> None:
        await self._alarm.stop()

    @property
    def entities(self) -> Entities:
        """What there is, once started."""
        return self._entities

    def fail_until(self, epoch_s: float) -> None:
        """Until then each send raises ServerBusy."""
        self._fails_until = epoch_s

    async def send(self, entity: str, messages: Sequence[Message]) -> list[int]:
        """To a queue or topic, all or nothing. Returns sequence numbers, which cancel scheduled messages.

        The number is 0 for a duplicate, and where no subscription took the message.
        Raises EntityNotFound, MessageTooLarge, InvalidMessage, ServerBusy.
        """
        if self._clock.time() < self._fails_until:
            raise ServerBusy(f"{entity}: the request was terminated because the entity is being throttled")
        target = self._entities.target(entity)
        encoded = [encode(message) for message in messages]
        total = sum(size for _, size in encoded)
        if total > MAX_MESSAGE_BYTES:
            raise MessageTooLarge(
                f"{len(encoded)} messages in one call: {total} bytes, at most {MAX_MESSAGE_BYTES} are taken"
            )
        self._metrics.message_sent(target.path, len(encoded))
        contents = [content for content, _ in encoded]
        delays = [0 if self._faults is None else self._faults.delay_ms() for _ in messages]

        def accept(tx: Transaction) -> list[tuple[int, int]]:
            now = self._now()
            if len(messages) > 1 and writes.are_plain(target, messages, delays):
                return writes.accept_plain(tx, target.mailboxes[0], messages, contents, now)
            return [
                writes.accept(tx, target, message, content, now, delay)
                for message, content, delay in zip(messages, contents, delays, strict=True)
            ]

        accepted = await self._store.write(accept)
        self._alarm.set(min((due for _, due in accepted), default=NEVER))
        return [sequence for sequence, _ in accepted]

    async def cancel_scheduled(self, entity: str, sequence_numbers: Sequence[int]) -> None:
        """All or nothing. Raises EntityNotFound, MessageNotFound."""
        target = self._entities.target(entity)

        def cancel(tx: Transaction) -> None:
            for number in sequence_numbers:
                if not writes.cancel_scheduled(tx, target, number):
                    raise MessageNotFound(f"{entity}: no scheduled message has the sequence number {number}")

        await self._store.write(cancel)

    async def receive(self, path: str, max_messages: int, owner: str) -> list[LockedMessage]:
        """Lock up to so many messages. Answers at once, with fewer only when no more were free.

        Raises EntityNotFound. `owner` only says who, for whoever looks into the table.
        """
        mailbox = self._entities.mailbox(path)
        if max_messages < 1:
            return []
        free = self._store.read(writes.NEXT, (mailbox.id, self._now(), max_messages))
        if not free:
            return []
        nonce = self._random.getrandbits(63)
        rows, until = await self._store.write(
            lambda tx: writes.lock(tx, mailbox, free, max_messages, nonce, owner, self._now())
        )
        self._alarm.set(until)
        text = nonce_text(nonce)
        return [locked(row, text, until) for row in rows]

    async def receive_and_delete(self, path: str, max_messages: int) -> list[StoredMessage]:
        """As `receive`, and completed at once: lost when the caller dies. Raises EntityNotFound."""
        mailbox = self._entities.mailbox(path)
        if max_messages < 1 or not self._store.read(writes.NEXT, (mailbox.id, self._now(), 1)):
            return []
        rows = await self._store.write(
            lambda tx: writes.next_and_delete(tx, mailbox, max_messages, self._now())
        )
        return [stored(row) for row in rows]

    async def receive_deferred(
        self, path: str, sequence_numbers: Sequence[int], owner: str
    ) -> list[LockedMessage]:
        """Lock them again, all or none, in the order asked for.

        Raises EntityNotFound; MessageNotFound for a number that is locked, expired or not deferred at all.
        """
        nonce = self._random.getrandbits(63)
        until = NEVER

        def lock(tx: Transaction, mailbox: Mailbox, rows: list[Row], now: int) -> None:
            nonlocal until
            until = writes.lock_deferred(tx, mailbox, rows, nonce, owner, now)

        rows = await self._take_deferred(path, sequence_numbers, lock)
        self._alarm.set(until)
        text = nonce_text(nonce)
        return [locked(row, text, until) for row in rows]

    async def receive_and_delete_deferred(
        self, path: str, sequence_numbers: Sequence[int]
    ) -> list[StoredMessage]:
        """As `receive_deferred`, and completed at once."""

        def delete(tx: Transaction, mailbox: Mailbox, rows: list[Row], _now: int) -> None:
            writes.delete(tx, mailbox, rows)

        return [stored(row) for row in await self._take_deferred(path, sequence_numbers, delete)]

    async def complete(self, path: str, tokens: Sequence[str]) -> None:
        """Raises EntityNotFound, MessageLockLost."""
        if self._faults is not None:
            await self._complete_or_forget(path, tokens, self._faults)
        elif len(tokens) == 1 or not await self._complete_all(path, tokens):
            await self._settle(path, tokens, writes.complete)

    async def abandon(self, path: str, tokens: Sequence[str]) -> None:
        """Free again at once, its delivery counted as failed. Raises EntityNotFound, MessageLockLost."""
        await self._settle(path, tokens, writes.abandon)

    async def release(self, path: str, tokens: Sequence[str]) -> None:
        """As `abandon`, but not counted as failed. Raises EntityNotFound, MessageLockLost."""
        await self._settle(path, tokens, writes.release)

    async def defer(self, path: str, tokens: Sequence[str]) -> None:
        """Set aside until it is asked for by its sequence number, its delivery counted as failed.

        Raises EntityNotFound, MessageLockLost.
        """
        await self._settle(path, tokens, writes.defer)

    async def dead_letter(self, path: str, tokens: Sequence[str], reason: str, description: str) -> None:
        """Raises EntityNotFound, MessageLockLost, InvalidOperation in a dead-letter queue."""
        if self._entities.mailbox(path).dead_letters is None:
            raise InvalidOperation(f"{path}: a message of a dead-letter queue cannot be dead-lettered")

        def settle(tx: Transaction, mailbox: Mailbox, token: str, now: int) -> bool:
            return writes.dead_letter(tx, mailbox, token, now, reason, description)

        await self._settle(path, tokens, settle)

    async def renew(self, path: str, tokens: Sequence[str]) -> float:
        """Lock for another lock duration from now. Returns the new end.

        Raises EntityNotFound, MessageLockLost.
        """
        now = await self._settle(path, tokens, writes.renew)
        return (now + self._entities.mailbox(path).lock_ms) / 1000

    def peek(self, path: str, from_sequence: int, limit: int) -> list[StoredMessage]:
        """What lies there in whatever state, by sequence number. Raises EntityNotFound.

        A topic has scheduled ones alone.
        """
        try:
            entity = self._entities.mailbox(path).id
        except ServiceBusError:
            entity = self._entities.target(path).id
        rows = self._store.read(
            f"SELECT {STORED} FROM bus_messages WHERE entity = ? AND sequence >= ? ORDER BY sequence LIMIT ?",
            (entity, from_sequence, limit),
        )
        return [stored(row) for row in rows]

    async def _take_deferred(self, path: str, sequence_numbers: Sequence[int], take: Take) -> list[Row]:
        mailbox = self._entities.mailbox(path)

        def find_and_take(tx: Transaction) -> tuple[list[Row], list[int]]:
            now = self._now()
            rows, missing = writes.find_deferred(tx, mailbox, sequence_numbers, now)
            if not missing:
                take(tx, mailbox, rows, now)
            return rows, missing

        rows, missing = await self._store.write(find_and_take)
        if missing:  # raised here and not in the write, which would undo what expired
            raise MessageNotFound(
                f"{path}: no deferred and unlocked message has a sequence number of {missing}"
            )
        return rows

    async def _complete_all(self, path: str, tokens: Sequence[str]) -> bool:
        """With one statement, which costs half as much for each. False when some are not locked any more."""
        mailbox = self._entities.mailbox(path)
        try:
            await self._store.write(lambda tx: writes.complete_all(tx, mailbox, tokens, self._now()))
        except writes.SomeLocksLost:
            return False
        return True

    async def _complete_or_forget(self, path: str, tokens: Sequence[str], faults: Faults) -> None:
        lock_ms = self._entities.mailbox(path).lock_ms
        forgotten = {
            token: after for token in tokens if (after := faults.redelivery_after_ms(lock_ms)) is not None
        }

        def settle(tx: Transaction, mailbox: Mailbox, token: str, now: int) -> bool:
            if token in forgotten:
                return writes.forget_completion(tx, mailbox, token, now, forgotten[token])
            return writes.complete(tx, mailbox, token, now)

        now = await self._settle(path, tokens, settle)
        self._alarm.set(now + min(forgotten.values(), default=NEVER))

    async def _settle(self, path: str, tokens: Sequence[str], settle: Settle) -> int:
        """Settle what is still locked, then complain about the rest."""
        mailbox = self._entities.mailbox(path)

        def settle_all(tx: Transaction) -> tuple[int, list[str]]:
            now = self._now()
            return now, [token for token in tokens if not settle(tx, mailbox, token, now)]

        now, lost = await self._store.write(settle_all)
        if lost:
            raise MessageLockLost(lost)
        return now

    async def _do_what_is_due(self) -> int:
        next_due = self._next_due()
        now = self._now()
        forgettable = self._store.read("SELECT 1 FROM bus_seen WHERE until <= ? LIMIT 1", (now,))
        if next_due > now and not forgettable:
            return next_due
        return await self._store.write(lambda tx: writes.do_what_is_due(tx, self._entities, now))

    def _next_due(self) -> int:
        due: int | None = self._store.read("SELECT min(due_at) FROM bus_messages")[0][0]
        return NEVER if due is None else due

    def _now(self) -> int:
        return int(self._clock.time() * 1000)
