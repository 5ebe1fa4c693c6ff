"""Runs deciders: two pure functions over frozen dataclasses, and an event stream that is their only memory.

A stream is one partition of a container: events `1`, `2`, ... (id = version), the `snapshot` of the state
after the last of them, and `inbox:<command id>`, the reply that a command was given. One append is one
transactional batch. The concurrency check is the `create` of the event, first in the batch. The events are
the truth: a snapshot that is missing, or of another schema, is rebuilt from them. Each event carries a hash
that covers the one before it (core/chain.py), and the snapshot the last, so that tampering is found.

Inbox records expire INBOX_TTL_S after the command: 30 days, longer than any queue keeps a message and a re-
drive takes, on top of 60 days for the longest that an order may stay open. The events never expire, so what
a service has done is refused a second time for ever; only the recorded answer goes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError

from core.chain import HASH, entry_hash
from core.contracts import InvalidContract, contract_name, contract_version, decode, encode
from core.documents import (
    MAX_BATCH_OPERATIONS,
    Create,
    DocumentConflict,
    DocumentNotFound,
    Documents,
    Query,
    Upsert,
    Where,
    WriteOperation,
    each_page,
)
from core.envelope import Envelope, from_object, to_json
from core.json import Json, JsonObject
from core.resilience import TransientError

INBOX_TTL_S = 90 * 86400
DECISIONS = 10
PAGE = 200


class Rejection(Exception):
    """A rule forbids the command. `code` is stable and for machines."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class StreamContention(TransientError):
    """Others appended to the stream each time the command was decided."""


class BrokenStream(Exception):
    """The stored events are not a history that this code can read."""


class TooManyEvents(ValueError):
    """One command's events, replies and snapshot do not fit into one batch."""


@dataclass(frozen=True, slots=True)
class Decider[S, C, E]:
    """`container` holds the streams; `state` is the class of S, a frozen dataclass.

    decide(state, command, now): the events that follow, none when there is nothing to do; raises a Rejection.
    evolve(state, event): the state after it.
    schema: raise it when the meaning or shape of S changes, so that older snapshots are rebuilt.
    """

    container: str
    state: type[S]
    initial: S
    decide: Callable[[S, C, datetime], Sequence[E]]
    evolve: Callable[[S, E], S]
    schema: int = 1


@dataclass(frozen=True, slots=True)
class Loaded[S]:
    """Version 0: no stream. `etag` is the snapshot's, None when the state came from the events. `hash` is the
    last event's.
    """

    state: S
    version: int = 0
    etag: str | None = None
    hash: str = ""


@dataclass(frozen=True, slots=True)
class Cause:
    """What the events are put down to. `command_id` names the inbox record of a command that is answered."""

    command_id: str
    correlation_id: str
    causation_id: str
    traceparent: str = ""
    actor: str = "system"


@dataclass(frozen=True, slots=True)
class Outcome[S, E]:
    """The state after the command; `hash` is the last event's.

    `replies` are what was recorded, with this command or, if it is a `duplicate`, when it was first executed.
    """

    state: S
    version: int
    events: tuple[E, ...] = ()
    replies: tuple[Envelope, ...] = ()
    duplicate: bool = False
    hash: str = ""


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """An event as stored; `data` is an instance of the newest version of its type."""

    stream: str
    version: int
    type: str
    time: datetime
    event_id: str
    correlation_id: str
    causation_id: str
    traceparent: str
    actor: str
    data: Any
    hash: str = ""


type Upcast = Callable[[JsonObject], JsonObject]

_upcasters: dict[tuple[str, int], Upcast] = {}


def upcaster(type: str, version: int) -> Callable[[Upcast], Upcast]:
    """Register a function that turns the data of `version` into that of the next version."""

    def register(upcast: Upcast) -> Upcast:
        if (type, version) in _upcasters:
            raise TypeError(f"{type} version {version} has two upcasters")
        _upcasters[type, version] = upcast
        return upcast

    return register


def read_event(item: JsonObject) -> RecordedEvent:
    """An item of kind `event`, as a stream or a change feed gives it. Raises BrokenStream."""
    try:
        type, version = cast(str, item["type"]), cast(int, item["schema"])
        data = cast(JsonObject, item["data"])
        while (type, version) in _upcasters:
            data = _upcasters[type, version](data)
            version += 1
        return RecordedEvent(
            stream=cast(str, item["stream"]),
            version=cast(int, item["version"]),
            type=type,
            time=datetime.fromisoformat(cast(str, item["time"])),
            event_id=cast(str, item["event_id"]),
            correlation_id=cast(str, item["correlation_id"]),
            causation_id=cast(str, item["causation_id"]),
            traceparent=cast(str, item["traceparent"]),
            actor=cast(str, item["actor"]),
            data=decode(type, data, version),
            hash=cast(str, item.get(HASH, "")),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BrokenStream(f"event {item.get('id')} of stream {item.get('stream')}: {error}") from error


async def load[S, C, E](documents: Documents, decider: Decider[S, C, E], stream: str) -> Loaded[S]:
    """One point read; a query over the events when the snapshot is missing or of another schema."""
    try:
        stored = await documents.read(decider.container, stream, "snapshot")
    except DocumentNotFound:
        return await _replay(documents, decider, stream)
    item = stored.item
    if item["schema"] != decider.schema:
        return await _replay(documents, decider, stream)
    try:
        state = _adapter(decider.state).validator.validate_python(item["state"])
    except ValidationError as error:
        raise BrokenStream(
            f"snapshot of stream {stream} does not fit schema {decider.schema}, to be raised whenever "
            f"the state changes: {error}"
        ) from error
    return Loaded(state, cast(int, item["version"]), stored.etag, cast(str, item.get(HASH, "")))


async def _replay[S, C, E](documents: Documents, decider: Decider[S, C, E], stream: str) -> Loaded[S]:
    events = await history(documents, decider, stream)
    state = fold(decider, decider.initial, [event.data for event in events])
    return Loaded(state, len(events), hash=events[-1].hash if events else "")


def fold[S, C, E](decider: Decider[S, C, E], state: S, events: Sequence[E]) -> S:
    for event in events:
        state = decider.evolve(state, event)
    return state


async def history[S, C, E](
    documents: Documents, decider: Decider[S, C, E], stream: str
) -> list[RecordedEvent]:
    """Every event in version order, upcast. Raises BrokenStream when one is missing."""
    events: list[RecordedEvent] = []
    query = Query(where=(Where("kind", "=", "event"),), partition=stream, order_by="version", limit=PAGE)
    async for page in each_page(documents, decider.container, query):
        events.extend(read_event(item) for item in page.items)
    for expected, event in enumerate(events, start=1):
        if event.version != expected:
            raise BrokenStream(f"stream {stream}: version {expected} is missing")
    return events


async def execute[S, C, E](
    documents: Documents,
    decider: Decider[S, C, E],
    stream: str,
    command: C,
    cause: Cause,
    now: datetime,
    *,
    loaded: Loaded[S] | None = None,
    replies: Callable[[S, S], Sequence[Envelope]] | None = None,
) -> Outcome[S, E]:
    """Decide, then append events, inbox records and snapshot in one batch. No events: nothing is written.

    `loaded` saves reading first; `Loaded(decider.initial)` bets on a new stream. Whenever the stream turns
    out to have moved on, it is loaded and the command decided again.

    `replies(before, after)` are the answers that this change of state gives; each is recorded as the inbox
    record of the command in its `causation_id`. With `replies`, a command whose inbox record exists changes
    nothing.

    Raises what `decide` raises, StreamContention, BrokenStream, TooManyEvents, TransientDocumentError.
    """
    answered = replies is not None
    for _ in range(DECISIONS):
        before = loaded if loaded is not None else await load(documents, decider, stream)
        try:
            events = tuple(decider.decide(before.state, command, now))
        except Rejection:
            recorded = (
                await recorded_reply(documents, decider, stream, cause.command_id) if answered else None
            )
            if recorded is None:
                raise
            return _as_before(before, recorded)
        if not events:
            recorded = (
                await recorded_reply(documents, decider, stream, cause.command_id) if answered else None
            )
            if recorded is None:
                return Outcome(before.state, before.version, hash=before.hash)
            return _as_before(before, recorded)
        state = fold(decider, before.state, events)
        answers = tuple(replies(before.state, state)) if replies is not None else ()
        version = before.version + len(events)
        last = before.hash
        operations: list[WriteOperation] = []
        for n, event in enumerate(events, start=1):
            item = _event_item(decider.container, stream, before.version + n, event, cause, now, last)
            last = cast(str, item[HASH])
            operations.append(Create(item))
        operations += [Create(_inbox_item(stream, answer)) for answer in answers]
        operations.append(Upsert(_snapshot_item(decider, stream, version, state, now, last)))
        if len(operations) > MAX_BATCH_OPERATIONS:
            raise TooManyEvents(
                f"stream {stream}: {len(operations)} operations, a batch takes {MAX_BATCH_OPERATIONS}"
            )
        try:
            await documents.batch(decider.container, stream, operations)
        except DocumentConflict as conflict:
            # Which document was there already: the version, then decide again on what is there now; or the
            # inbox record, then this command was executed before.
            if conflict.operation is not None and conflict.operation >= len(events):
                answer = answers[conflict.operation - len(events)]
                recorded = await recorded_reply(documents, decider, stream, answer.causation_id)
                now_there = await load(documents, decider, stream)
                return Outcome(
                    now_there.state,
                    now_there.version,
                    replies=() if recorded is None else (recorded,),
                    duplicate=True,
                    hash=now_there.hash,
                )
            loaded = None
            continue
        return Outcome(state, version, events, answers, hash=last)
    raise StreamContention(f"stream {stream}: others appended {DECISIONS} times in a row")


def _as_before[S, E](before: Loaded[S], recorded: Envelope) -> Outcome[S, E]:
    return Outcome(before.state, before.version, replies=(recorded,), duplicate=True, hash=before.hash)


async def recorded_reply[S, C, E](
    documents: Documents, decider: Decider[S, C, E], stream: str, command_id: str
) -> Envelope | None:
    try:
        stored = await documents.read(decider.container, stream, f"inbox:{command_id}")
    except DocumentNotFound:
        return None
    try:
        return from_object(stored.item["reply"])
    except InvalidContract as error:
        raise BrokenStream(f"inbox record of {command_id}: {error}") from error


def _adapter[S](state: type[S]) -> TypeAdapter[S]:
    adapter = _adapters.get(state)
    if adapter is None:
        adapter = _adapters[state] = TypeAdapter(state)
    return adapter


_adapters: dict[type, TypeAdapter[Any]] = {}


def _event_item(
    container: str, stream: str, version: int, event: object, cause: Cause, now: datetime, previous: str
) -> JsonObject:
    cls = type(event)
    item: JsonObject = {
        "id": str(version),
        "stream": stream,
        "kind": "event",
        "version": version,
        "type": contract_name(cls),
        "schema": contract_version(cls),
        "time": now.isoformat(),
        "event_id": f"{stream}:{container}:{version}",
        "correlation_id": cause.correlation_id,
        "causation_id": cause.causation_id,
        "traceparent": cause.traceparent,
        "actor": cause.actor,
        "data": encode(event),
    }
    item[HASH] = entry_hash(previous, item)
    return item


def _inbox_item(stream: str, reply: Envelope) -> JsonObject:
    return {
        "id": f"inbox:{reply.causation_id}",
        "stream": stream,
        "kind": "inbox",
        "reply": to_json(reply),
        "ttl": INBOX_TTL_S,
    }


def _snapshot_item[S, C, E](
    decider: Decider[S, C, E], stream: str, version: int, state: S, now: datetime, last_hash: str
) -> JsonObject:
    return {
        "id": "snapshot",
        "stream": stream,
        "kind": "snapshot",
        "version": version,
        "schema": decider.schema,
        "updated_at": now.isoformat(),
        HASH: last_hash,
        "state": cast(Json, _adapter(decider.state).serializer.to_python(state, mode="json")),
    }
