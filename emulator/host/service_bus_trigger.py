"""Takes messages from a queue or subscription, runs the function on them and settles them as in Azure.

Cardinality one: many at a time, locks renewed; success completes, an exception abandons. Cardinality many:
one batch at a time, locks not renewed; an exception abandons the whole batch. The rules are those of
`Listeners/ServiceBusListener.cs` of Microsoft.Azure.WebJobs.Extensions.ServiceBus (Azure/azure-sdk-for-net).
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Coroutine, Sequence
from contextvars import Context

from emulator.clock import Clock
from emulator.host import service_bus_messages
from emulator.host.functions import Function
from emulator.host.invocations import Invocations
from emulator.host.limits import ServiceBusLimits
from emulator.host.settlement import Settlement
from emulator.host.worker import InvocationFailed
from emulator.servicebus.engine import ServiceBusEngine
from emulator.servicebus.errors import MessageLockLost, ServiceBusError
from emulator.servicebus.messages import LockedMessage
from emulator.store import StoreStopped

_log = logging.getLogger("emulator.host")
_RENEWALS_PER_LOCK = 3


def entity_path(function: Function) -> str:
    trigger = function.trigger
    topic = trigger.text("topicName")
    return f"{topic}/Subscriptions/{trigger.text('subscriptionName')}" if topic else trigger.text("queueName")


class ServiceBusTrigger:
    """One function's messages in one instance."""

    def __init__(
        self,
        function: Function,
        path: str,
        *,
        bus: ServiceBusEngine,
        invocations: Invocations,
        clock: Clock,
        limits: ServiceBusLimits,
        owner: str,
        fast_decoding: bool,
    ) -> None:
        self.path = path
        self._function = function
        self._bus = bus
        self._invocations = invocations
        self._clock = clock
        self._limits = limits
        self._owner = owner
        self._encode_one = service_bus_messages.one_as_it_is if fast_decoding else service_bus_messages.one
        self._auto_complete = function.trigger.flag("autoCompleteMessages", limits.auto_complete)
        self._batches = function.trigger.text("cardinality", "ONE").upper() == "MANY"
        self._settlement = Settlement(bus, path, self._release)
        self._held: dict[str, tuple[float, float]] = {}
        """By lock token: when the message was received, and when its lock was last renewed."""
        self._receiving = False
        self._released = asyncio.Event()
        self._look_again = False
        self._stopping = False
        self._renewal: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def wake(self) -> bool:
        """Look for messages; False when there is no room for more, or none is wanted."""
        self._look_again = True
        if self._stopping or self._room() < 1:
            return False
        if not self._receiving:
            self._receiving = True
            self._start(self._receive())
        return True

    async def drain(self) -> None:
        """Take no more messages and finish those in hand."""
        self._stopping = True
        while self._held or self._receiving:
            self._released.clear()
            await self._released.wait()

    def stop(self) -> None:
        """At once: what is in hand comes again when its lock ends."""
        self._stopping = True
        for task in self._tasks:
            task.cancel()
        self._settlement.stop()
        if self._renewal is not None:
            self._renewal.cancel()

    def _room(self) -> int:
        if self._batches:
            return 0 if self._held else self._limits.max_message_batch_size
        return self._limits.max_concurrent_calls - len(self._held)

    def _start(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Begins at once, in a context of its own: the write that woke this one was of another function."""
        task = asyncio.Task(work, loop=asyncio.get_running_loop(), context=Context(), eager_start=True)
        if not task.done():
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return task

    async def _receive(self) -> None:
        try:
            while self._look_again and not self._stopping and (room := self._room()) > 0:
                self._look_again = False
                messages = await self._bus.receive(self.path, room, self._owner)
                if not messages:
                    continue
                self._look_again = self._look_again or len(messages) == room
                self._hold(messages)
                if self._batches:
                    self._start(self._run_batch(messages))
                else:
                    for message in messages:
                        self._start(self._run_one(message))
        except StoreStopped:
            self._stopping = True
        except (ServiceBusError, sqlite3.Error) as error:
            _log.warning("%s: nothing received, tried again at the next scan: %s", self.path, error)
        finally:
            self._receiving = False
            self._released.set()

    async def _run_one(self, message: LockedMessage) -> None:
        token = message.lock_token
        trace = message.properties.get("traceparent")
        body, metadata = self._encode_one(message)
        try:
            await self._invocations.run(
                self._function,
                [(self._function.trigger.name, body)],
                metadata,
                traceparent=trace if isinstance(trace, str) else None,
            )
        except InvocationFailed:
            self._settlement.abandon([token])
            return
        self._succeeded([token])

    async def _run_batch(self, messages: Sequence[LockedMessage]) -> None:
        tokens = [message.lock_token for message in messages]
        bodies, metadata = service_bus_messages.many(messages)
        try:
            await self._invocations.run(self._function, [(self._function.trigger.name, bodies)], metadata)
        except InvocationFailed:
            self._settlement.abandon(tokens)
            return
        self._succeeded(tokens)

    def _succeeded(self, tokens: Sequence[str]) -> None:
        if self._auto_complete:
            self._settlement.complete(tokens)
        else:
            # The function is to settle by itself, which a Python function cannot: the lock runs out.
            self._release(tokens)

    def _hold(self, messages: Sequence[LockedMessage]) -> None:
        now = self._clock.time()
        for message in messages:
            self._held[message.lock_token] = (now, now)
        if self._renewal is None and not self._batches:
            self._schedule_renewal((messages[0].locked_until - now) / _RENEWALS_PER_LOCK)

    def _release(self, tokens: Sequence[str]) -> None:
        for token in tokens:
            self._held.pop(token, None)
        self._released.set()
        if self._look_again and not self._receiving:
            self.wake()

    def _schedule_renewal(self, interval: float) -> None:
        loop = asyncio.get_running_loop()
        self._renewal = loop.call_later(max(interval, 0.01), self._renew_held, interval)

    def _renew_held(self, interval: float) -> None:
        """One timer for all messages in hand: those locked for an interval or longer are renewed."""
        self._renewal = None
        if not self._held:
            return
        now = self._clock.time()
        due = [
            token
            for token, (received, renewed) in self._held.items()
            if now - renewed >= interval * 0.99 and now - received < self._limits.renew_for_seconds
        ]
        if due:
            self._start(self._renew(due, now))
        self._schedule_renewal(interval)

    async def _renew(self, tokens: Sequence[str], now: float) -> None:
        try:
            await self._bus.renew(self.path, tokens)
        except (MessageLockLost, StoreStopped):
            pass  # a lock that is gone shows when the message is settled
        except (ServiceBusError, sqlite3.Error) as error:
            _log.warning("%s: locks not renewed: %s", self.path, error)
            return
        for token in tokens:
            if token in self._held:
                self._held[token] = (self._held[token][0], now)
