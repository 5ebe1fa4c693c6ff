"""A carrier under a policy. What bears a key or changes nothing may be repeated."""

from collections.abc import Sequence

from core.outside_policy import OutsidePolicy
from services.shipping.carrier import Carrier, Parcel
from services.shipping.label import LabelFormat
from services.shipping.messages import ShipmentCancelled, ShipmentCreated, ShipmentRefused
from services.shipping.offers import NotServed, Offer
from services.shipping.tracking import News


class ResilientCarrier(Carrier):
    def __init__(self, carrier: Carrier, guard: OutsidePolicy) -> None:
        self._carrier = carrier
        self.guard = guard

    @property
    def name(self) -> str:
        return self._carrier.name

    async def quote(self, parcel: Parcel) -> Sequence[Offer] | NotServed:
        return await self.guard.call(lambda: self._carrier.quote(parcel))

    async def create(self, key: str, parcel: Parcel, service: str) -> ShipmentCreated | ShipmentRefused:
        """Not repeated here: whether all attempts did nothing decides if another carrier may be asked, and
        only services/shipping/calls.py sees each.
        """
        return await self.guard.call(lambda: self._carrier.create(key, parcel, service), repeat=False)

    async def find_shipment(self, parcel_id: str) -> ShipmentCreated | ShipmentRefused | None:
        return await self.guard.call(lambda: self._carrier.find_shipment(parcel_id))

    async def cancel(self, key: str, parcel_id: str, shipment_id: str) -> ShipmentCancelled:
        return await self.guard.call(lambda: self._carrier.cancel(key, parcel_id, shipment_id))

    async def find_cancellation(self, parcel_id: str, shipment_id: str) -> ShipmentCancelled | None:
        return await self.guard.call(lambda: self._carrier.find_cancellation(parcel_id, shipment_id))

    async def track(self, parcel_id: str, shipment_id: str) -> Sequence[News]:
        return await self.guard.call(lambda: self._carrier.track(parcel_id, shipment_id))

    async def label(self, parcel_id: str, shipment_id: str, format: LabelFormat) -> bytes | None:
        return await self.guard.call(lambda: self._carrier.label(parcel_id, shipment_id, format))
