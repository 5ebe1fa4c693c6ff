"""Two carriers without parcels: `sandbox-post`, cheap, slow and everywhere, and `sandbox-express`.

The delivery product chooses what happens, at both:

    sandbox-refused              the shipment is refused
    sandbox-outage-<seconds>     out of service for that long, from the first call for this order
    sandbox-slow-<seconds>       answers after that long
    sandbox-no-answer            never answers, and creates nothing
    sandbox-created-no-answer    creates, and never answers
    sandbox-late-<seconds>       never answers, and creates after that long
    sandbox-delivers-<seconds>   created; in transit, out for delivery and delivered, the last after that long
    sandbox-exception-<seconds>  created; damaged after that long
    sandbox-returned-<seconds>   created; goes back to the sender after that long
    sandbox-silent-<seconds>     delivered after that long, and no webhook says so
    anything else                created

or at one of them: `sandbox-post-refused`, `sandbox-express-outage-5`, and so on.

A shipment costs one document request, a quote none. A webhook is sent as the message on the queue `shipping`
that the endpoint makes of one, enqueued for the moment when it happens.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
from services.shipping.carrier import Carrier, Notice, Parcel
from services.shipping.label import LabelFormat
from services.shipping.messages import (
    ShipmentCancelled,
    ShipmentCreated,
    ShipmentRefused,
    TrackingStatus,
)
from services.shipping.offers import Offer
from services.shipping.tracking import News
from services.shipping.webhooks import track_parcel

QUEUE: Final = "shipping"
WEBHOOKS: Final = "sandbox"

HOME: Final = "GB"
CURRENCY: Final = "GBP"
_NEAR: Final = frozenset({"GB", "IE", "FR", "BE", "NL", "LU", "DE", "AT", "CH", "DK", "ES", "PT", "IT", "US"})
_NOBODY: Final = frozenset({"AQ"})


@dataclass(frozen=True, slots=True)
class Tariff:
    """Prices in minor units, times in days. What comes after the hour of the cut-off (UTC) goes a day later.

    serves: the countries of it; None: all that anybody serves.
    prefix: of its tracking numbers and its shipments' ids.
    """

    name: str
    prefix: str
    price: int
    per_piece: int
    abroad: int
    days: int
    days_abroad: int
    cut_off: int
    serves: frozenset[str] | None = None


POST: Final = Tariff("sandbox-post", "shp", 390, 40, 900, 2, 6, cut_off=17)
EXPRESS: Final = Tariff("sandbox-express", "exp", 990, 60, 1500, 1, 2, cut_off=12, serves=_NEAR)


def sandbox_carriers(documents: Documents, bus: Bus, clock: Clock) -> Mapping[str, Carrier]:
    return {tariff.name: SandboxCarrier(documents, bus, clock, tariff) for tariff in (POST, EXPRESS)}


class SandboxCarrier(Carrier):
    def __init__(self, documents: Documents, bus: Bus, clock: Clock, tariff: Tariff = POST) -> None:
        self._documents = documents
        self._bus = bus
        self._clock = clock
        self._tariff = tariff

    @property
    def name(self) -> str:
        return self._tariff.name

    async def quote(self, parcel: Parcel) -> Sequence[Offer]:
        tariff, country = self._tariff, parcel.address.country
        if country in _NOBODY or (tariff.serves is not None and country not in tariff.serves):
            return []
        abroad = country != HOME
        price = tariff.price + tariff.per_piece * parcel.pieces + (tariff.abroad if abroad else 0)
        days = tariff.days_abroad if abroad else tariff.days
        missed = self._clock.now().hour >= tariff.cut_off
        return [Offer(self.name, "parcel", price, days + missed, CURRENCY)]

    async def create(self, key: str, parcel: Parcel, service: str) -> ShipmentCreated | ShipmentRefused:
        id = self._id(parcel.parcel_id)
        does = self._behaviour(parcel.delivery)
        if (for_s := seconds(does, "sandbox-outage-")) is not None:
            await outage(self._documents, self._clock, f"shipment-outage:{parcel.parcel_id}", for_s)
        if (for_s := seconds(does, "sandbox-slow-")) is not None:
            await asyncio.sleep(for_s)
        if does == "sandbox-no-answer":
            await never_answer()
        refused = does == "sandbox-refused"
        late_s = seconds(does, "sandbox-late-")
        now = self._clock.now()
        shipment, new = await remember(
            self._documents,
            {
                "id": id,
                "kind": "shipment",
                "order_id": parcel.parcel_id,
                "carrier": self.name,
                "key": key,
                "delivery": does,
                "pieces": parcel.pieces,
                "status": "refused" if refused else "created",
                "reason": "address_not_served" if refused else "",
                "at": (now + timedelta(seconds=late_s or 0)).isoformat(),
            },
        )
        if shipment["key"] != key:
            raise SandboxRefusal(f"{parcel.parcel_id}: created before, under another key")
        if (new and does == "sandbox-created-no-answer") or not self._is_there(shipment):
            await never_answer()
        return await self._told(shipment)

    async def find_shipment(self, parcel_id: str) -> ShipmentCreated | ShipmentRefused | None:
        shipment = await find(self._documents, self._id(parcel_id))
        return await self._told(shipment) if shipment is not None and self._is_there(shipment) else None

    async def cancel(self, key: str, parcel_id: str, shipment_id: str) -> ShipmentCancelled:
        id = self._id(parcel_id)
        shipment = await find(self._documents, id)
        if shipment is None or shipment["status"] == "refused" or not self._is_there(shipment):
            raise SandboxRefusal(f"{parcel_id}: there is no shipment {shipment_id} to cancel")
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
                raise SandboxRefusal(f"{parcel_id}: cancelled before, under another key") from error
        return ShipmentCancelled(parcel_id)

    async def find_cancellation(self, parcel_id: str, shipment_id: str) -> ShipmentCancelled | None:
        shipment = await find(self._documents, self._id(parcel_id))
        if shipment is None or shipment["status"] != "cancelled":
            return None
        return ShipmentCancelled(parcel_id)

    async def track(self, parcel_id: str, shipment_id: str) -> Sequence[News]:
        shipment = await find(self._documents, self._id(parcel_id))
        now = self._clock.now()
        return [] if shipment is None else [news for news in _journey(shipment) if news.at <= now]

    async def label(self, parcel_id: str, shipment_id: str, format: LabelFormat) -> bytes | None:
        return None

    async def _told(self, shipment: JsonObject) -> ShipmentCreated | ShipmentRefused:
        """What became of it; the webhooks of its journey are sent (again: they may have been lost)."""
        result = self._result(shipment)
        if isinstance(result, ShipmentCreated) and not str(shipment["delivery"]).startswith(SILENT):
            for news in _journey(shipment):
                command = track_parcel(
                    Notice(result.shipment_id, news), result.order_id, WEBHOOKS, self._clock.now()
                )
                await self._bus.send(QUEUE, [replace(to_message(command), scheduled_for=news.at)])
        return result

    def _result(self, shipment: JsonObject) -> ShipmentCreated | ShipmentRefused:
        parcel_id = str(shipment["order_id"])
        if shipment["status"] == "refused":
            return ShipmentRefused(parcel_id, str(shipment["reason"]))
        prefix = self._tariff.prefix
        number = "TRK" if prefix == "shp" else prefix.upper()
        return ShipmentCreated(
            parcel_id,
            f"{prefix}-{parcel_id}",
            f"{number}{parcel_id.removeprefix('ord-').upper()}",
            self.name,
        )

    def _is_there(self, shipment: JsonObject) -> bool:
        return datetime.fromisoformat(str(shipment["at"])) <= self._clock.now()

    def _id(self, parcel_id: str) -> str:
        return f"{self.name}:{parcel_id}"

    def _behaviour(self, delivery: str) -> str:
        """`sandbox-post-refused` is `sandbox-refused` at the post, and nothing at the other."""
        for tariff in (POST, EXPRESS):
            if delivery.startswith(f"{tariff.name}-"):
                rest = delivery.removeprefix(f"{tariff.name}-")
                return f"sandbox-{rest}" if tariff == self._tariff else "standard"
        return delivery


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
