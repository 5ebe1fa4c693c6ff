"""The reservation document: what inventory has promised one order, and the inbox of the order's commands.

    reserving -> reserved -> committed
    reserving -> rejecting -> rejected
    reserving | reserved -> releasing -> released          (released and rejected may still become committed)

What came back of a committed one is noted under `returns`, each: noted -> booked, or refused at once.

Whoever takes the document out of motion (`...ing`) also records the reply of each command that was noted on
it; whoever has booked a return, that of its command. Every move is guarded by the ETag: a delivery that lost
a race reads the document again and goes on from what it finds.

Each time that it comes to rest, what became of it is noted in `history`, chained by hash, for the audit
trail.

`due_at` is when the timer must look at it (a hold expires, or a motion or a return is overdue); at an end
there is none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import cast

from core.contracts import contract_name
from core.documents import DocumentConflict, DocumentNotFound, Documents, PreconditionFailed, Stored
from core.envelope import Envelope, from_object, reply_to, to_json
from core.json import Json, JsonObject
from services.inventory.ledger import SHIPPED_TTL_S, Refusal
from services.inventory.messages import (
    Rejected,
    Release,
    Released,
    Reserve,
    Reserved,
    ReserveLine,
    Restocked,
    RestockLine,
    RestockRefused,
)
from services.inventory.reservation_history import Answered, History, recorded

RESERVE = contract_name(Reserve)
RELEASE = contract_name(Release)

CONTAINER = "reservations"
RESERVATION = "reservation"
OVERDUE_AFTER = timedelta(minutes=10)
"""Longer than one delivery may take; after that a timer finishes what is in motion."""

RETENTION_S = 30 * 86400
"""How long the inbox outlives the last command of an order that was not shipped."""


class Status(StrEnum):
    RESERVING = "reserving"
    RESERVED = "reserved"
    REJECTING = "rejecting"
    REJECTED = "rejected"
    RELEASING = "releasing"
    RELEASED = "released"
    COMMITTED = "committed"


IN_MOTION = frozenset({Status.RESERVING, Status.REJECTING, Status.RELEASING})


@dataclass(frozen=True, slots=True)
class Refused:
    reason: Refusal
    sku: str


@dataclass(frozen=True, slots=True)
class Noted:
    """A command that was seen. `reply` is None until what it asks for has come to rest.

    `return_id` is that of a restock.
    """

    type: str
    traceparent: str
    reply: Envelope | None = None
    return_id: str = ""


@dataclass(frozen=True, slots=True)
class Return:
    """What came back. `refused` is (reason, SKU) when the rules forbid it; else it is in the ledger once
    `booked`."""

    lines: tuple[RestockLine, ...]
    refused: tuple[str, str] | None = None
    booked: bool = False

    @property
    def is_open(self) -> bool:
        return self.refused is None and not self.booked


@dataclass(frozen=True, slots=True)
class Reservation:
    """`lines` are one per SKU, in the order of the SKUs; empty when the release came first.

    `etag` is of the stored document; it is not part of its content.
    """

    order_id: str
    status: Status
    lines: tuple[ReserveLine, ...] = ()
    expires_at: datetime | None = None
    refused: Refused | None = None
    commands: Mapping[str, Noted] = field(default_factory=dict)
    returns: Mapping[str, Return] = field(default_factory=dict)
    history: History = ()
    due_at: datetime | None = None
    etag: str | None = None

    @property
    def in_motion(self) -> bool:
        return self.status in IN_MOTION

    def reply(self, command_id: str) -> Envelope | None:
        noted = self.commands.get(command_id)
        return None if noted is None else noted.reply

    @property
    def open_returns(self) -> Sequence[str]:
        return [return_id for return_id, one in self.returns.items() if one.is_open]

    def note(self, command: Envelope, return_id: str = "") -> "Reservation":
        noted = Noted(command.type, command.traceparent, return_id=return_id)
        return replace(self, commands={**self.commands, command.id: noted})


async def create(documents: Documents, reservation: Reservation, now: datetime) -> Reservation:
    """Answers what is stored: this one, or the one that was there before."""
    try:
        reservation = _completed(reservation, now)
        stored = await documents.create(CONTAINER, reservation.order_id, _to_item(reservation))
    except DocumentConflict:
        return await read(documents, reservation.order_id)
    return replace(reservation, etag=stored.etag)


async def read(documents: Documents, order_id: str) -> Reservation:
    """Raises DocumentNotFound."""
    return from_stored(await documents.read(CONTAINER, order_id, RESERVATION))


async def find(documents: Documents, order_id: str) -> Reservation | None:
    try:
        return await read(documents, order_id)
    except DocumentNotFound:
        return None


async def move(documents: Documents, reservation: Reservation, now: datetime) -> Reservation:
    """Replace the document that `reservation.etag` names. Answers what is stored now: this, or what won the
    race."""
    try:
        reservation = _completed(reservation, now)
        stored = await documents.replace(
            CONTAINER, reservation.order_id, _to_item(reservation), reservation.etag
        )
    except PreconditionFailed:
        return await read(documents, reservation.order_id)
    return replace(reservation, etag=stored.etag)


def _completed(reservation: Reservation, now: datetime) -> Reservation:
    """With what follows from the status: the replies and when the timer is due."""
    if reservation.in_motion:
        return replace(reservation, due_at=now + OVERDUE_AFTER)
    open_returns = reservation.open_returns
    commands = {
        command_id: noted
        if noted.reply is not None or noted.return_id in open_returns
        else replace(noted, reply=_reply(reservation, command_id, noted, now))
        for command_id, noted in reservation.commands.items()
    }
    due_at = reservation.expires_at if reservation.status is Status.RESERVED else None
    if open_returns:
        due_at = now + OVERDUE_AFTER
    rested = replace(reservation, commands=commands, due_at=due_at)
    return replace(rested, history=_history(reservation, rested, now))


def _history(before: Reservation, rested: Reservation, now: datetime) -> History:
    answered = [
        Answered(id, noted.type, noted.reply)
        for id, noted in rested.commands.items()
        if noted.reply is not None and before.reply(id) is None
    ]
    expires_at = rested.expires_at if rested.status is Status.RESERVED else None
    state: JsonObject = {
        "status": rested.status.value,
        "expires_at": None if expires_at is None else timestamp(expires_at),
    }
    return recorded(rested.history, rested.order_id, state, _line_items(rested.lines), answered, now)


def _line_items(lines: Sequence[ReserveLine]) -> list[Json]:
    return [{"sku": line.sku, "quantity": line.quantity} for line in lines]


def _reply(reservation: Reservation, command_id: str, noted: Noted, now: datetime) -> Envelope:
    return reply_to(
        command_id,
        _answer_return(reservation, noted.return_id) if noted.return_id else _answer(reservation, noted.type),
        source="inventory",
        order_id=reservation.order_id,
        time=now,
        traceparent=noted.traceparent,
    )


def _answer(reservation: Reservation, command_type: str) -> Reserved | Rejected | Released:
    """What a command is told that was not answered before the reservation came to rest here.

    A release of committed goods is answered too: nothing is held any more, and the goods stay shipped.
    """
    if command_type == RELEASE:
        return Released(reservation.order_id)
    if reservation.status in {Status.RESERVED, Status.COMMITTED}:
        return Reserved(reservation.order_id)
    refused = reservation.refused or Refused(Refusal.RELEASED, "")
    return Rejected(reservation.order_id, refused.reason, refused.sku)


def _answer_return(reservation: Reservation, return_id: str) -> Restocked | RestockRefused:
    refused = reservation.returns[return_id].refused
    if refused is None:
        return Restocked(reservation.order_id, return_id)
    return RestockRefused(reservation.order_id, return_id, *refused)


def from_stored(stored: Stored) -> Reservation:
    return from_item(stored.item)


def from_item(item: JsonObject) -> Reservation:
    refused = cast(dict[str, str] | None, item["refused"])
    return Reservation(
        order_id=cast(str, item["order_id"]),
        status=Status(cast(str, item["status"])),
        lines=tuple(
            ReserveLine(cast(str, line["sku"]), cast(int, line["quantity"]))
            for line in cast(list[JsonObject], item["lines"])
        ),
        expires_at=_time(item["expires_at"]),
        refused=None if refused is None else Refused(Refusal(refused["reason"]), refused["sku"]),
        commands={
            command_id: Noted(
                cast(str, noted["type"]),
                cast(str, noted["traceparent"]),
                None if noted["reply"] is None else from_object(noted["reply"]),
                cast(str, noted.get("return_id", "")),
            )
            for command_id, noted in cast(dict[str, JsonObject], item["commands"]).items()
        },
        returns={
            return_id: _return(one)
            for return_id, one in cast(dict[str, JsonObject], item.get("returns", {})).items()
        },
        history=tuple(cast(list[JsonObject], item.get("history", []))),
        due_at=_time(item.get("due_at")),
        etag=cast(str, item["_etag"]),
    )


def _to_item(reservation: Reservation) -> JsonObject:
    refused = reservation.refused
    item: JsonObject = {
        "id": RESERVATION,
        "order_id": reservation.order_id,
        "status": reservation.status.value,
        "lines": _line_items(reservation.lines),
        "expires_at": None if reservation.expires_at is None else timestamp(reservation.expires_at),
        "refused": None if refused is None else {"reason": refused.reason.value, "sku": refused.sku},
        "commands": {
            command_id: {
                "type": noted.type,
                "traceparent": noted.traceparent,
                "reply": None if noted.reply is None else cast(Json, to_json(noted.reply)),
                **({"return_id": noted.return_id} if noted.return_id else {}),
            }
            for command_id, noted in reservation.commands.items()
        },
    }
    if reservation.history:
        item["history"] = list(reservation.history)
    if reservation.returns:
        item["returns"] = {return_id: _return_item(one) for return_id, one in reservation.returns.items()}
    if reservation.due_at is not None:
        item["due_at"] = timestamp(reservation.due_at)
    elif reservation.status is Status.COMMITTED:
        item["ttl"] = SHIPPED_TTL_S
    elif has_ended(reservation):
        item["ttl"] = RETENTION_S
    return item


def _return(item: JsonObject) -> Return:
    lines = cast(list[JsonObject], item["lines"])
    refused = cast(list[str] | None, item["refused"])
    return Return(
        lines=tuple(
            RestockLine(cast(str, line["sku"]), cast(int, line["restocked"]), cast(int, line["written_off"]))
            for line in lines
        ),
        refused=None if refused is None else (refused[0], refused[1]),
        booked=cast(bool, item["booked"]),
    )


def _return_item(one: Return) -> JsonObject:
    return {
        "lines": [
            {"sku": line.sku, "restocked": line.restocked, "written_off": line.written_off}
            for line in one.lines
        ],
        "refused": None if one.refused is None else list(one.refused),
        "booked": one.booked,
    }


def has_ended(reservation: Reservation) -> bool:
    """Nothing but returns is to come. One that expired is still open: its release, or its goods, may come."""
    if reservation.status is Status.RELEASED:
        return any(noted.type == RELEASE for noted in reservation.commands.values())
    return reservation.status in {Status.REJECTED, Status.COMMITTED}


def timestamp(time: datetime) -> str:
    """In one form, so that the order of the texts is the order of the times."""
    return time.astimezone(UTC).isoformat(timespec="microseconds")


def _time(value: object) -> datetime | None:
    return datetime.fromisoformat(value) if isinstance(value, str) else None
