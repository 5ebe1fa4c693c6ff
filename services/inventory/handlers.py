"""What inventory does with the commands of an order, with a shipment, and when a timer finds something due.

Requests of an order of n SKUs, when nothing is repeated: reserve n + 2, commit n + 2, release n + 3. A
reserve that fails at the k-th SKU: 2k + 4. What comes back is in `returns`.

Why any interleaving of deliveries ends right: SKUs are taken in sorted order, so nobody holds a SKU without
having held those before it. Giving back goes in the same order, only after the document has left `reserving`
(or `reserved`), and puts a tombstone where it finds no hold: nobody gets past that SKU any more. So whoever
started earlier, however slow, either has its holds given back or is stopped, and then loses the race for the
document.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from core.audit import Asked, put_on_record
from core.bus import Bus
from core.clock import Clock
from core.contracts import InvalidContract, contract_name
from core.documents import Documents
from core.envelope import Envelope, check_command, to_message
from core.json import JsonObject
from core.resilience import retry_transient
from core.telemetry import log
from services.inventory import ledger, reservation, returns
from services.inventory.ledger import Refusal
from services.inventory.messages import ExtendHold, Release, Reserve, ReserveLine
from services.inventory.reservation import RELEASE, RESERVE, Refused, Reservation, Status
from services.inventory.returns import RESTOCK

EXTEND_HOLD = contract_name(ExtendHold)
COMMANDS = frozenset({RESERVE, RELEASE, RESTOCK, EXTEND_HOLD})
REPLIES = "order-replies"

logger = logging.getLogger("orderflow.inventory")


class UnknownReservation(InvalidContract):
    """Goods left for an order of which inventory knows no lines."""


async def handle_command(documents: Documents, bus: Bus, clock: Clock, command: Envelope) -> None:
    """Execute a command, or find that it was executed, and send the recorded reply.

    Raises InvalidContract for what no command can be, NotYetShipped (transient).
    """
    if isinstance(command.data, ExtendHold):
        await _extend_hold(documents, command, command.data, clock.now())
        return
    reply = await execute(documents, command, clock.now())
    await bus.send(REPLIES, [to_message(reply)])


async def execute(documents: Documents, command: Envelope, now: datetime) -> Envelope:
    """The reply, recorded now or before."""
    if command.type == RESTOCK:
        return await returns.restock(documents, command, now)
    found = await _open(documents, command, now)
    while (reply := found.reply(command.id)) is None:
        if command.id not in found.commands:
            found = await _note(documents, found, command, now)
        else:
            found = await _advance(documents, found, now)
    return reply


async def _extend_hold(documents: Documents, command: Envelope, told: ExtendHold, now: datetime) -> None:
    """Of what is still held. The reservation alone says until when; the holds keep what they were made with.

    Raises InvalidContract for an order without a reservation.
    """
    check_command(command, told.order_id)
    _check_time(told.expires_at)
    found = await reservation.find(documents, told.order_id)
    if found is None:
        raise InvalidContract(f"order_id: {told.order_id!r} has no reservation")
    while found.status in {Status.RESERVING, Status.RESERVED}:
        if found.expires_at is None or found.expires_at >= told.expires_at:
            return
        found = await reservation.move(documents, replace(found, expires_at=told.expires_at), now)
    if found.status in {Status.RELEASING, Status.RELEASED}:
        log(logger, logging.WARNING, "hold to be extended has ended", order_id=found.order_id)
        asked = Asked(found.order_id, EXTEND_HOLD, "system", found.order_id, command.traceparent)
        why: JsonObject = {"code": "hold_ended", "detail": f"the hold is {found.status.value}"}
        await put_on_record(documents, asked, "refused", why, now, id=command.id)


def _check_time(expires_at: datetime) -> None:
    if expires_at.tzinfo is None:
        raise InvalidContract("expires_at: must have an offset")


async def commit(documents: Documents, order_id: str, now: datetime) -> None:
    """The goods of the order left: count them as shipped, whatever has become of the reservation.

    A hold that had expired takes from what is available, else a shortage is booked, so that the figures tell
    what is on the shelf. Raises UnknownReservation.
    """
    found = await reservation.find(documents, order_id)
    if found is None or not found.lines:
        raise UnknownReservation(f"order_id: {order_id!r} has no reservation with lines")
    while found.status is not Status.COMMITTED:
        if found.status is not Status.RESERVED:
            log(
                logger,
                logging.WARNING,
                "goods left without a reservation",
                order_id=order_id,
                status=found.status.value,
            )
        for line in found.lines:
            await _commit_line(documents, order_id, line, now)
        found = await reservation.move(documents, replace(found, status=Status.COMMITTED), now)


async def finish(documents: Documents, found: Reservation, now: datetime) -> Sequence[Envelope]:
    """End a reservation whose holds have expired, or bring what is overdue in motion to rest.

    Answers the replies that this recorded, for those who wait for them.
    """
    unanswered = [command_id for command_id, noted in found.commands.items() if noted.reply is None]
    while _is_due(found, now):
        if found.status is Status.RESERVED:
            log(logger, logging.WARNING, "holds expired", order_id=found.order_id)
            found = await reservation.move(documents, replace(found, status=Status.RELEASING), now)
        while found.in_motion:
            found = await _advance(documents, found, now)
        while open_returns := found.open_returns:
            found = await returns.book(documents, found, open_returns[0], now)
    replies = (found.reply(command_id) for command_id in unanswered)
    return [reply for reply in replies if reply is not None]


def _is_due(found: Reservation, now: datetime) -> bool:
    return found.due_at is not None and found.due_at <= now


async def _open(documents: Documents, command: Envelope, now: datetime) -> Reservation:
    """The order's reservation, created for a reserve, and for a release that came first."""
    match command.data:
        case Reserve(order_id=order_id, expires_at=expires_at, lines=lines):
            check_command(command, order_id)
            _check_time(expires_at)
            new = Reservation(order_id, Status.RESERVING, _merged(lines), expires_at).note(command)
            return await reservation.create(documents, new, now)
        case Release(order_id=order_id):
            check_command(command, order_id)
            found = await reservation.find(documents, order_id)
            if found is not None:
                return found
            new = Reservation(order_id, Status.RELEASED).note(command)
            return await reservation.create(documents, new, now)
        case _:
            raise InvalidContract(f"type: {command.type!r} is no command of inventory")


async def _note(documents: Documents, found: Reservation, command: Envelope, now: datetime) -> Reservation:
    """Put the command on the document; a release also turns it round.

    A rejection in motion is finished as such: it gives back the same holds.
    """
    noted = found.note(command)
    if command.type == RELEASE:
        if found.status in {Status.RESERVING, Status.RESERVED}:
            noted = replace(noted, status=Status.RELEASING)
        elif found.status is Status.COMMITTED:
            log(logger, logging.ERROR, "release of goods that have left", order_id=found.order_id)
    return await reservation.move(documents, noted, now)


async def _advance(documents: Documents, found: Reservation, now: datetime) -> Reservation:
    """Do what the motion is about and take the document on. Answers what is stored then."""
    match found.status:
        case Status.RESERVING:
            refused = await _hold_all(documents, found)
            if refused is None:
                moved = replace(found, status=Status.RESERVED)
            else:
                moved = replace(found, status=Status.REJECTING, refused=refused)
        case Status.REJECTING:
            await _release_all(documents, found, now)
            moved = replace(found, status=Status.REJECTED)
        case Status.RELEASING:
            await _release_all(documents, found, now)
            moved = replace(found, status=Status.RELEASED)
        case _:
            raise AssertionError(f"{found.order_id} is at rest as {found.status} and has unanswered commands")
    return await reservation.move(documents, moved, now)


async def _hold_all(documents: Documents, found: Reservation) -> Refused | None:
    """The first refusal ends it. `released` means that another delivery has turned the document round."""
    assert found.expires_at is not None  # noqa: S101  (set with the lines)
    for line in found.lines:
        refusal = await _hold_line(documents, found.order_id, line, found.expires_at)
        if refusal is not None:
            return Refused(refusal, line.sku)
    return None


async def _release_all(documents: Documents, found: Reservation, now: datetime) -> None:
    for line in found.lines:
        if not await _release_line(documents, found.order_id, line, now):
            return  # nobody held this one, so nobody holds those after it


# A request that meets a fault is repeated alone: an order of hundreds of lines would never get through a
# store that refuses one request in a hundred if each fault sent it back to the first line.


async def _hold_line(
    documents: Documents, order_id: str, line: ReserveLine, expires_at: datetime
) -> Refusal | None:
    return await retry_transient(
        lambda: ledger.hold(documents, order_id, line.sku, line.quantity, expires_at)
    )


async def _release_line(documents: Documents, order_id: str, line: ReserveLine, now: datetime) -> bool:
    return await retry_transient(lambda: ledger.release(documents, order_id, line.sku, line.quantity, now))


async def _commit_line(documents: Documents, order_id: str, line: ReserveLine, now: datetime) -> None:
    await retry_transient(lambda: ledger.commit(documents, order_id, line.sku, line.quantity, now))


def _merged(lines: Sequence[ReserveLine]) -> tuple[ReserveLine, ...]:
    """One line per SKU, in the order of the SKUs."""
    if not lines:
        raise InvalidContract("lines: must not be empty")
    quantities: dict[str, int] = {}
    for number, line in enumerate(lines):
        if not line.sku:
            raise InvalidContract(f"lines.{number}.sku: must not be empty")
        if line.quantity < 1:
            raise InvalidContract(f"lines.{number}.quantity: must be at least 1, not {line.quantity}")
        quantities[line.sku] = quantities.get(line.sku, 0) + line.quantity
    return tuple(ReserveLine(sku, quantities[sku]) for sku in sorted(quantities))
