"""Writing what an episode led to: the single write of an episode, and the rows that others send to an instance."""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from random import Random

from emulator.durable import history
from emulator.durable.episode import Outcome, child_id
from emulator.durable.instance import COMPLETED, FINISHED, PENDING, UNFINISHED, Instance, Parent
from emulator.durable.replay import Decision
from emulator.store import Transaction

WAKE_ORCHESTRATIONS = "durable:orchestrations"
WAKE_ACTIVITIES = "durable:activities"


class Conflict(Exception):
    """Another process has committed an episode of this instance, or it was purged or replaced."""


@dataclass(frozen=True, slots=True)
class ActivityTask:
    sequence: int
    instance_id: str
    execution_id: str
    task_id: int
    name: str
    input: str
    traceparent: str


def new_execution_id(random: Random) -> str:
    return f"{random.getrandbits(128):032x}"


def send(transaction: Transaction, instance_id: str, execution_id: str | None, event: str) -> None:
    """Give an unfinished instance an event; for one that is finished or gone it is dropped, as in Azure."""
    transaction.execute(
        "INSERT INTO durable_messages (instance_id, execution_id, event) SELECT instance_id, ?, ? "
        f"FROM durable_instances WHERE instance_id = ? AND status IN {UNFINISHED}",
        (execution_id, event, instance_id),
    )
    transaction.wake(WAKE_ORCHESTRATIONS)


def delete_instances(transaction: Transaction, ids: Iterable[str]) -> None:
    """With all that waits for them. An activity that still runs may end; nobody will hear of it."""
    for instance_id in ids:
        for table in ("messages", "timers", "history", "instances"):
            transaction.execute(f"DELETE FROM durable_{table} WHERE instance_id = ?", (instance_id,))


def create_instance(
    transaction: Transaction,
    *,
    instance_id: str,
    execution_id: str,
    name: str,
    version: str | None,
    raw_input: str | None,
    now: float,
    traceparent: str,
    parent: tuple[str, str, int] | None = None,
) -> str | None:
    """Returns the status of an unfinished instance with that id, which then stays; a finished one is replaced."""
    found = transaction.execute(
        "SELECT status FROM durable_instances WHERE instance_id = ?", (instance_id,)
    ).fetchone()
    if found is not None:
        status: str = found[0]
        if status not in FINISHED:
            return status
        delete_instances(transaction, (instance_id,))
    transaction.execute(
        "INSERT INTO durable_instances VALUES (?, ?, ?, ?, ?, 0, ?, NULL, NULL, ?, ?, ?, ?, ?, ?)",
        (
            instance_id,
            execution_id,
            name,
            version,
            PENDING,
            raw_input,
            now,
            now,
            *(parent or (None, None, None)),
            traceparent,
        ),
    )
    started = history.execution_started(
        history.timestamp(now), name, version, raw_input, instance_id, execution_id
    )
    transaction.execute(
        "INSERT INTO durable_messages (instance_id, execution_id, event) VALUES (?, ?, ?)",
        (instance_id, execution_id, started),
    )
    transaction.wake(WAKE_ORCHESTRATIONS)
    return None


def commit_episode(
    transaction: Transaction,
    instance: Instance,
    outcome: Outcome,
    last: int,
    left: AbstractSet[int],
    *,
    now: float,
    owner: str,
    own: int,
    default_version: str | None,
    random: Random,
) -> list[ActivityTask]:
    """Messages up to `last` are consumed but for those `left`. The first `own` activities are leased to `owner` and
    returned. Raises Conflict.
    """
    instance_id = instance.instance_id
    execution_id = instance.execution_id
    if outcome.continued_input is not None:
        execution_id = new_execution_id(random)
    changed = transaction.execute(
        "UPDATE durable_instances SET episode = episode + 1, execution_id = ?, status = ?, custom_status = ?, "
        "output = ?, updated = ? WHERE instance_id = ? AND execution_id = ? AND episode = ?",
        (
            execution_id,
            outcome.status,
            outcome.custom_status,
            outcome.output,
            now,
            instance_id,
            instance.execution_id,
            instance.episode,
        ),
    )
    if changed.rowcount != 1:
        raise Conflict(instance_id)
    finished = outcome.status in FINISHED
    if finished or outcome.continued_input is not None:
        transaction.execute("DELETE FROM durable_timers WHERE instance_id = ?", (instance_id,))
    if finished:
        transaction.execute("DELETE FROM durable_messages WHERE instance_id = ?", (instance_id,))
    else:
        transaction.execute(
            "DELETE FROM durable_messages WHERE instance_id = ? AND sequence <= ?"
            + (f" AND sequence NOT IN ({','.join(map(str, left))})" if left else ""),
            (instance_id, last),
        )
    if outcome.continued_input is not None:
        _continue(transaction, instance, outcome, execution_id, now)
        return []
    if outcome.new:
        transaction.execute(
            "INSERT INTO durable_history VALUES (?, ?, ?)", (instance_id, instance.episode, outcome.new)
        )
    tasks = _schedule_activities(transaction, instance, outcome, owner, own)
    if not finished:  # what is finished hears of no timer
        for timer in outcome.timers:
            due = history.seconds(timer.fire_at)
            transaction.execute(
                "INSERT INTO durable_timers VALUES (?, ?, ?, ?, ?)",
                (instance_id, timer.task_id, execution_id, due, timer.fire_at),
            )
    for child in outcome.sub_orchestrations:
        _start_child(
            transaction,
            instance,
            child_id(instance, child),
            child,
            now=now,
            default_version=default_version,
            random=random,
        )
    if finished and instance.parent is not None:
        _tell_parent(transaction, instance.parent, outcome.status, outcome.output, now)
    return tasks


def _schedule_activities(
    transaction: Transaction, instance: Instance, outcome: Outcome, owner: str, own: int
) -> list[ActivityTask]:
    tasks = []
    for number, activity in enumerate(outcome.activities):
        fields = (
            instance.instance_id,
            instance.execution_id,
            activity.task_id,
            activity.name,
            activity.action.get("input") or "null",
            instance.traceparent,
        )
        cursor = transaction.execute(
            "INSERT INTO durable_tasks (instance_id, execution_id, task_id, name, input, traceparent, owner) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (*fields, owner if number < own else None),
        )
        if number < own:
            assert cursor.lastrowid is not None  # noqa: S101  (an INSERT has one)
            tasks.append(ActivityTask(cursor.lastrowid, *fields))
    if len(tasks) < len(outcome.activities):
        transaction.wake(WAKE_ACTIVITIES)
    return tasks


def _continue(
    transaction: Transaction, instance: Instance, outcome: Outcome, execution_id: str, now: float
) -> None:
    transaction.execute(
        "UPDATE durable_instances SET input = ? WHERE instance_id = ?",
        (outcome.continued_input, instance.instance_id),
    )
    transaction.execute("DELETE FROM durable_history WHERE instance_id = ?", (instance.instance_id,))
    started = history.execution_started(
        history.timestamp(now),
        instance.name,
        instance.version,
        outcome.continued_input,
        instance.instance_id,
        execution_id,
    )
    transaction.executemany(
        "INSERT INTO durable_messages (instance_id, execution_id, event) VALUES (?, ?, ?)",
        [(instance.instance_id, execution_id, event) for event in (started, *outcome.carried)],
    )
    transaction.wake(WAKE_ORCHESTRATIONS)


def _start_child(
    transaction: Transaction,
    instance: Instance,
    child: str,
    decision: Decision,
    *,
    now: float,
    default_version: str | None,
    random: Random,
) -> None:
    running = create_instance(
        transaction,
        instance_id=child,
        execution_id=new_execution_id(random),
        name=decision.name,
        version=decision.action.get("version") or default_version,
        raw_input=history.quote(decision.action.get("input") or "null"),
        now=now,
        traceparent=instance.traceparent,
        parent=(instance.instance_id, instance.execution_id, decision.task_id),
    )
    if running is not None:
        reason = f"An Orchestration instance with the status {running} already exists."
        failed = history.sub_orchestration_failed(history.timestamp(now), decision.task_id, reason)
        send(transaction, instance.instance_id, instance.execution_id, failed)


def _tell_parent(
    transaction: Transaction, parent: Parent, status: str, output: str | None, now: float
) -> None:
    at = history.timestamp(now)
    if status == COMPLETED:
        event = history.sub_orchestration_completed(at, parent.task_id, output)
    else:
        event = history.sub_orchestration_failed(at, parent.task_id, output or "")
    send(transaction, parent.instance_id, parent.execution_id, event)
