"""What peers decide about the messages they hold: what came together goes to the engine in one call."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Sequence
from typing import Final, NamedTuple

from emulator.servicebus.engine import ServiceBusEngine
from emulator.servicebus.errors import MessageLockLost, ServiceBusError
from emulator.store import StoreStopped
from emulator.wire.amqp.errors import LOCK_LOST, NOT_IMPLEMENTED, error_of
from emulator.wire.amqp.frames import frame
from emulator.wire.amqp.performatives import ACCEPTED, ERROR, MODIFIED, REJECTED, RELEASED
from emulator.wire.amqp.replies import (
    STATE_ACCEPTED,
    STATE_MODIFIED,
    STATE_RELEASED,
    Error,
    write_disposition,
    write_rejected,
)
from emulator.wire.amqp.session import Owner, Settled
from emulator.wire.amqp.values import Described, Value

_REASON: Final = "DeadLetterReason"
_DESCRIPTION: Final = "DeadLetterErrorDescription"


class _Decision(NamedTuple):
    """`done` is the state with which it is answered."""

    kind: str
    done: bytes
    reason: str = ""
    description: str = ""


_COMPLETE: Final = _Decision("complete", STATE_ACCEPTED)
_ABANDON: Final = _Decision("abandon", STATE_MODIFIED)
_DEFER: Final = _Decision("defer", STATE_MODIFIED)
_NO_CHANGES: Final = Error(NOT_IMPLEMENTED, "to change properties in settling a message is not served")
_RELEASE: Final = _Decision("release", STATE_RELEASED)


class Settlements:
    """Of one connection."""

    def __init__(self, owner: Owner, engine: ServiceBusEngine) -> None:
        self._owner = owner
        self._engine = engine
        self._waiting: dict[tuple[str, _Decision], list[Settled]] = {}

    def add(self, settled: Settled) -> None:
        unsettled = settled.unsettled
        if unsettled is None:
            self._answer(
                settled, write_rejected(Error(LOCK_LOST, "the delivery is not known, or was settled"))
            )
            return
        decision = _decision(settled.disposition.state)
        if isinstance(decision, Error):
            self._answer(settled, write_rejected(decision))
            return
        if not unsettled.path:
            self._answer(settled, decision.done)
            return
        if not self._waiting:
            self._owner.after_read(self._flush)
        self._waiting.setdefault((unsettled.path, decision), []).append(settled)

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for (path, decision), settled in waiting.items():
            self._owner.start(self._settle(path, decision, settled))

    async def _settle(self, path: str, decision: _Decision, settled: Sequence[Settled]) -> None:
        tokens = [each.unsettled.lock_token for each in settled if each.unsettled is not None]
        failed: dict[str, Error] = {}
        try:
            await self._call(path, decision, tokens)
        except StoreStopped:
            return  # not settled: the messages come again
        except MessageLockLost as lost:
            text = "The lock supplied is invalid. Either the lock expired, or the message has been settled."
            failed = dict.fromkeys(lost.tokens, Error(LOCK_LOST, text))
        except (ServiceBusError, sqlite3.Error) as error:
            failed = dict.fromkeys(tokens, error_of(error))
        if not failed:
            self._owner.pipe.write(b"".join([_frame(each, decision.done) for each in settled]))
            return
        for each, token in zip(settled, tokens, strict=True):
            error_told = failed.get(token)
            self._answer(each, decision.done if error_told is None else write_rejected(error_told))

    def _answer(self, settled: Settled, state: bytes) -> None:
        self._owner.pipe.write(_frame(settled, state))

    def _call(self, path: str, decision: _Decision, tokens: Sequence[str]) -> Awaitable[None]:
        match decision.kind:
            case "complete":
                return self._engine.complete(path, tokens)
            case "abandon":
                return self._engine.abandon(path, tokens)
            case "defer":
                return self._engine.defer(path, tokens)
            case "release":
                return self._engine.release(path, tokens)
            case _:
                return self._engine.dead_letter(path, tokens, decision.reason, decision.description)


def _frame(settled: Settled, state: bytes) -> bytes:
    """One for each delivery: a waiter in the Python SDK is woken by each frame, not by each delivery.

    None for one that the peer settled by itself.
    """
    session, delivery_id, _, disposition = settled
    if disposition.settled or session.has_ended:
        return b""
    return frame(session.channel, write_disposition(delivery_id, state, as_receiver=False))


def _decision(state: Described | None) -> _Decision | Error:
    descriptor = None if state is None else state.descriptor
    fields = state.value if state is not None and isinstance(state.value, list) else []
    if descriptor == MODIFIED:
        return _modified(fields)
    if descriptor == REJECTED:
        return _dead_letter(fields)
    if descriptor in {ACCEPTED, RELEASED}:
        return _COMPLETE if descriptor == ACCEPTED else _RELEASE
    return Error(NOT_IMPLEMENTED, f"the outcome {descriptor!r} is not served")


def _modified(fields: list[Value]) -> _Decision | Error:
    """That the delivery failed need not be said: the .NET and JavaScript SDKs abandon without."""
    _, undeliverable_here, annotations = (*fields, None, None, None)[:3]
    if annotations:
        return _NO_CHANGES
    return _DEFER if undeliverable_here is True else _ABANDON


def _dead_letter(fields: list[Value]) -> _Decision | Error:
    """`rejected`; its error's info has reason and description."""
    error = fields[0] if fields else None
    parts = error.value if isinstance(error, Described) and error.descriptor == ERROR else []
    info = parts[2] if isinstance(parts, list) and len(parts) > 2 else None
    given = info if isinstance(info, dict) else {}
    for key in given:
        if key not in {_REASON, _DESCRIPTION}:
            return _NO_CHANGES
    reason, description = given.get(_REASON), given.get(_DESCRIPTION)
    return _Decision(
        "dead_letter",
        write_rejected(None),
        reason if isinstance(reason, str) else "",
        description if isinstance(description, str) else "",
    )
