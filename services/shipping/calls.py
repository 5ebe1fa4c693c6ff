"""The calls to carriers that a shipment's state says are under way."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from core.clock import Clock
from core.contracts import contract_name
from core.envelope import command_id
from core.outside_call import (
    Guard,
    Intent,
    OutsideCall,
    OutsideUnavailable,
    deadline,
    guard_of,
)
from core.resilience import TRANSIENT
from core.telemetry import log
from services.shipping.carrier import Carrier, Parcel
from services.shipping.decider import (
    NOT_SERVED,
    CancellationNotFound,
    CarrierIsDown,
    RecordCancel,
    RecordCreate,
    ShipmentCommand,
    ShipmentNotFound,
)
from services.shipping.events import CancelStarted, CreateStarted
from services.shipping.messages import CancelShipment, CreateShipment
from services.shipping.offers import NotServed, Offer, rank
from services.shipping.state import Shipment

CREATE = contract_name(CreateShipment)
CANCEL = contract_name(CancelShipment)

type Call = OutsideCall[ShipmentCommand]

logger = logging.getLogger("orderflow.shipping")


@dataclass(frozen=True, slots=True)
class Carriers:
    """Those in use, by name. `timeout_s` is how long one may take to answer."""

    by_name: Mapping[str, Carrier]
    clock: Clock
    timeout_s: float

    def deadline(self) -> datetime:
        return deadline(self.clock.now(), self.timeout_s)

    def named(self, name: str) -> Carrier:
        """Raises OutsideUnavailable for one that has parcels and is no longer among the settings."""
        carrier = self.by_name.get(name)
        if carrier is None:
            raise OutsideUnavailable(f"carrier {name!r} is not in use: see ORDERFLOW_CARRIERS")
        return carrier

    def guard(self, before: Shipment, event: object) -> Guard | None:
        """Who must admit the call whose intent this event is. Nobody while it is open what became of a
        parcel: what is known of that is recorded first, and a carrier that cannot be asked is passed over.
        """
        if before.status == "creating" or not isinstance(event, CreateStarted | CancelStarted):
            return None
        return guard_of(self.named(event.carrier if isinstance(event, CreateStarted) else before.carrier))

    async def offers(self, parcel: Parcel) -> tuple[tuple[Offer, ...], str]:
        """One a carrier, best first, and why there is none. One that cannot be asked for its prices now comes
        last: it may be the only one that serves the destination.
        """

        async def quoted(carrier: Carrier) -> Sequence[Offer] | NotServed:
            try:
                return await carrier.quote(parcel)
            except TRANSIENT as error:
                log(logger, logging.WARNING, "no prices", carrier=carrier.name, error=repr(error))
                return [Offer(carrier.name, "", None, None)]

        found = await asyncio.gather(*(quoted(carrier) for carrier in self.by_name.values()))
        reasons = [each.reason for each in found if isinstance(each, NotServed)]
        offers = [offer for each in found if not isinstance(each, NotServed) for offer in each]
        return rank(offers, parcel.delivery, parcel.currency), (*reasons, NOT_SERVED)[0]


def create_call(carriers: Carriers, state: Shipment, intent: Intent, parcel: Parcel | None) -> Call:
    """`parcel` is there when this delivery may make the call: it alone has the address."""

    async def call() -> ShipmentCommand:
        assert parcel is not None  # noqa: S101  (only its delivery opens this intent)
        key = command_id(parcel.parcel_id, CREATE)
        try:
            result = await carriers.named(state.carrier).create(key, parcel, state.service)
        except OutsideUnavailable:
            return CarrierIsDown(intent.attempt, carriers.deadline())
        return RecordCreate(result, intent.attempt, carriers.deadline())

    async def find() -> ShipmentCommand:
        found = await carriers.named(state.carrier).find_shipment(state.order_id)
        limit = carriers.deadline()
        if found is None:
            return ShipmentNotFound(intent.attempt, limit)
        return RecordCreate(found, intent.attempt, limit)

    return OutsideCall(intent, CreateStarted, call, find)


def cancel_call(carriers: Carriers, state: Shipment, intent: Intent) -> Call:
    async def call() -> ShipmentCommand:
        key = command_id(state.order_id, CANCEL)
        carrier = carriers.named(state.carrier)
        return RecordCancel(await carrier.cancel(key, state.order_id, state.shipment_id))

    async def find() -> ShipmentCommand:
        carrier = carriers.named(state.carrier)
        found = await carrier.find_cancellation(state.order_id, state.shipment_id)
        if found is None:
            return CancellationNotFound(intent.attempt, carriers.deadline())
        return RecordCancel(found)

    return OutsideCall(intent, CancelStarted, call, find)
