"""What a client may do with instances: start them, send to them, end them, look them up."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from emulator.durable import commit, history
from emulator.durable.instance import FINISHED, PENDING, RUNNING, SUSPENDED, Instance
from emulator.store import Transaction

if TYPE_CHECKING:
    from emulator.durable.engine import DurableEngine

_MAX_INSTANCE_ID = 100
_DEFAULT_PAGE = 100


class Refusal(Exception):
    """Nothing was changed."""


class InvalidRequest(Refusal):
    """The message says what is wrong with which argument."""


class AlreadyExists(Refusal):
    """An unfinished instance has that id."""


class NotFound(Refusal):
    """No instance has that id."""


class Gone(Refusal):
    """The instance has ended."""


class WrongState(Refusal):
    """What was asked for is not possible in the state that the instance is in."""


@dataclass(frozen=True, slots=True)
class Status:
    instance_id: str
    name: str
    status: str
    raw_input: str | None
    """JSON text."""
    output: str | None
    """JSON text, or the plain text of a failure or termination."""
    custom_status: str | None
    """JSON text."""
    created: float
    updated: float


@dataclass(frozen=True, slots=True)
class Filter:
    """None means any. Times are seconds since the epoch, both ends included."""

    created_from: float | None = None
    created_to: float | None = None
    statuses: Sequence[str] = ()
    prefix: str | None = None


_COLUMNS = "instance_id, name, status, input, output, custom_status, created, updated"


async def start(
    engine: DurableEngine,
    name: str,
    instance_id: str | None,
    raw_input: str | None,
    *,
    version: str | None = None,
    traceparent: str = "",
) -> str:
    """Start an instance and return its id. `raw_input` is JSON text.

    A finished instance of that id is replaced (overridableExistingInstanceStates is NonRunningStates).
    Raises InvalidRequest, AlreadyExists.
    """
    known = engine.invoker.orchestrators()
    if name not in known:
        raise InvalidRequest(
            f"The function '{name}' doesn't exist, is disabled, or is not an orchestrator function. "
            f"Additional info: The following are the known orchestrator functions: "
            f"{', '.join(repr(known_name) for known_name in sorted(known))}."
        )
    started = instance_id or commit.new_execution_id(engine.random)
    _check_instance_id(started)
    now = engine.clock.time()
    instance = Instance(
        instance_id=started,
        execution_id=commit.new_execution_id(engine.random),
        name=name,
        version=version or engine.options.default_version,
        status=PENDING,
        episode=0,
        raw_input=raw_input,
        custom_status=None,
        parent=None,
        traceparent=traceparent,
    )

    def work(transaction: Transaction) -> str | None:
        engine.ask_for_help(transaction)
        return commit.create_instance(transaction, instance, now)

    running = await engine.store.write(work)
    if running is not None:
        raise AlreadyExists(f"An Orchestration instance with the status {running} already exists.")
    engine.metrics.durable_action("start")
    engine.remember(instance)
    engine.ready(started)
    return started


def _check_instance_id(instance_id: str) -> None:
    if instance_id.startswith("@"):
        raise InvalidRequest("Orchestration instance ids must not start with @.")
    if any(character in "/\\#?" or not character.isprintable() for character in instance_id):
        raise InvalidRequest(
            "Orchestration instance ids must not contain /, \\, #, ?, or control characters."
        )
    if len(instance_id) > _MAX_INSTANCE_ID:
        raise InvalidRequest(f"Instance ID lengths must not exceed {_MAX_INSTANCE_ID} characters.")


async def raise_event(engine: DurableEngine, instance_id: str, name: str, data: str) -> None:
    """`data` is JSON text. Raises NotFound, Gone."""
    event = history.event_raised(history.timestamp(engine.clock.time()), name, data)

    def work(transaction: Transaction) -> None:
        engine.ask_for_help(transaction)
        if not commit.send(transaction, instance_id, None, event):
            _unfinished(transaction, instance_id)

    await engine.store.write(work)
    engine.metrics.durable_action("event")
    engine.ready(instance_id)


async def terminate(engine: DurableEngine, instance_id: str, reason: str) -> None:
    """Raises NotFound, Gone."""
    await _control(engine, instance_id, history.execution_terminated(_now(engine), reason))


async def suspend(engine: DurableEngine, instance_id: str, reason: str) -> None:
    """Raises NotFound, Gone, WrongState."""
    event = history.execution_suspended(_now(engine), reason)
    await _control(engine, instance_id, event, (PENDING, RUNNING), "suspend")


async def resume(engine: DurableEngine, instance_id: str, reason: str) -> None:
    """Raises NotFound, Gone, WrongState."""
    await _control(
        engine, instance_id, history.execution_resumed(_now(engine), reason), (SUSPENDED,), "resume"
    )


async def _control(
    engine: DurableEngine, instance_id: str, event: str, only_in: Sequence[str] = (), verb: str = ""
) -> None:
    def work(transaction: Transaction) -> None:
        status = _unfinished(transaction, instance_id)
        if only_in and status not in only_in:
            raise WrongState(
                f"Cannot {verb} the orchestration instance {instance_id} "
                f"because instance is in the {status} state."
            )
        engine.ask_for_help(transaction)
        commit.send(transaction, instance_id, None, event)

    await engine.store.write(work)
    engine.ready(instance_id)


def _now(engine: DurableEngine) -> str:
    return history.timestamp(engine.clock.time())


def _unfinished(transaction: Transaction, instance_id: str) -> str:
    """The status. Raises NotFound, Gone."""
    row = transaction.execute(
        "SELECT status FROM durable_instances WHERE instance_id = ?", (instance_id,)
    ).fetchone()
    if row is None:
        raise NotFound(instance_id)
    status: str = row[0]
    if status in FINISHED:
        raise Gone(instance_id)
    return status


async def restart(engine: DurableEngine, instance_id: str, *, with_new_id: bool) -> str:
    """Start a new execution with the same name and input. Raises InvalidRequest, AlreadyExists."""
    found = look_up(engine, instance_id)
    if found is None:
        raise InvalidRequest(f"An orchestrastion with the instanceId {instance_id} was not found.")
    return await start(engine, found.name, None if with_new_id else instance_id, found.raw_input)


async def purge(engine: DurableEngine, instance_id: str) -> int:
    """Delete a finished instance. Returns how many were deleted: 0 when it is unfinished. Raises NotFound."""

    def work(transaction: Transaction) -> int:
        try:
            _unfinished(transaction, instance_id)
        except Gone:
            commit.delete_instances(transaction, (instance_id,))
            return 1
        return 0

    return await engine.store.write(work)


async def purge_by(engine: DurableEngine, condition: Filter) -> int:
    """Delete the finished instances that meet `condition`; returns how many."""
    where, parameters = _where(condition)
    rows = await engine.store.scan(
        f"SELECT instance_id FROM durable_instances WHERE {where} AND status IN {FINISHED}", parameters
    )
    purged = 0
    for (instance_id,) in rows:
        with suppress(NotFound):  # somebody else was faster
            purged += await purge(engine, instance_id)
    return purged


def look_up(engine: DurableEngine, instance_id: str) -> Status | None:
    rows = engine.store.read(
        f"SELECT {_COLUMNS} FROM durable_instances WHERE instance_id = ?", (instance_id,)
    )
    return Status(*rows[0]) if rows else None


def history_of(engine: DurableEngine, instance_id: str) -> list[dict[str, Any]]:
    """The events of the execution, as the SDK gets them."""
    rows = engine.store.read(
        "SELECT events FROM durable_history WHERE instance_id = ? ORDER BY episode", (instance_id,)
    )
    events: list[dict[str, Any]] = history.loads(f"[{','.join(events for (events,) in rows)}]")
    return events


async def list_instances(
    engine: DurableEngine, condition: Filter, limit: int | None, token: str | None
) -> tuple[list[Status], str | None]:
    """A page by time of creation, and the token for the next, if there is one. Raises InvalidRequest."""
    where, parameters = _where(condition)
    if token:
        where += " AND (created, instance_id) > (?, ?)"
        parameters += _read_token(token)
    limit = limit if limit is not None and limit > 0 else _DEFAULT_PAGE
    rows = await engine.store.scan(
        f"SELECT {_COLUMNS} FROM durable_instances WHERE {where} ORDER BY created, instance_id LIMIT ?",
        (*parameters, limit + 1),
    )
    page = [Status(*row) for row in rows[:limit]]
    if len(rows) <= limit:
        return page, None
    last = json.dumps([page[-1].created, page[-1].instance_id])
    return page, base64.urlsafe_b64encode(last.encode()).decode()


def _read_token(token: str) -> list[object]:
    try:
        created, instance_id = json.loads(base64.urlsafe_b64decode(token))
        return [float(created), str(instance_id)]
    except (ValueError, TypeError) as error:
        raise InvalidRequest("x-ms-continuation-token: not a token that this service gave") from error


def _where(condition: Filter) -> tuple[str, list[object]]:
    where = ["1"]
    parameters: list[object] = []
    if condition.created_from is not None:
        where.append("created >= ?")
        parameters.append(condition.created_from)
    if condition.created_to is not None:
        where.append("created <= ?")
        parameters.append(condition.created_to)
    if condition.statuses:
        where.append(f"status IN ({','.join('?' * len(condition.statuses))})")
        parameters += condition.statuses
    if condition.prefix:
        where.append("substr(instance_id, 1, ?) = ?")
        parameters += [len(condition.prefix), condition.prefix]
    return " AND ".join(where), parameters
