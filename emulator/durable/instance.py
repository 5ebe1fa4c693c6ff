"""One instance with its history, as an episode needs it, and how to load it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from emulator.durable import history
from emulator.durable.history import Event
from emulator.durable.replay import Patience
from emulator.store import Store

RUNNING = "Running"
PENDING = "Pending"
SUSPENDED = "Suspended"
COMPLETED = "Completed"
FAILED = "Failed"
TERMINATED = "Terminated"
UNFINISHED = (PENDING, RUNNING, SUSPENDED)
FINISHED = (COMPLETED, FAILED, TERMINATED)


@dataclass(frozen=True, slots=True)
class Parent:
    instance_id: str
    execution_id: str
    task_id: int


@dataclass(slots=True)
class Instance:
    """Changes only when an episode was committed: (`execution_id`, `episode`) says which state this is."""

    instance_id: str
    execution_id: str
    name: str
    version: str | None
    status: str
    episode: int
    raw_input: str | None
    """JSON text."""
    custom_status: str | None
    parent: Parent | None
    traceparent: str
    past: str = ""
    """The history's events as played, joined by commas."""
    events: list[Event] = field(default_factory=list)
    warned: str = ""
    patience: Patience = field(default_factory=Patience)
    """As of the last episode of this process."""
    context_end: str = ""

    def context(self, new: str) -> str:
        """The orchestration trigger's datum, as the real extension's OrchestrationContextToString builds it.

        The timer durations are null as with the Durable Task Scheduler, which has no longest timer.
        """
        if not self.context_end:
            parent = history.quote_or_null(self.parent.instance_id if self.parent else None)
            self.context_end = (
                f'],"input":{self.raw_input or "null"},"instanceId":{history.quote(self.instance_id)},'
                f'"parentInstanceId":{parent},"upperSchemaVersion":1,"upperSchemaVersionNew":2,'
                '"longRunningTimerIntervalDuration":null,"maximumShortTimerDuration":null,'
                '"defaultHttpAsyncRequestSleepTimeMillseconds":30000,"isReplaying":'
            )
        if self.past:
            return f'{{"history":[{self.past},{new}{self.context_end}true}}'
        return f'{{"history":[{new}{self.context_end}false}}'

    def append(self, texts: str, events: list[Event]) -> None:
        texts = history.played(texts)
        self.past = f"{self.past},{texts}" if self.past else texts
        self.events += events


@dataclass(slots=True)
class Waiting:
    state: tuple[str, int]
    """Execution id and episode of the instance."""
    messages: list[tuple[int, str | None, str]]
    """Sequence, execution id and event, in order."""


def read_waiting(store: Store, ids: Sequence[str]) -> dict[str, Waiting]:
    """What waits for each of these instances, in one read: it costs as much as ten rows."""
    rows = store.read(
        "SELECT i.instance_id, i.execution_id, i.episode, m.sequence, m.execution_id, m.event "
        "FROM durable_instances i LEFT JOIN durable_messages m ON m.instance_id = i.instance_id "
        f"WHERE i.instance_id IN ({','.join('?' * len(ids))}) ORDER BY m.sequence",
        ids,
    )
    found: dict[str, Waiting] = {}
    for instance_id, execution_id, episode, *message in rows:
        if instance_id not in found:
            found[instance_id] = Waiting((execution_id, episode), [])
        if message[0] is not None:
            found[instance_id].messages.append(tuple(message))
    return found


_COLUMNS = (
    "instance_id, execution_id, name, version, status, episode, input, custom_status, parent_id, "
    "parent_execution, parent_task, traceparent"
)


def load(store: Store, instance_id: str) -> Instance | None:
    """As of the last commit; history and instance of one moment."""
    rows = store.read(
        f"SELECT {_COLUMNS}, (SELECT group_concat(events, ',') FROM (SELECT events FROM durable_history h "
        "WHERE h.instance_id = i.instance_id ORDER BY h.episode)) FROM durable_instances i "
        "WHERE instance_id = ?",
        (instance_id,),
    )
    if not rows:
        return None
    *fields, parent_id, parent_execution, parent_task, traceparent, past = rows[0]
    _, execution_id, name, version, status, episode, raw_input, custom_status = fields
    parent = None if parent_id is None else Parent(parent_id, parent_execution, parent_task)
    instance = Instance(
        instance_id,
        execution_id,
        name,
        version,
        status,
        episode,
        raw_input,
        custom_status,
        parent,
        traceparent,
    )
    if past is not None:
        instance.append(past, [history.read(event) for event in parse_events(past)])
    return instance


def parse_events(joined: str) -> list[dict[str, Any]]:
    parsed: list[dict[str, Any]] = history.loads(f"[{joined}]") if joined else []
    return parsed
