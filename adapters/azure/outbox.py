"""Sending to one queue or topic: one connection that stays open, one transfer at a time.

A sender of the SDK does not bear two sends at once, nor two that open it
(https://github.com/Azure/azure-sdk-for-python/issues/36334), and needs half a second to open. So there is one
for each entity, and what is to be sent while it is busy waits and then goes together, in one batch: a message
costs a fraction of what it does alone, and every caller still learns what became of its own.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from azure.servicebus import ServiceBusMessage, ServiceBusMessageBatch
from azure.servicebus.aio import ServiceBusSender
from azure.servicebus.exceptions import (
    MessageSizeExceededError,
    OperationTimeoutError,
    ServiceBusServerBusyError,
)

from adapters.azure.bus_errors import errors_of_the_port
from adapters.azure.lifetime import give_up
from core.bus import BusAccessDenied, BusError, EntityNotFound, MessageTooLarge, TransientBusError

MOST_CALLS = 100
"""In one batch. A batch of a hundred is encoded in about 10 ms, in which the event loop does nothing else."""

PAUSES_S = (0.0, 0.3)
"""Before the second and the third attempt. The second is at once, for a kept connection that the service
closed, as it does after minutes without a message. More patience is the caller's (core/resilience.py)."""


@dataclass(frozen=True, slots=True, eq=False)
class _Call:
    """One caller's messages: in one batch as a whole, alone or with those of others."""

    messages: Sequence[ServiceBusMessage]
    done: asyncio.Future[None]

    def fail(self, error: BaseException) -> None:
        if not self.done.done():  # a caller who was cancelled waits no more
            self.done.set_exception(error)


class Outbox:
    """`new_sender` gives a sender that is not open yet."""

    def __init__(self, entity: str, new_sender: Callable[[], ServiceBusSender]) -> None:
        self._entity = entity
        self._new_sender = new_sender
        self._sender: ServiceBusSender | None = None
        self._waiting: deque[_Call] = deque()
        self._work: asyncio.Task[None] | None = None
        self._dropping: set[asyncio.Task[None]] = set()

    async def send(self, messages: Sequence[ServiceBusMessage]) -> None:
        """All or nothing. Raises what `Bus.send` raises. A caller who is cancelled may have sent or not."""
        call = _Call(messages, asyncio.get_running_loop().create_future())
        self._waiting.append(call)
        if self._work is None:
            # A task of its own, so that the end of one caller does not end the sends of others.
            self._work = asyncio.create_task(self._send_waiting())
        await call.done

    async def close(self) -> None:
        """After what is being sent and what waits. Another send opens it again."""
        if self._work is not None:
            await asyncio.gather(self._work, return_exceptions=True)
        self._drop()
        await asyncio.gather(*self._dropping, return_exceptions=True)

    async def _send_waiting(self) -> None:
        calls: list[_Call] = []
        try:
            while self._waiting:
                calls = self._take()
                if calls:
                    await self._settle(calls)
        except asyncio.CancelledError:  # the loop ends
            for call in (*calls, *self._waiting):
                call.done.cancel()
            self._waiting.clear()
            raise
        finally:
            self._work = None

    def _take(self) -> list[_Call]:
        calls: list[_Call] = []
        while self._waiting and len(calls) < MOST_CALLS:
            call = self._waiting.popleft()
            if not call.done.cancelled():
                calls.append(call)
        return calls

    async def _settle(self, calls: list[_Call]) -> None:
        """Send what fits one transfer and tell its callers; the rest waits again."""
        try:
            await self._deliver(calls)
        except (EntityNotFound, BusAccessDenied, TransientBusError) as error:
            _fail_all(calls, error)
        except Exception as error:
            if len(calls) == 1:
                calls[0].fail(error)
            else:  # it may be one message that the SDK or the service does not take
                for call in calls:
                    await self._settle([call])
        else:
            for call in calls:
                if not call.done.done():
                    call.done.set_result(None)

    async def _deliver(self, calls: list[_Call]) -> None:
        for pause in (*PAUSES_S, None):
            kept = self._sender is not None
            try:
                with errors_of_the_port(self._entity):
                    await self._transfer(await self._opened(), calls)
            except (TransientBusError, BusAccessDenied) as error:
                if not isinstance(error.__cause__, ServiceBusServerBusyError):
                    self._drop()
                # Access may be denied for a token that ran out on a connection that lay idle, and a timeout
                # was long enough.
                denied = isinstance(error, BusAccessDenied) and not kept
                if pause is None or denied or isinstance(error.__cause__, OperationTimeoutError):
                    raise
            except BusError as error:
                if error.__cause__ is not None:
                    self._drop()  # the service may have detached the link
                raise
            else:
                return
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))

    async def _transfer(self, sender: ServiceBusSender, calls: list[_Call]) -> None:
        """Takes from `calls` what does not fit."""
        if len(calls) == 1 and len(calls[0].messages) == 1:
            await sender.send_messages(calls[0].messages[0])
            return
        while True:
            batch = await sender.create_message_batch()
            fitting = _fill(batch, calls)
            if fitting == len(calls):
                break
            # The batch may hold a part of the call that did not fit, so it is begun anew without that.
            self._waiting.extendleft(reversed(calls[max(fitting, 1) :]))
            del calls[max(fitting, 1) :]
            if fitting == 0:
                raise MessageTooLarge(
                    f"{self._entity}: {len(calls[0].messages)} messages in one send are larger than"
                    f" {batch.max_size_in_bytes} bytes"
                )
        await sender.send_messages(batch)

    async def _opened(self) -> ServiceBusSender:
        if self._sender is None:
            sender = self._new_sender()
            try:
                await sender.__aenter__()
            except BaseException:
                self._discard(sender)
                raise
            self._sender = sender
        return self._sender

    def _drop(self) -> None:
        if self._sender is not None:
            self._discard(self._sender)
            self._sender = None

    def _discard(self, sender: ServiceBusSender) -> None:
        """Close it, which takes up to two seconds, while others go on."""
        task = asyncio.create_task(give_up(sender))
        self._dropping.add(task)
        task.add_done_callback(self._dropping.discard)


def _fill(batch: ServiceBusMessageBatch, calls: Iterable[_Call]) -> int:
    """How many of the calls fit, each with all of its messages."""
    fitting = 0
    try:
        for call in calls:
            for message in call.messages:
                batch.add_message(message)
            fitting += 1
    except MessageSizeExceededError:
        pass
    return fitting


def _fail_all(calls: Iterable[_Call], error: BusError) -> None:
    """To each an error of its own: a traceback grows with every place that it is raised at."""
    for call in calls:
        own = type(error)(*error.args)
        own.__cause__ = error.__cause__
        call.fail(own)
