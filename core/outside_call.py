"""Calls to the outside world (charge a card, order a parcel), of which a repeat would cost something.

1. The intent is recorded, with a deadline, before the call.
2. Whoever recorded it makes the call, under an idempotency key made of the business key, within the deadline.
3. The outcome is recorded, in one batch with the reply.

A delivery that finds an intent which it did not record (a second delivery, or the first one after a crash)
makes no call before the deadline: it waits. After the deadline it looks the outcome up by business key,
because a gateway forgets its idempotency keys, and records what it found; only if there is nothing may the
call be repeated, as a new intent. The stream's version check lets one of several make that move.

An undo that meets an open intent records that it is wanted, and waits likewise: whoever learns the outcome
has it undone, and no new intent is opened.

A call that is refused on this side (its circuit is open, its bulkhead full) must leave no intent behind, of
which an undo would have to find out that nothing was sent. So its admission comes before the intent, and
holds until the call has ended: what is admitted is made.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol, runtime_checkable

from core.bus import Bus
from core.clock import Clock
from core.decider import Cause, Decider, Loaded, Outcome, execute, load
from core.documents import Documents
from core.envelope import ORDER_REPLIES, Envelope, command_id, reply_to, to_message
from core.resilience import TRANSIENT, TransientError, retry_transient

SETTLING_S = 1.0
"""Between giving up on an answer and looking the outcome up: what is on its way may still arrive at the other
side, and the clocks of two instances differ."""

RECORDING_S = 20.0
"""For how long recording a known outcome is repeated at once: cheaper than finding it again."""


class OutcomeUnknown(TransientError):
    """A call is in flight, or was given up on. Repeating the command later resolves it."""


class OutsideUnavailable(TransientError):
    """The other side says that it did nothing and may be asked again, not before `retry_after_s`."""

    def __init__(self, reason: str, retry_after_s: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class NotSent(OutsideUnavailable):
    """Refused on this side: nothing was sent, at no attempt."""


class Guard(Protocol):
    """Lets calls to a provider through, or not (core/outside_policy.py)."""

    def admitted(self) -> AbstractAsyncContextManager[None]:
        """While the block runs, what its task calls is let through. Raises NotSent."""
        ...


@runtime_checkable
class Guarded(Protocol):
    """A port whose calls go through a guard."""

    @property
    def guard(self) -> Guard: ...


def guard_of(port: object) -> Guard | None:
    return port.guard if isinstance(port, Guarded) else None


class _NotAdmitted(Exception):
    """The command opens an intent, which needs an admission first."""

    def __init__(self, guard: Guard) -> None:
        super().__init__()
        self.guard = guard


@dataclass(frozen=True, slots=True)
class Intent:
    """That a call is made. Until `deadline` only who recorded it may act on it."""

    attempt: int
    deadline: datetime


@dataclass(frozen=True, slots=True)
class OutsideCall[C]:
    """The call that a state says is under way.

    opened_by: the event that records the intent.
    call: makes it and gives the command that records its outcome. It is not repeated here.
    find: looks the outcome up and gives the command that records what was found, or that there is nothing.
    """

    intent: Intent
    opened_by: type
    call: Callable[[], Awaitable[C]]
    find: Callable[[], Awaitable[C]]


def deadline(now: datetime, timeout_s: float) -> datetime:
    """Of an intent recorded now, for a call that may take `timeout_s`."""
    return now + timedelta(seconds=timeout_s + SETTLING_S)


async def carry_out[S, C, E](
    documents: Documents,
    bus: Bus,
    clock: Clock,
    decider: Decider[S, C, E],
    command: Envelope,
    start: C,
    *,
    loaded: Loaded[S] | None,
    answers: Callable[[S, S], Sequence[tuple[str, object]]],
    under_way: Callable[[S], OutsideCall[C] | None],
    stream: str | None = None,
    answer_to: str | None = None,
    meanwhile: Callable[[S], object | None] = lambda _: None,
    guard: Callable[[S, E], Guard | None] = lambda _, __: None,
) -> None:
    """Execute `start`, see the calls that it opens through, and send every answer that is found on the way.

    `stream` is the order's when none is given. `start` is what the decider is told for `command`; `loaded`
    as in `execute`. `answers(before, after)` are what follows the order in the id of the command that this
    change of state answers (its type, with its part if it has one), and the answer. `answer_to` is the id of
    the command that is answered when it is not `command` itself: news from outside end what another began.
    `meanwhile(state)` is what is said to a command that this delivery leaves without an answer.
    `guard(before, event)` is who must admit the call whose intent this event is, before it is recorded.

    Returns when `command` is answered, or will be by news from outside, and no call is under way: a delivery
    that is completed too early might be the last that could see a call through after a crash. Raises
    OutcomeUnknown when an outcome must be waited for, NotSent, and what `execute` raises; repeating is safe.
    """
    order_id, source = command.subject, command.type.partition(".")[0]
    stream, answer_to = stream or order_id, answer_to or command.id
    cause = Cause(answer_to, command.correlation_id, command.id, command.traceparent, actor=source)

    reply = partial(reply_to, source=source, order_id=order_id, traceparent=command.traceparent)

    def replies(before: S, after: S) -> Sequence[Envelope]:
        return [
            reply(command_id(order_id, answered), data, time=clock.now())
            for answered, data in answers(before, after)
        ]

    admission = AsyncExitStack()
    admitted: list[Guard] = []

    guarded = _guarded(decider, guard, admitted)

    async def step(command: C, loaded: Loaded[S] | None) -> Outcome[S, E]:
        at = loaded if loaded is not None else await load(documents, decider, stream)
        while True:
            try:
                return await execute(
                    documents, guarded, stream, command, cause, clock.now(), loaded=at, replies=replies
                )
            except _NotAdmitted as refused:
                needed = refused.guard
            try:
                await admission.enter_async_context(needed.admitted())
            except NotSent:
                if at.version:
                    raise
                at = await load(documents, decider, stream)  # perhaps it is no new stream: nothing to be sent
                if not at.version:
                    raise
            else:
                admitted.append(needed)

    async def send(found: Sequence[Envelope]) -> None:
        await bus.send(ORDER_REPLIES, [to_message(each) for each in found])

    answered = False
    given_before: Sequence[Envelope] = ()
    async with admission:
        outcome = await step(start, loaded)
        while True:
            if outcome.duplicate:
                given_before = outcome.replies
            elif outcome.replies:
                await send(outcome.replies)
                answered = answered or any(each.causation_id == answer_to for each in outcome.replies)
            call = under_way(outcome.state)
            if call is None:
                break
            opened = any(isinstance(event, call.opened_by) for event in outcome.events)
            following = await (_make(call, clock) if opened else _find(call, clock))
            at = Loaded(outcome.state, outcome.version, hash=outcome.hash)
            outcome = await retry_transient(lambda: step(following, at), budget_s=RECORDING_S)  # noqa: B023
    if not answered:
        # The inbox record is gone when it has expired; the state still knows the answer.
        found = [
            each
            for each in given_before or replies(decider.initial, outcome.state)
            if each.causation_id == answer_to
        ]
        if not found and (news := meanwhile(outcome.state)) is not None:
            found = [reply(answer_to, news, time=clock.now(), pending=True)]
        if found:  # what is to end later is answered then
            await send(found)


def _guarded[S, C, E](
    decider: Decider[S, C, E], guard: Callable[[S, E], Guard | None], admitted: Sequence[Guard]
) -> Decider[S, C, E]:
    """Decides the same, and raises _NotAdmitted for an intent whose call is not in `admitted`."""

    def decide(state: S, command: C, now: datetime) -> Sequence[E]:
        events = decider.decide(state, command, now)
        for event in events:
            needed = guard(state, event)
            if needed is not None and needed not in admitted:
                raise _NotAdmitted(needed)
        return events

    return replace(decider, decide=decide)


async def _make[C](call: OutsideCall[C], clock: Clock) -> C:
    left = (call.intent.deadline - clock.now()).total_seconds() - SETTLING_S
    if left <= 0:
        raise OutcomeUnknown("recording the intent took so long that the call can no longer be made in time")
    try:
        async with asyncio.timeout(left):
            return await call.call()
    except (TimeoutError, *TRANSIENT) as error:
        raise OutcomeUnknown(f"no answer within {left:.1f} s: {error}") from error


async def _find[C](call: OutsideCall[C], clock: Clock) -> C:
    left = (call.intent.deadline - clock.now()).total_seconds()
    if left > 0:
        raise OutcomeUnknown(f"another delivery may be making the call for another {left:.1f} s")
    return await call.find()
