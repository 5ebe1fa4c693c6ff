"""A carrier without parcels. The delivery product chooses what happens:

    sandbox-refused            the shipment is refused
    sandbox-outage-<seconds>   out of service for that long, from the first call for this order
    sandbox-slow-<seconds>     answers after that long
    sandbox-no-answer          never answers, and creates nothing
    sandbox-created-no-answer  creates, and never answers
    sandbox-delivers-<seconds>   created; in transit, out for delivery and delivered, the last after that long
    sandbox-exception-<seconds>  created; damaged after that long
    sandbox-returned-<seconds>   created; goes back to the sender after that long
    sandbox-silent-<seconds>     delivered after that long, and no webhook says so
    anything else              created

A shipment costs one document request. A webhook is sent as the message on the queue `shipping` that the
endpoint makes of one, enqueued for the moment when it happens.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from adapters.sandbox.behaviour import (
    CONTAINER,
    SandboxRefusal,
    find,
    never_answer,
    outage,
    remember,
    seconds,
)
from core.bus import Bus
from core.clock import Clock
from core.documents import Documents, PreconditionFailed, SetField, Where
from core.envelope import to_message
from core.json import JsonObject
from services.shipping.carrier import Carrier, Notice
from services.shipping.messages import (
    Address,
    ShipmentCancelled,
    ShipmentCreated,
    ShipmentRefused,
    TrackingStatus,
)
from services.shipping.tracking import News
from services.shipping.webhooks import track_parcel

QUEUE: Final = "shipping"
CARRIER: Final = "sandbox"


class SandboxCarrier(Carrier):
    def __init__(self, documents: Documents, bus: Bus, clock: Clock) -> None:
        self._documents = documents
        self._bus = bus
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
                "delivery": delivery,
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
        return await self._told(shipment)

    async def find_shipment(self, order_id: str) -> ShipmentCreated | ShipmentRefused | None:
        shipment = await find(self._documents, f"shipment:{order_id}")
        return None if shipment is None else await self._told(shipment)

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

    async def track(self, order_id: str, shipment_id: str) -> Sequence[News]:
        shipment = await find(self._documents, f"shipment:{order_id}")
        now = self._clock.now()
        return [] if shipment is None else [news for news in _journey(shipment) if news.at <= now]

    async def _told(self, shipment: JsonObject) -> ShipmentCreated | ShipmentRefused:
        """What became of it; the webhooks of its journey are sent (again: they may have been lost)."""
        result = _result(shipment)
        if isinstance(result, ShipmentCreated) and not str(shipment["delivery"]).startswith(SILENT):
            for news in _journey(shipment):
                command = track_parcel(
                    Notice(result.shipment_id, news), result.order_id, CARRIER, self._clock.now()
                )
                await self._bus.send(QUEUE, [replace(to_message(command), scheduled_for=news.at)])
        return result


SILENT: Final = "sandbox-silent-"


def _journey(shipment: JsonObject) -> Sequence[News]:
    """All that will ever be told of it, the last at the time that its product names."""
    delivery, order_id = str(shipment["delivery"]), str(shipment["order_id"])
    created = datetime.fromisoformat(str(shipment["at"]))

    def news(status: TrackingStatus, after_s: float, detail: str = "") -> News:
        return News(f"evt-{order_id}-{status}", status, created + timedelta(seconds=after_s), detail)

    if shipment["status"] != "created":
        return []
    for product in ("sandbox-delivers-", SILENT):
        if (after_s := seconds(delivery, product)) is not None:
            return [
                news("in_transit", after_s / 3),
                news("out_for_delivery", after_s * 2 / 3),
                news("delivered", after_s),
            ]
    if (after_s := seconds(delivery, "sandbox-exception-")) is not None:
        return [news("exception", after_s, "damaged")]
    if (after_s := seconds(delivery, "sandbox-returned-")) is not None:
        return [news("returned_to_sender", after_s, "recipient_not_found")]
    return []


def _result(shipment: JsonObject) -> ShipmentCreated | ShipmentRefused:
    order_id = str(shipment["order_id"])
    if shipment["status"] == "refused":
        return ShipmentRefused(order_id, str(shipment["reason"]))
    return ShipmentCreated(order_id, f"shp-{order_id}", f"TRK{order_id.removeprefix('ord-').upper()}")
