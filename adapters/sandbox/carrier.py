"""A carrier without parcels. The delivery product chooses what happens:

    sandbox-refused            the shipment is refused
    sandbox-outage-<seconds>   out of service for that long, from the first call for this order
    sandbox-slow-<seconds>     answers after that long
    sandbox-no-answer          never answers, and creates nothing
    sandbox-created-no-answer  creates, and never answers
    anything else              created

A shipment costs one document request.
"""

import asyncio

from adapters.sandbox.behaviour import (
    CONTAINER,
    SandboxRefusal,
    find,
    never_answer,
    outage,
    remember,
    seconds,
)
from core.clock import Clock
from core.documents import Documents, PreconditionFailed, SetField, Where
from core.json import JsonObject
from services.shipping.carrier import Carrier
from services.shipping.messages import Address, ShipmentCancelled, ShipmentCreated, ShipmentRefused


class SandboxCarrier(Carrier):
    def __init__(self, documents: Documents, clock: Clock) -> None:
        self._documents = documents
        self._clock = clock

    async def create(
        self, key: str, order_id: str, address: Address, delivery: str, pieces: int
    ) -> ShipmentCreated | ShipmentRefused:
        if (for_s := seconds(delivery, "sandbox-outage-")) is not None:
            await outage(self._documents, self._clock, f"shipment-outage:{order_id}", for_s)
        if (for_s := seconds(delivery, "sandbox-slow-")) is not None:
            await asyncio.sleep(for_s)
        if delivery == "sandbox-no-answer":
            await never_answer()
        refused = delivery == "sandbox-refused"
        shipment, new = await remember(
            self._documents,
            {
                "id": f"shipment:{order_id}",
                "kind": "shipment",
                "order_id": order_id,
                "key": key,
                "pieces": pieces,
                "status": "refused" if refused else "created",
                "reason": "address_not_served" if refused else "",
                "at": self._clock.now().isoformat(),
            },
        )
        if shipment["key"] != key:
            raise SandboxRefusal(f"{order_id}: created before, under another key")
        if new and delivery == "sandbox-created-no-answer":
            await never_answer()
        return _result(shipment)

    async def find_shipment(self, order_id: str) -> ShipmentCreated | ShipmentRefused | None:
        shipment = await find(self._documents, f"shipment:{order_id}")
        return None if shipment is None else _result(shipment)

    async def cancel(self, key: str, order_id: str, shipment_id: str) -> ShipmentCancelled:
        id = f"shipment:{order_id}"
        shipment = await find(self._documents, id)
        if shipment is None or shipment["status"] == "refused":
            raise SandboxRefusal(f"{order_id}: there is no shipment {shipment_id} to cancel")
        changes = [
            SetField("status", "cancelled"),
            SetField("cancel_key", key),
            SetField("cancelled_at", self._clock.now().isoformat()),
        ]
        try:
            await self._documents.patch(CONTAINER, id, id, changes, [Where("status", "=", "created")])
        except PreconditionFailed as error:
            again = await find(self._documents, id)
            if again is None or again.get("cancel_key") != key:
                raise SandboxRefusal(f"{order_id}: cancelled before, under another key") from error
        return ShipmentCancelled(order_id)

    async def find_cancellation(self, order_id: str) -> ShipmentCancelled | None:
        shipment = await find(self._documents, f"shipment:{order_id}")
        if shipment is None or shipment["status"] != "cancelled":
            return None
        return ShipmentCancelled(order_id)


def _result(shipment: JsonObject) -> ShipmentCreated | ShipmentRefused:
    order_id = str(shipment["order_id"])
    if shipment["status"] == "refused":
        return ShipmentRefused(order_id, str(shipment["reason"]))
    return ShipmentCreated(order_id, f"shp-{order_id}", f"TRK{order_id.removeprefix('ord-').upper()}")
