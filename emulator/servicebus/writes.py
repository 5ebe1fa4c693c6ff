"""What the engine does inside a transaction. Each function is one step of a message's life and counts it."""

from collections.abc import Sequence
from operator import itemgetter

from emulator.servicebus.entities import Entities, Mailbox, Target
from emulator.servicebus.filters import takes
from emulator.servicebus.messages import Message
from emulator.servicebus.rows import (
    CONTENT,
    DELIVERY_COUNT,
    EXPIRES_AT,
    SEQUENCE,
    STORED,
    Content,
    Row,
    decode,
    parse_token,
)
from emulator.servicebus.schema import DEFERRED, DEFERRED_LOCKED, LOCKED, NEVER, READY, SCHEDULED
from emulator.store import Transaction

MAX_DUE_AT_ONCE = 500
"""Messages moved in one transaction when many fall due together."""

_INSERT = (
    f"INSERT INTO bus_messages (entity, state, due_at, expires_at, enqueued_at, enqueue_sequence, {CONTENT}) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_REMEMBER = (
    "INSERT INTO bus_seen VALUES (?, ?, ?) "
    "ON CONFLICT (entity, message_id) DO UPDATE SET until = excluded.until WHERE until <= ?"
)
_FORGET = (
    "DELETE FROM bus_seen WHERE (entity, message_id) IN "
    "(SELECT entity, message_id FROM bus_seen WHERE until <= ? LIMIT 2000)"
)
NEXT = (
    f"SELECT {STORED} FROM bus_messages WHERE entity = ? AND state = {READY} AND due_at > ? "
    "ORDER BY sequence LIMIT ?"
)
_LOCK = (
    f"UPDATE bus_messages SET state = {LOCKED}, lock = ?, owner = ?, due_at = ? "
    f"WHERE sequence = ? AND entity = ? AND state = {READY} AND due_at > ? AND delivery_count = ?"
)
_IS_LOCKED = "SELECT 1 FROM bus_messages WHERE sequence = ? AND lock = ?"
_HELD = "WHERE sequence = ? AND lock = ? AND entity = ? AND due_at > ?"
_COMPLETE = f"DELETE FROM bus_messages {_HELD}"
_FIND = f"SELECT 1 FROM bus_messages {_HELD}"
_RENEW = f"UPDATE bus_messages SET due_at = ? {_HELD}"
_FORGET_COMPLETION = f"UPDATE bus_messages SET lock = NULL, owner = NULL, due_at = ? {_HELD}"
_UNLOCK = (
    f"UPDATE bus_messages SET state = iif(state = {DEFERRED_LOCKED}, {DEFERRED}, {READY}), lock = NULL, "
    f"owner = NULL, due_at = iif(state = {DEFERRED_LOCKED}, {NEVER}, expires_at), "
    "delivery_count = delivery_count + ? WHERE sequence = ? RETURNING delivery_count, expires_at, state"
)
_DEFER = (
    f"UPDATE bus_messages SET state = {DEFERRED}, lock = NULL, owner = NULL, due_at = {NEVER}, "
    "delivery_count = delivery_count + ? WHERE sequence = ? RETURNING delivery_count, expires_at, state"
)
_FIND_DEFERRED = f"SELECT {STORED} FROM bus_messages WHERE sequence = ? AND entity = ? AND state = {DEFERRED}"
_LOCK_DEFERRED = (
    f"UPDATE bus_messages SET state = {DEFERRED_LOCKED}, lock = ?, owner = ?, due_at = ? WHERE sequence = ?"
)
_DELETE = "DELETE FROM bus_messages WHERE sequence = ?"
_DEAD_LETTER = (
    f"UPDATE bus_messages SET entity = ?, state = {READY}, lock = NULL, owner = NULL, due_at = {NEVER}, "
    f"expires_at = {NEVER}, reason = ?, description = ? WHERE sequence = ?"
)
_CANCEL = f"DELETE FROM bus_messages WHERE sequence = ? AND entity = ? AND state = {SCHEDULED}"
_DUE = (
    "SELECT sequence, entity, state FROM bus_messages WHERE due_at <= ? "
    f"ORDER BY due_at, sequence LIMIT {MAX_DUE_AT_ONCE}"
)
_ACTIVATE = f"DELETE FROM bus_messages WHERE sequence = ? RETURNING {CONTENT}, due_at, expires_at"


class SomeLocksLost(Exception):
    """Of several messages that were to be completed at once."""


def are_plain(target: Target, messages: Sequence[Message], delays: Sequence[int]) -> bool:
    """Whether they go to a queue, at once, and without a look at those before."""
    return (
        not target.is_topic
        and target.duplicate_window_ms is None
        and not any(delays)
        and all(message.scheduled_for is None for message in messages)
    )


def accept_plain(
    tx: Transaction, queue: Mailbox, messages: Sequence[Message], contents: Sequence[Content], now: int
) -> list[tuple[int, int]]:
    """What `accept` does with each, for half of what it costs."""
    expires = [min(now + _time_to_live(message, queue.time_to_live_ms), NEVER) for message in messages]
    rows = [
        (queue.id, READY, due, due, now, None, *content)
        for due, content in zip(expires, contents, strict=True)
    ]
    tx.executemany(_INSERT, rows)
    # In one transaction the numbers follow each other.
    last: int = tx.execute("SELECT last_insert_rowid()").fetchone()[0]
    tx.count(queue.path, "accepted", len(rows))
    tx.wake(queue.wake)
    return list(zip(range(last - len(rows) + 1, last + 1), expires, strict=True))


def accept(
    tx: Transaction, target: Target, message: Message, content: Content, now: int, delay: int
) -> tuple[int, int]:
    """Put one message where it belongs. Returns its sequence number (0 for none) and when it falls due.

    `delay` schedules the message that much later, in milliseconds.
    """
    if target.duplicate_window_ms is not None:
        window = (target.id, message.message_id, now + target.duplicate_window_ms, now)
        if tx.execute(_REMEMBER, window).rowcount == 0:
            tx.count(target.path, "duplicates")
            return 0, NEVER
    time_to_live = _time_to_live(message, target.time_to_live_ms)
    starts = (now if message.scheduled_for is None else int(message.scheduled_for * 1000)) + delay
    if starts <= now:
        return _enqueue(tx, target, message, content, now, time_to_live, None, first=True)
    tx.count(target.path, "accepted")
    expires = min(starts + time_to_live, NEVER)
    row = (target.id, SCHEDULED, starts, expires, now, None, *content)
    return tx.execute(_INSERT, row).lastrowid or 0, starts


def _time_to_live(message: Message, limit: int) -> int:
    """In milliseconds."""
    return limit if message.time_to_live_s is None else min(limit, round(message.time_to_live_s * 1000))


def _enqueue(
    tx: Transaction,
    target: Target,
    message: Message,
    content: Content,
    now: int,
    time_to_live: int,
    number: int | None,
    *,
    first: bool,
) -> tuple[int, int]:
    """Make the message active. `first` tells that it was not accepted before, as scheduled."""
    due = NEVER
    for mailbox in target.mailboxes:
        if target.is_topic and not takes(mailbox.rules, message):
            continue
        expires = min(now + min(time_to_live, mailbox.time_to_live_ms), NEVER)
        row = (mailbox.id, READY, expires, expires, now, number, *content)
        sequence = tx.execute(_INSERT, row).lastrowid or 0
        if target.is_topic:
            number = number or sequence
        if first or target.is_topic:
            tx.count(mailbox.path, "accepted")
        tx.wake(mailbox.wake)
        due = min(due, expires)
    if target.is_topic:
        return number or 0, due
    return sequence, due


def lock(
    tx: Transaction,
    mailbox: Mailbox,
    seen: list[Row],
    limit: int,
    nonce: int,
    owner: str,
    now: int,
) -> tuple[list[Row], int]:
    """Lock what was `seen` free; for each that others took meanwhile, what else is free now.

    Returns rows with the columns STORED, in order, and until when they are locked.
    """
    until = now + mailbox.lock_ms

    def take(rows: list[Row]) -> list[Row]:
        locked = tx.executemany(
            _LOCK,
            [(nonce, owner, until, row[SEQUENCE], mailbox.id, now, row[DELIVERY_COUNT]) for row in rows],
        )
        if locked.rowcount == len(rows):
            return rows
        return [row for row in rows if tx.execute(_IS_LOCKED, (row[SEQUENCE], nonce)).fetchone()]

    taken = take(seen)
    if len(taken) < len(seen):
        taken += take(tx.execute(NEXT, (mailbox.id, now, limit - len(taken))).fetchall())
        taken.sort(key=itemgetter(SEQUENCE))
    return taken, until


def next_and_delete(tx: Transaction, mailbox: Mailbox, limit: int, now: int) -> list[Row]:
    """Rows with the columns STORED, in order."""
    rows: list[Row] = tx.execute(NEXT, (mailbox.id, now, limit)).fetchall()
    delete(tx, mailbox, rows)
    return rows


def find_deferred(
    tx: Transaction, mailbox: Mailbox, sequences: Sequence[int], now: int
) -> tuple[list[Row], list[int]]:
    """Rows with the columns STORED, and the numbers of which no unlocked message is deferred.

    One that expired meanwhile comes to its end here, as in Service Bus:
    https://learn.microsoft.com/azure/service-bus-messaging/message-deferral
    """
    found: list[Row] = []
    missing: list[int] = []
    for sequence in dict.fromkeys(sequences):
        row = tx.execute(_FIND_DEFERRED, (sequence, mailbox.id)).fetchone()
        if row is not None and row[EXPIRES_AT] > now:
            found.append(row)
            continue
        missing.append(sequence)
        if row is not None:
            _expire(tx, mailbox, sequence)
    return found, missing


def lock_deferred(
    tx: Transaction, mailbox: Mailbox, rows: list[Row], nonce: int, owner: str, now: int
) -> int:
    """Returns until when they are locked."""
    until = now + mailbox.lock_ms
    tx.executemany(_LOCK_DEFERRED, [(nonce, owner, until, row[SEQUENCE]) for row in rows])
    return until


def delete(tx: Transaction, mailbox: Mailbox, rows: list[Row]) -> None:
    """What is received and deleted at once counts as completed."""
    tx.executemany(_DELETE, [(row[SEQUENCE],) for row in rows])
    tx.count(mailbox.path, "completed", len(rows))


def complete_all(tx: Transaction, mailbox: Mailbox, tokens: Sequence[str], now: int) -> None:
    """Raises SomeLocksLost, which undoes it: what was held and what was not, its count does not tell."""
    held = []
    for token in tokens:
        nonce, sequence = parse_token(token)
        held.append((sequence, nonce, mailbox.id, now))
    if tx.executemany(_COMPLETE, held).rowcount < len(held):
        raise SomeLocksLost
    tx.count(mailbox.path, "completed", len(held))


def complete(tx: Transaction, mailbox: Mailbox, token: str, now: int) -> bool:
    nonce, sequence = parse_token(token)
    if tx.execute(_COMPLETE, (sequence, nonce, mailbox.id, now)).rowcount == 0:
        return False
    tx.count(mailbox.path, "completed")
    return True


def forget_completion(tx: Transaction, mailbox: Mailbox, token: str, now: int, after: int) -> bool:
    """Answer a completion, and forget it: the message stays locked, by nobody, `after` milliseconds."""
    nonce, sequence = parse_token(token)
    return tx.execute(_FORGET_COMPLETION, (now + after, sequence, nonce, mailbox.id, now)).rowcount == 1


def renew(tx: Transaction, mailbox: Mailbox, token: str, now: int) -> bool:
    nonce, sequence = parse_token(token)
    return tx.execute(_RENEW, (now + mailbox.lock_ms, sequence, nonce, mailbox.id, now)).rowcount == 1


def abandon(tx: Transaction, mailbox: Mailbox, token: str, now: int) -> bool:
    return _give_back(tx, mailbox, token, now, _UNLOCK, 1)


def release(tx: Transaction, mailbox: Mailbox, token: str, now: int) -> bool:
    return _give_back(tx, mailbox, token, now, _UNLOCK, 0)


def defer(tx: Transaction, mailbox: Mailbox, token: str, now: int) -> bool:
    return _give_back(tx, mailbox, token, now, _DEFER, 1)


def dead_letter(
    tx: Transaction, mailbox: Mailbox, token: str, now: int, reason: str, description: str
) -> bool:
    nonce, sequence = parse_token(token)
    if tx.execute(_FIND, (sequence, nonce, mailbox.id, now)).fetchone() is None:
        return False
    _move_to_dead_letters(tx, mailbox, sequence, reason, description)
    return True


def cancel_scheduled(tx: Transaction, target: Target, sequence: int) -> bool:
    if tx.execute(_CANCEL, (sequence, target.id)).rowcount == 0:
        return False
    tx.count(target.path, "cancelled")
    return True


def do_what_is_due(tx: Transaction, entities: Entities, now: int) -> int:
    """End locks, expire messages, activate scheduled ones, forget old message ids.

    Returns when the next is due.
    """
    for sequence, entity, state in tx.execute(_DUE, (now,)).fetchall():
        if state == SCHEDULED:
            _activate(tx, entities.targets_by_id[entity], sequence, now)
        elif state in {LOCKED, DEFERRED_LOCKED}:
            _end_delivery(tx, entities.mailboxes_by_id[entity], sequence, now, _UNLOCK, 1)
        else:
            _expire(tx, entities.mailboxes_by_id[entity], sequence)
    tx.execute(_FORGET, (now,))
    next_due: int | None = tx.execute("SELECT min(due_at) FROM bus_messages").fetchone()[0]
    return NEVER if next_due is None else next_due


def _give_back(tx: Transaction, mailbox: Mailbox, token: str, now: int, statement: str, failed: int) -> bool:
    nonce, sequence = parse_token(token)
    if tx.execute(_FIND, (sequence, nonce, mailbox.id, now)).fetchone() is None:
        return False
    _end_delivery(tx, mailbox, sequence, now, statement, failed)
    return True


def _end_delivery(
    tx: Transaction, mailbox: Mailbox, sequence: int, now: int, statement: str, failed: int
) -> None:
    """The message is free for the next delivery at once, or set aside, or has come to its end.

    To set it aside counts as a failed delivery too (https://github.com/Azure/azure-service-bus/issues/375).
    """
    deliveries, expires, state = tx.execute(statement, (failed, sequence)).fetchone()
    if mailbox.dead_letters is not None and deliveries >= mailbox.max_delivery_count:
        description = f"Message could not be consumed after {mailbox.max_delivery_count} delivery attempts."
        _move_to_dead_letters(tx, mailbox, sequence, "MaxDeliveryCountExceeded", description)
    elif state == DEFERRED:
        pass
    elif expires <= now:
        _expire(tx, mailbox, sequence)
    else:
        tx.wake(mailbox.wake)


def _expire(tx: Transaction, mailbox: Mailbox, sequence: int) -> None:
    if mailbox.dead_letter_expired:
        description = "The message expired and was dead lettered."
        _move_to_dead_letters(tx, mailbox, sequence, "TTLExpiredException", description)
    else:
        tx.execute(_DELETE, (sequence,))
        tx.count(mailbox.path, "expired")


def _move_to_dead_letters(
    tx: Transaction, mailbox: Mailbox, sequence: int, reason: str, description: str
) -> None:
    dead_letters = mailbox.dead_letters
    assert dead_letters is not None  # noqa: S101  (callers look: nothing moves out of a dead-letter queue)
    tx.execute(_DEAD_LETTER, (dead_letters.id, reason, description, sequence))
    tx.count(mailbox.path, "dead_lettered")
    tx.count(dead_letters.path, "accepted")
    tx.wake(dead_letters.wake)


def _activate(tx: Transaction, target: Target, sequence: int, now: int) -> None:
    *content, starts, expires = tx.execute(_ACTIVATE, (sequence,)).fetchone()
    body: Content = tuple(content)
    time_to_live = NEVER if expires >= NEVER else expires - starts
    if target.is_topic:
        tx.count(target.path, "completed")
    _enqueue(tx, target, decode(body), body, now, time_to_live, sequence, first=False)
