"""Looks up carriers that were given up, and cancels what they have after all.

A stray is on the stream before it is cancelled. Its cancellation is looked up before it is made, so that a
crash between the two, or a second delivery, cancels nothing else; it needs no intent, because a carrier
cancels a shipment once, however often it is asked.
"""

import logging
from collections.abc import Awaitable, Callable

from core.contracts import contract_name
from core.envelope import command_id
from core.resilience import TRANSIENT
from core.telemetry import log
from services.shipping.calls import Carriers
from services.shipping.messages import CheckBookings, ShipmentCreated
from services.shipping.state import Doubt, Shipment, Stray, is_decided
from services.shipping.strays import (
    RecordLook,
    RecordNoLook,
    RecordStrayCancelled,
    RecordStrayKept,
    StrayCommand,
)

type Record = Callable[[StrayCommand], Awaitable[Shipment]]
"""Puts on the parcel's stream what follows, and answers the state then."""

logger = logging.getLogger("orderflow.shipping")


async def look_and_cancel(carriers: Carriers, parcel_id: str, state: Shipment, record: Record) -> None:
    """What is due: carriers are looked up, then strays cancelled. A carrier that cannot be asked is recorded
    too, so that its next turn comes later. Raises what `record` raises.
    """
    if not is_decided(state):
        return
    for doubt in state.doubts:
        if doubt.look_at <= carriers.clock.now():
            state = await record(await _look(carriers, parcel_id, doubt))
    for stray in state.strays:
        if stray.cancel_at is not None and stray.cancel_at <= carriers.clock.now():
            state = await record(await _cancel(carriers, parcel_id, stray))


async def look_early(carriers: Carriers, parcel_id: str, state: Shipment, record: Record) -> None:
    """Of whatever is in doubt, whether it is there by now; that it is not is not counted."""
    if not is_decided(state):
        return
    for doubt in state.doubts:
        look = await _look(carriers, parcel_id, doubt)
        if isinstance(look, RecordLook) and look.found is not None:
            await record(look)


async def _look(carriers: Carriers, parcel_id: str, doubt: Doubt) -> StrayCommand:
    try:
        found = await carriers.named(doubt.carrier).find_shipment(parcel_id)
    except TRANSIENT as error:
        log(logger, logging.WARNING, "booking not looked up", carrier=doubt.carrier, error=repr(error))
        return RecordNoLook(doubt.carrier)
    return RecordLook(doubt.carrier, found if isinstance(found, ShipmentCreated) else None)


async def _cancel(carriers: Carriers, parcel_id: str, stray: Stray) -> StrayCommand:
    name, shipment_id = stray.carrier, stray.shipment_id
    key = command_id(parcel_id, contract_name(CheckBookings), f"cancel:{name}:{shipment_id}")
    try:
        carrier = carriers.named(name)
        if await carrier.find_cancellation(parcel_id, shipment_id) is None:
            await carrier.cancel(key, parcel_id, shipment_id)
    except TRANSIENT as error:
        log(logger, logging.WARNING, "stray not cancelled", carrier=name, error=repr(error))
        return RecordStrayKept(name, shipment_id)
    return RecordStrayCancelled(name, shipment_id)
