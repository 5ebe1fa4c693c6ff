"""The single write of an episode, and the rows that others send to an instance."""

from collections.abc import Iterable
from dataclasses import replace
from random import Random

from emulator.durable import history
from emulator.durable.episode import Inbox, Outcome, child_id
from emulator.durable.instance import COMPLETED, FINISHED, PENDING, UNFINISHED, Instance, Parent
from emulator.durable.replay import Decision
from emulator.durable.tasks import ActivityTask, EndedActivity
from emulator.store import Transaction

_CREATE = "INSERT INTO durable_instances VALUES (?, ?, ?, ?, ?, 0, ?, NULL, NULL, ?, ?, ?, ?, ?, ?)"
WAKE_ORCHESTRATIONS = "durable:orchestrations"
WAKE_ACTIVITIES = "durable:activities"


class Conflict(Exception):
    """Another process has committed an episode of this instance, or it was purged or replaced."""


class LeaseLost(Exception):
    """The lease of this task had ended: another process runs it, and this result does not count."""

    def __init__(self, task: ActivityTask) -> None:
        super().__init__(task.sequence)
        self.task = task


def new_execution_id(random: Random) -> str:
    return f"{random.getrandbits(128):032x}"


def send(transaction: Transaction, instance_id: str, execution_id: str | None, event: str) -> bool:
    """Give an unfinished instance an event. False: it is finished or gone, and the event dropped."""
    sent = transaction.execute(
        "INSERT INTO durable_messages (instance_id, execution_id, event) SELECT instance_id, ?, ? "
        f"FROM durable_instances WHERE instance_id = ? AND status IN {UNFINISHED}",
        (execution_id, event, instance_id),
    )
    return sent.rowcount == 1


def end_activity(transaction: Transaction, task: ActivityTask, owner: str) -> None:
    """Raises LeaseLost."""
    ended = transaction.execute(
        "DELETE FROM durable_tasks WHERE sequence = ? AND owner = ? AND instance_id = ? AND execution_id = ? "
        "AND task_id = ?",
        (task.sequence, owner, task.instance_id, task.execution_id, task.task_id),
    )
    if ended.rowcount != 1:
        raise LeaseLost(task)


def record_ended(transaction: Transaction, ended: EndedActivity, owner: str) -> None:
    """Leave the event as a message. Raises LeaseLost."""
    end_activity(transaction, ended.task, owner)
    send(transaction, ended.task.instance_id, ended.task.execution_id, ended.event)


def delete_instances(transaction: Transaction, ids: Iterable[str]) -> None:
    """With all that waits for them. An activity that still runs may end; nobody will hear of it."""
    for instance_id in ids:
        for table in ("messages", "timers", "history", "instances"):
            transaction.execute(f"DELETE FROM durable_{table} WHERE instance_id = ?", (instance_id,))


def create_instance(transaction: Transaction, instance: Instance, now: float) -> str | None:
    """A finished instance of that id is replaced; an unfinished one stays, and its status is returned."""
    parent = instance.parent
    values = (
        instance.instance_id,
        instance.execution_id,
        instance.name,
        instance.version,
        PENDING,
        instance.raw_input,
        now,
        now,
        *((parent.instance_id, parent.execution_id, parent.task_id) if parent else (None, None, None)),
        instance.traceparent,
    )
    if transaction.execute(f"{_CREATE} ON CONFLICT DO NOTHING", values).rowcount != 1:
        status: str = transaction.execute(
            "SELECT status FROM durable_instances WHERE instance_id = ?", (instance.instance_id,)
        ).fetchone()[0]
        if status not in FINISHED:
            return status
        delete_instances(transaction, (instance.instance_id,))
        transaction.execute(_CREATE, values)
    _send_start(transaction, instance, now)
    return None


def _send_start(transaction: Transaction, instance: Instance, now: float) -> None:
    started = history.execution_started(
        history.timestamp(now),
        instance.name,
        instance.version,
        instance.raw_input,
        instance.instance_id,
        instance.execution_id,
    )
    transaction.execute(
        "INSERT INTO durable_messages (instance_id, execution_id, event) VALUES (?, ?, ?)",
        (instance.instance_id, instance.execution_id, started),
    )


def commit_episode(
    transaction: Transaction,
    instance: Instance,
    outcome: Outcome,
    inbox: Inbox,
    *,
    now: float,
    owner: str,
    own: int,
    default_version: str | None,
    random: Random,
) -> list[ActivityTask]:
    """The first `own` activities are leased to `owner` and returned. Raises Conflict, LeaseLost."""
    instance_id = instance.instance_id
    execution_id = instance.execution_id
    if outcome.continued_input is not None:
        execution_id = new_execution_id(random)
    changed = transaction.execute(
        "UPDATE durable_instances SET episode = episode + 1, execution_id = ?, status = ?, "
        "custom_status = ?, output = ?, updated = ? "
        "WHERE instance_id = ? AND execution_id = ? AND episode = ?",
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
    _clear_inbox(transaction, instance_id, inbox, owner, finished=finished)
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
        _start_child(transaction, instance, child, now=now, default_version=default_version, random=random)
    if finished and instance.parent is not None:
        _tell_parent(transaction, instance.parent, outcome.status, outcome.output, now)
    return tasks


def _clear_inbox(
    transaction: Transaction, instance_id: str, inbox: Inbox, owner: str, *, finished: bool
) -> None:
    for ended in inbox.ended:
        end_activity(transaction, ended.task, owner)
    if finished:
        transaction.execute("DELETE FROM durable_messages WHERE instance_id = ?", (instance_id,))
        return
    if inbox.last:
        kept = ",".join(str(message.sequence) for message in inbox.left if message.sequence)
        transaction.execute(
            "DELETE FROM durable_messages WHERE instance_id = ? AND sequence <= ?"
            + (f" AND sequence NOT IN ({kept})" if kept else ""),
            (instance_id, inbox.last),
        )
    for message in inbox.left:
        if not message.sequence:
            send(transaction, instance_id, None, message.text)


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
    _send_start(
        transaction, replace(instance, execution_id=execution_id, raw_input=outcome.continued_input), now
    )
    for event in outcome.carried:
        send(transaction, instance.instance_id, execution_id, event)


def _start_child(
    transaction: Transaction,
    instance: Instance,
    decision: Decision,
    *,
    now: float,
    default_version: str | None,
    random: Random,
) -> None:
    child = Instance(
        instance_id=child_id(instance, decision),
        execution_id=new_execution_id(random),
        name=decision.name,
        version=decision.action.get("version") or default_version,
        status=PENDING,
        episode=0,
        raw_input=history.quote(decision.action.get("input") or "null"),
        custom_status=None,
        parent=Parent(instance.instance_id, instance.execution_id, decision.task_id),
        traceparent=instance.traceparent,
    )
    running = create_instance(transaction, child, now)
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
