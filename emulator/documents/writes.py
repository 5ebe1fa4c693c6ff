"""The operations that change items, each within a transaction of the store."""

import sqlite3
from typing import Final

import orjson

from emulator.documents.checks import Prepared, check_id, item_text, prepare, time_to_live
from emulator.documents.model import (
    Container,
    JsonObject,
    Operation,
    Patch,
    Remove,
    RequestFailed,
    Row,
    Write,
)
from emulator.documents.partitions import feed_range_of
from emulator.documents.patching import apply, check_patch, holds
from emulator.store import Transaction

FIND: Final = (
    "SELECT sequence, ts, body, expires FROM documents WHERE container = ? AND partition = ? AND id = ?"
)
_COLUMNS = "documents (container, partition, id, feed_range, ts, expires, body) VALUES (?, ?, ?, ?, ?, ?, ?)"
_CREATE = f"INSERT INTO {_COLUMNS}"
_PUT = f"INSERT OR REPLACE INTO {_COLUMNS}"

type Ready = Prepared | Remove | Patch


def etag_of(sequence: int) -> str:
    return f'"{sequence:x}"'


def as_item(row: Row) -> JsonObject:
    """The item as a caller sees it."""
    item: JsonObject = orjson.loads(row.body)
    item["_etag"] = etag_of(row.sequence)
    item["_ts"] = row.ts
    return item


def as_text(row: Row) -> str:
    """The JSON of `as_item`."""
    return f'{row.body[:-1]},"_etag":"\\"{row.sequence:x}\\"","_ts":{row.ts}}}'


def not_found(container: Container, partition: str, identity: str) -> RequestFailed:
    return RequestFailed(404, f"{container.name} has no item {identity!r} in partition {partition!r}")


def make_ready(container: Container, partition: str, operation: Operation) -> Ready:
    """All that can be checked and serialised before the transaction. Raises RequestFailed 400, 413."""
    if isinstance(operation, Write):
        return prepare(container, partition, operation)
    check_id(operation.id)
    if isinstance(operation, Patch):
        check_patch(container, operation.steps, operation.conditions)
    return operation


def perform(
    transaction: Transaction, container: Container, partition: str, operation: Ready, now: float
) -> Row | None:
    """The item as it is afterwards, None when deleted. RequestFailed 404, 409, 412; patches also 400, 413."""
    transaction.wake(container.wake_name(feed_range_of(partition)))
    if isinstance(operation, Prepared):
        if operation.kind == "replace":
            _expect(transaction, container, partition, operation.id, operation.etag, now)
        return _put(transaction, container, partition, operation, now)
    found = _expect(transaction, container, partition, operation.id, operation.etag, now)
    if isinstance(operation, Remove):
        transaction.execute("DELETE FROM documents WHERE sequence = ?", (found.sequence,))
        return None
    return _put(transaction, container, partition, _patched(container, found, operation), now)


def _patched(container: Container, found: Row, patch: Patch) -> Prepared:
    item = as_item(found)
    for condition in patch.conditions:
        if not holds(item, condition):
            rule = f"{condition.field} {condition.comparison} {condition.value!r}"
            raise RequestFailed(412, f"item {patch.id!r}: the condition {rule} does not hold")
    del item["_etag"], item["_ts"]
    apply(item, patch.steps)
    return Prepared("replace", None, patch.id, item_text(item), time_to_live(container, item))


def _put(transaction: Transaction, container: Container, partition: str, item: Prepared, now: float) -> Row:
    ts = int(now)
    values = (
        container.name,
        partition,
        item.id,
        feed_range_of(partition),
        ts,
        None if item.ttl is None else ts + item.ttl,
        item.body,
    )
    created = item.kind == "create"
    if not created:
        if item.kind == "upsert":
            created = _find(transaction, container, partition, item.id, now) is None
        cursor = transaction.execute(_PUT, values)
    else:
        try:
            cursor = transaction.execute(_CREATE, values)
        except sqlite3.IntegrityError:
            if _find(transaction, container, partition, item.id, now) is not None:
                where = f"in partition {partition!r} of {container.name}"
                raise RequestFailed(409, f"there is an item {item.id!r} {where}") from None
            cursor = transaction.execute(_PUT, values)  # in the place of one that expired
    assert cursor.lastrowid is not None  # noqa: S101  (an insert has one)
    return Row(cursor.lastrowid, ts, item.body, created)


def _expect(
    transaction: Transaction,
    container: Container,
    partition: str,
    identity: str,
    etag: str | None,
    now: float,
) -> Row:
    found = _find(transaction, container, partition, identity, now)
    if found is None:
        raise not_found(container, partition, identity)
    if etag is not None and etag != etag_of(found.sequence):
        raise RequestFailed(412, f"item {identity!r} does not have the ETag {etag} any more")
    return found


def _find(
    transaction: Transaction, container: Container, partition: str, identity: str, now: float
) -> Row | None:
    row = transaction.execute(FIND, (container.name, partition, identity)).fetchone()
    if row is None:
        return None
    sequence, ts, body, expires = row
    return None if expires is not None and expires <= now else Row(sequence, ts, body)
