"""Compares the money that moved at the gateway with the payments, window by window.

Each side's movements of a window are read in pages and compared. What one side alone has, or has otherwise,
may only lie at the window's edge or be behind: both sides are asked for that one payment, and it is a
difference only if they still disagree. A difference is stored once, told once on the topic and in the log.
"""

import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Literal, TypedDict, cast

from pydantic import TypeAdapter

from core.bus import Bus
from core.contracts import contract, contract_name, decode, encode
from core.decider import load, read_event
from core.documents import DocumentConflict, DocumentNotFound, Documents, Query, SetField, Where
from core.envelope import to_message, wrap
from core.json import JsonObject
from core.telemetry import log
from services.payments.decider import PAYMENTS
from services.payments.gateway import Movement, PaymentGateway
from services.payments.messages import Charged, PartRefunded, Refunded

CONTAINER = "payment-differences"
TOPIC = "service-events"
SETTLED = timedelta(minutes=15)
"""So old a movement must be: what is younger may still be on its way to the other side."""

WINDOW = timedelta(hours=1)
WINDOWS_PER_RUN = 24
FIRST = timedelta(hours=24)
"""How far back the first run looks."""

PAGE = 200
_RECORDED = tuple(contract_name(event) for event in (Charged, Refunded, PartRefunded))
_CHECKPOINT = "checkpoint"

logger = logging.getLogger("orderflow.payments.reconciliation")

type Key = tuple[str, str, str, str]


@contract("payments.difference_found")
@dataclass(frozen=True, slots=True)
class DifferenceFound:
    """The gateway and the payment disagree on what moved. 0: that side knows of no such movement.

    part: the return, of a refund for one.
    """

    difference_id: str
    about: Literal["charge", "refund"]
    order_id: str
    payment_id: str
    part: str
    gateway_amount: int
    recorded_amount: int
    currency: str
    moved_at: datetime


@dataclass(frozen=True, slots=True)
class PaymentDifference(DifferenceFound):
    found_at: datetime


class PaymentDifferences(TypedDict):
    """Of money that moved on that day, UTC."""

    day: str
    differences: list[PaymentDifference]
    continuation: str | None


_recorded_differences = TypeAdapter(PaymentDifference)


async def reconcile(
    documents: Documents, bus: Bus, gateway: PaymentGateway, now: datetime
) -> Sequence[DifferenceFound]:
    """Compare what has settled since the last run; answers the differences that are new.

    Raises OutsideUnavailable and the transient errors of documents and bus; the next run goes on from there.
    """
    found: list[DifferenceFound] = []
    since = await _checkpoint(documents) or now - FIRST
    for _ in range(WINDOWS_PER_RUN):
        until = min(since + WINDOW, now - SETTLED)
        if until <= since:
            break
        for difference in await compare(documents, gateway, since, until):
            if await _report(documents, bus, difference, now):
                found.append(difference)
        since = until
        mark: JsonObject = {"id": _CHECKPOINT, "day": _CHECKPOINT, "until": until.isoformat()}
        await documents.upsert(CONTAINER, _CHECKPOINT, mark)
    return found


async def compare(
    documents: Documents, gateway: PaymentGateway, since: datetime, until: datetime
) -> list[DifferenceFound]:
    """Of one window, from `since` and before `until`. Changes nothing."""
    theirs = await _by_key(gateway.movements(since, until))
    ours = await _by_key(_recorded(documents, since, until))
    differences = []
    for key in sorted(theirs.keys() | ours.keys()):
        there, here = theirs.get(key), ours.get(key)
        if there and here and (there.amount, there.currency) == (here.amount, here.currency):
            continue
        difference = await _confirmed(documents, gateway, there, here)
        if difference is not None:
            differences.append(difference)
    return differences


async def read_differences(documents: Documents, day: str, continuation: str | None) -> PaymentDifferences:
    """Of money that moved on that day (UTC, `2027-01-15`), in pages. Raises BadDocumentRequest."""
    query = Query(partition=day, order_by="id", limit=100, continuation=continuation)
    page = await documents.query(CONTAINER, query)
    shown = [
        _recorded_differences.validate_python(
            {**cast(JsonObject, item["difference"]), "found_at": item["found_at"]}
        )
        for item in page.items
    ]
    return {"day": day, "differences": shown, "continuation": page.continuation}


async def _by_key(movements: AsyncIterator[Movement]) -> dict[Key, Movement]:
    """Two of one key are one of both amounts: what should be once is twice."""
    found: dict[Key, Movement] = {}
    async for movement in movements:
        # A refund's event does not say of which charge it is, and the order has one.
        payment_id = movement.payment_id if movement.about == "charge" else ""
        key = (movement.about, movement.order_id, payment_id, movement.part)
        known = found.get(key)
        found[key] = movement if known is None else replace(known, amount=known.amount + movement.amount)
    return found


async def _recorded(documents: Documents, since: datetime, until: datetime) -> AsyncIterator[Movement]:
    for type_ in _RECORDED:
        where = (
            Where("kind", "=", "event"),
            Where("type", "=", type_),
            Where("time", ">=", since.isoformat()),
            Where("time", "<", until.isoformat()),
        )
        continuation: str | None = None
        while True:
            page = await documents.query(
                PAYMENTS.container, Query(where, limit=PAGE, continuation=continuation)
            )
            for item in page.items:
                event = read_event(item)
                told: Charged | Refunded | PartRefunded = event.data
                if told.amount:
                    yield Movement(
                        "charge" if isinstance(told, Charged) else "refund",
                        told.order_id,
                        told.payment_id if isinstance(told, Charged) else "",
                        told.return_id if isinstance(told, PartRefunded) else "",
                        told.amount,
                        told.currency,
                        event.time,
                    )
            continuation = page.continuation
            if continuation is None:
                break


async def _confirmed(
    documents: Documents, gateway: PaymentGateway, there: Movement | None, here: Movement | None
) -> DifferenceFound | None:
    """None: both sides say the same, when they are asked for this payment alone."""
    movement = there or here
    assert movement is not None  # noqa: S101  (one of them has it)
    recorded = await _recorded_amount(documents, movement)
    payment_id = movement.payment_id or (await load(documents, PAYMENTS, movement.order_id)).state.payment_id
    at_gateway = there.amount if there is not None else 0
    if there is None and movement.about == "charge":
        charge = await gateway.find_charge(movement.order_id, payment_id)
        at_gateway = charge.amount if isinstance(charge, Charged) else 0
    elif there is None:
        money = await gateway.find_refund(movement.order_id, payment_id, movement.part)
        at_gateway = money.amount if money is not None else 0
    if at_gateway == recorded:
        return None
    told = (movement.about, movement.order_id, payment_id, movement.part, str(at_gateway), str(recorded))
    return DifferenceFound(
        difference_id=blake2b("\n".join(told).encode(), digest_size=12).hexdigest(),
        about=movement.about,
        order_id=movement.order_id,
        payment_id=payment_id,
        part=movement.part,
        gateway_amount=at_gateway,
        recorded_amount=recorded,
        currency=movement.currency,
        moved_at=movement.at,
    )


async def _recorded_amount(documents: Documents, movement: Movement) -> int:
    state = (await load(documents, PAYMENTS, movement.order_id)).state
    if movement.about == "charge":
        return state.charged if movement.payment_id == state.payment_id else 0
    refunded = {part.return_id: part.amount for part in state.parts if part.status == "refunded"}
    return refunded.get(movement.part, 0) if movement.part else state.refunded - sum(refunded.values())


async def _report(documents: Documents, bus: Bus, difference: DifferenceFound, now: datetime) -> bool:
    """Whether it is new. Stored first and marked when told, so that a crash in between tells it again."""
    day = difference.moved_at.date().isoformat()
    item: JsonObject = {
        "id": difference.difference_id,
        "day": day,
        "difference": encode(difference),
        "found_at": now.isoformat(),
        "told": False,
    }
    try:
        await documents.create(CONTAINER, day, item)
        new = True
    except DocumentConflict:
        new = False
        known = (await documents.read(CONTAINER, day, difference.difference_id)).item
        if known["told"]:
            return False
        difference = decode(contract_name(DifferenceFound), known["difference"])
    log(
        logger,
        logging.ERROR,
        "gateway and payment differ",
        order_id=difference.order_id,
        about=difference.about,
        payment_id=difference.payment_id,
        part=difference.part,
        gateway_amount=difference.gateway_amount,
        recorded_amount=difference.recorded_amount,
    )
    id = f"{day}:{CONTAINER}:{difference.difference_id}"
    event = wrap(
        difference,
        id=id,
        source="payments",
        subject=difference.order_id,
        time=now,
        correlation_id=difference.order_id,
        causation_id=id,
    )
    await bus.send(TOPIC, [replace(to_message(event), message_id=id)])
    await documents.patch(CONTAINER, day, difference.difference_id, [SetField("told", True)])
    return new


async def _checkpoint(documents: Documents) -> datetime | None:
    try:
        mark = (await documents.read(CONTAINER, _CHECKPOINT, _CHECKPOINT)).item
    except DocumentNotFound:
        return None
    return datetime.fromisoformat(str(mark["until"]))
