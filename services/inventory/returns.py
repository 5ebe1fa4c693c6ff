"""Goods that come back: sold again, or written off.

A return is noted on the order's reservation first, under its ETag: what all returns of an order take back
together is never more than was shipped. Then each SKU is booked, one batch each, which the document
`return:<id>` allows once; last the return is marked as booked, with the reply. Requests of a return of n
SKUs: n + 3.
"""

from collections import Counter
from dataclasses import replace
from datetime import datetime

from core.contracts import InvalidContract, contract_name
from core.documents import Documents
from core.envelope import Envelope, check_command
from core.resilience import TransientError, retry_transient
from services.inventory import ledger, reservation
from services.inventory.messages import Restock, RestockLine
from services.inventory.reservation import Reservation, Return, Status

RESTOCK = contract_name(Restock)
NOT_SHIPPED = "not_shipped"
MORE_THAN_SHIPPED = "more_than_shipped"


class NotYetShipped(TransientError):
    """Goods come back of an order whose shipment inventory has not seen: the event is on its way."""


async def restock(documents: Documents, command: Envelope, now: datetime) -> Envelope:
    """The reply to a restock, recorded now or before.

    Raises InvalidContract, NotYetShipped. A return of an order that never reserved is refused, and so is a
    reserve that comes after it: the answer stays true.
    """
    wanted = _checked(command)
    found = await reservation.find(documents, wanted.order_id)
    if found is None:
        nothing = Reservation(wanted.order_id, Status.REJECTED)
        found = await reservation.create(documents, _noted(nothing, command, wanted), now)
    while (reply := found.reply(command.id)) is None:
        if command.id in found.commands:
            found = await book(documents, found, wanted.return_id, now)
        else:
            found = await reservation.move(documents, _noted(found, command, wanted), now)
    return reply


def _noted(found: Reservation, command: Envelope, wanted: Restock) -> Reservation:
    returns = {**found.returns, wanted.return_id: Return(wanted.lines, _refusal(found, wanted.lines))}
    return replace(found.note(command, wanted.return_id), returns=returns)


async def book(documents: Documents, found: Reservation, return_id: str, now: datetime) -> Reservation:
    """Put a noted return into the ledger. Answers what is stored then."""
    one = found.returns[return_id]
    for line in one.lines:
        if line.restocked or line.written_off:
            await _take_back(documents, found.order_id, return_id, line, now)
    returns = {**found.returns, return_id: replace(one, booked=True)}
    return await reservation.move(documents, replace(found, returns=returns), now)


async def _take_back(
    documents: Documents, order_id: str, return_id: str, line: RestockLine, now: datetime
) -> None:
    await retry_transient(
        lambda: ledger.take_back(
            documents, order_id, return_id, line.sku, line.restocked, line.written_off, now
        )
    )


def _checked(command: Envelope) -> Restock:
    wanted = command.data
    if not isinstance(wanted, Restock):
        raise InvalidContract(f"type: {command.type!r} is no restock")
    check_command(command, wanted.order_id, wanted.return_id)
    if not wanted.lines:
        raise InvalidContract("lines: must not be empty")
    seen: set[str] = set()
    for number, line in enumerate(wanted.lines):
        if line.sku in seen:
            raise InvalidContract(f"lines.{number}.sku: must be in one line only")
        seen.add(line.sku)
    return wanted


def _refusal(found: Reservation, lines: tuple[RestockLine, ...]) -> tuple[str, str] | None:
    """The rule that these lines break, with the SKU. Raises NotYetShipped."""
    if found.status is not Status.COMMITTED:
        if found.lines and not reservation.has_ended(found):
            raise NotYetShipped(f"order_id: {found.order_id!r} is {found.status}, and goods of it come back")
        return NOT_SHIPPED, ""
    shipped = {line.sku: line.quantity for line in found.lines}
    returned: Counter[str] = Counter()
    for one in found.returns.values():
        if one.refused is None:
            for line in one.lines:
                returned[line.sku] += line.restocked + line.written_off
    for line in lines:
        if line.sku not in shipped:
            return NOT_SHIPPED, line.sku
        if returned[line.sku] + line.restocked + line.written_off > shipped[line.sku]:
            return MORE_THAN_SHIPPED, line.sku
    return None
