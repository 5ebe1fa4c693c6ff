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
from core.documents import DocumentConflict, DocumentNotFound, Documents, Query, SetField, Where, each_page
from core.envelope import to_message, wrap
from core.json import JsonObject
from core.telemetry import log
from services.payments.decider import PAYMENTS
from services.payments.gateway import MoneyBack, Movement, PaymentGateway
from services.payments.messages import Charged, PartRefunded, Refunded
from services.payments.state import Payment

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


@dataclass(frozen=True, slots=True)
class Sum:
    """In minor units. Nothing has no currency."""

    amount: int
    currency: str


NOTHING = Sum(0, "")


@contract("payments.difference_found")
@dataclass(frozen=True, slots=True)
class DifferenceFound:
    """The gateway and the payment disagree on what moved. 0: that side knows of no such movement.

    part: the return, of a refund for one.
    recorded_currency: the payment's, where it is not `currency`, which is then the gateway's.
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
    recorded_currency: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
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
        if there and here and _sum(there) == _sum(here):
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
        async for page in each_page(documents, PAYMENTS.container, Query(where, limit=PAGE)):
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


async def _confirmed(
    documents: Documents, gateway: PaymentGateway, there: Movement | None, here: Movement | None
) -> DifferenceFound | None:
    """None: both sides say the same, when they are asked for this payment alone."""
    movement = there or here
    assert movement is not None  # noqa: S101  (one of them has it)
    payment = (await load(documents, PAYMENTS, movement.order_id)).state
    recorded = _recorded_sum(payment, movement)
    payment_id = movement.payment_id or payment.payment_id
    if there is not None:
        at_gateway = _sum(there)
    elif movement.about == "charge":
        charge = await gateway.find_charge(movement.order_id, payment_id)
        at_gateway = _sum(charge) if isinstance(charge, Charged) else NOTHING
    else:
        at_gateway = _sum(await gateway.find_refund(movement.order_id, payment_id, movement.part))
    if at_gateway == recorded:
        return None
    currency = at_gateway.currency or recorded.currency
    recorded_currency = "" if recorded.currency == currency else recorded.currency
    told = (
        *(movement.about, movement.order_id, payment_id, movement.part),
        *(str(at_gateway.amount), str(recorded.amount)),
        *((currency, recorded_currency) if recorded_currency else ()),
    )
    return DifferenceFound(
        difference_id=blake2b("\n".join(told).encode(), digest_size=12).hexdigest(),
        about=movement.about,
        order_id=movement.order_id,
        payment_id=payment_id,
        part=movement.part,
        gateway_amount=at_gateway.amount,
        recorded_amount=recorded.amount,
        currency=currency,
        moved_at=movement.at,
        recorded_currency=recorded_currency,
    )


def _sum(moved: Movement | Charged | MoneyBack | None) -> Sum:
    return NOTHING if moved is None else Sum(moved.amount, moved.currency)


def _recorded_sum(payment: Payment, movement: Movement) -> Sum:
    if movement.about == "charge":
        amount = payment.charged if movement.payment_id == payment.payment_id else 0
    else:
        parts = {part.return_id: part.amount for part in payment.parts if part.status == "refunded"}
        amount = parts.get(movement.part, 0) if movement.part else payment.refunded - sum(parts.values())
    return Sum(amount, payment.currency) if amount else NOTHING


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
        currency=difference.currency,
        recorded_currency=difference.recorded_currency or difference.currency,
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
