"""Takes messages from a mailbox for all links that have credit for them: one call to the engine for many."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Sequence
from contextvars import Context
from typing import Final, Protocol

from emulator.servicebus.engine import ServiceBusEngine
from emulator.servicebus.errors import ServiceBusError
from emulator.servicebus.messages import LockedMessage, StoredMessage
from emulator.store import Listener, Store, StoreStopped

_log = logging.getLogger("emulator.wire.amqp")

_MAX_AT_ONCE: Final = 128
_MAX_BYTES_AT_ONCE: Final = 1024 * 1024
_SCAN_S: Final = 1.0
"""How soon a message is found, at the latest, of which another process did not tell."""


class Taker(Protocol):
    """A link that delivers messages to a peer."""

    def room(self) -> int:
        """How many messages it would take now."""
        ...

    def deliver(self, message: StoredMessage) -> int:
        """Returns the bytes written. Called when there is room."""
        ...

    def nothing_left(self) -> None:
        """All messages that were free have been delivered."""
        ...


class Mailbox:
    """Of one path and mode: to be settled by the peer, or deleted as they are delivered."""

    def __init__(self, engine: ServiceBusEngine, path: str, *, deletes: bool) -> None:
        self._engine = engine
        self._path = path
        self._deletes = deletes
        self._takers: list[Taker] = []
        self._turn = 0
        self._look_again = False
        self._looking: asyncio.Task[None] | None = None
        self._average_bytes = _MAX_BYTES_AT_ONCE / 16

    def add(self, taker: Taker) -> None:
        self._takers.append(taker)

    def remove(self, taker: Taker) -> None:
        if taker in self._takers:
            self._takers.remove(taker)

    def look(self) -> bool:
        """Look for messages; False when nobody would take any."""
        self._look_again = True
        if not any(taker.room() > 0 for taker in self._takers):
            return False
        if self._looking is None:
            # In a context of its own: what woke it may have been a hosted function's write.
            task = asyncio.Task(
                self._look(), loop=asyncio.get_running_loop(), context=Context(), eager_start=True
            )
            self._looking = None if task.done() else task
        return True

    def stop(self) -> None:
        if self._looking is not None:
            self._looking.cancel()

    async def _look(self) -> None:
        try:
            while self._look_again and (wanted := self._wanted()) > 0:
                self._look_again = False
                messages = await self._receive(wanted)
                await self._hand_out(messages)
                if len(messages) == wanted:
                    self._look_again = True
                elif not self._look_again:
                    for taker in list(self._takers):
                        taker.nothing_left()
        except StoreStopped:
            pass  # the emulator is about to end, and the connections with it
        except (ServiceBusError, sqlite3.Error) as error:
            _log.warning("%s: nothing received, tried again at the next scan: %s", self._path, error)
        finally:
            self._looking = None

    def _wanted(self) -> int:
        room = sum(taker.room() for taker in self._takers)
        return min(room, _MAX_AT_ONCE, max(1, int(_MAX_BYTES_AT_ONCE / self._average_bytes)))

    async def _receive(self, limit: int) -> Sequence[StoredMessage]:
        if self._deletes:
            return await self._engine.receive_and_delete(self._path, limit)
        return await self._engine.receive(self._path, limit, "amqp")

    async def _hand_out(self, messages: Sequence[StoredMessage]) -> None:
        """By turns. What nobody takes any more is free again."""
        size = 0
        for place, message in enumerate(messages):
            taker = self._next()
            if taker is None:
                await self._give_back(messages[place:])
                break
            size += taker.deliver(message)
        else:
            if messages:
                self._average_bytes = max(1.0, size / len(messages))

    def _next(self) -> Taker | None:
        count = len(self._takers)
        for step in range(count):
            place = (self._turn + step) % count
            if self._takers[place].room() > 0:
                self._turn = place + 1
                return self._takers[place]
        return None

    async def _give_back(self, messages: Sequence[StoredMessage]) -> None:
        tokens = [message.lock_token for message in messages if isinstance(message, LockedMessage)]
        if tokens:
            await self._engine.release(self._path, tokens)
        elif messages:
            _log.warning(
                "%s: %d messages received and deleted are lost, their receivers are gone",
                self._path,
                len(messages),
            )


class Mailboxes:
    """All that can be received from. Belongs to one event loop and one started engine."""

    def __init__(self, engine: ServiceBusEngine, store: Store) -> None:
        self._by_path: dict[tuple[str, bool], Mailbox] = {}
        self._scan: asyncio.TimerHandle | None = None
        self._stopped = False
        for box in engine.entities.mailboxes_by_id.values():
            pair = [Mailbox(engine, box.path, deletes=deletes) for deletes in (False, True)]
            for mailbox in pair:
                self._by_path[box.path, mailbox is pair[1]] = mailbox
                # For all, also those that nobody receives from here: another process may have the receiver,
                # and is told only of what somebody listens to here.
                store.listen(box.wake, self._listener(mailbox))

    def find(self, path: str, *, deletes: bool) -> Mailbox:
        """`path` is as the engine writes it."""
        if self._scan is None:
            self._schedule_scan()
        return self._by_path[path, deletes]

    def stop(self) -> None:
        self._stopped = True
        if self._scan is not None:
            self._scan.cancel()
        for mailbox in self._by_path.values():
            mailbox.stop()

    def _listener(self, mailbox: Mailbox) -> Listener:
        return lambda: not self._stopped and mailbox.look()

    def _schedule_scan(self) -> None:
        self._scan = asyncio.get_running_loop().call_later(_SCAN_S, self._look_everywhere)

    def _look_everywhere(self) -> None:
        for mailbox in self._by_path.values():
            mailbox.look()
        self._schedule_scan()
