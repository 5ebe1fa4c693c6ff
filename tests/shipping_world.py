"""Shipping with carriers that allow no second shipment, and gates around each of their calls."""

from collections.abc import Sequence

import orjson

from core.contracts import contract_name
from core.decider import fold, history, load
from core.envelope import Envelope, command_id, wrap
from core.outside_call import OutcomeUnknown, OutsideUnavailable
from services.shipping.calls import Carriers
from services.shipping.carrier import Carrier, Parcel
from services.shipping.decider import SHIPMENTS
from services.shipping.handlers import handle_command
from services.shipping.label import LabelFormat
from services.shipping.messages import (
    Address,
    CancelShipment,
    CreateShipment,
    ShipmentCancelled,
    ShipmentCreated,
    ShipmentRefused,
)
from services.shipping.offers import Offer
from services.shipping.tracking import News
from tests.fakes import START, FakeBus, FakeDocuments, FakeLoopClock
from tests.interleaving import (
    Gates,
)
from tests.strict_outside import StrictOutside

ORDER = "ord-1"


ADDRESS = Address("Ada", "1 Main Street", "London", "N1 1AA", "GB")


TIMEOUT_S = 10.0


class StrictCarrier(Carrier):
    """`live` are the shipments of all carriers that exist and are not cancelled: never two."""

    def __init__(
        self, gate: Gates, refuses: bool, lands_late: bool, name: str = "strict", live: set[str] | None = None
    ) -> None:
        self.outside = StrictOutside(gate, lands_late)
        self.refuses = refuses
        self._name = name
        self.live = set() if live is None else live
        self.down = False
        self.shipments: list[ShipmentCreated | ShipmentRefused] = []
        self.cancellations: list[ShipmentCancelled] = []

    @property
    def name(self) -> str:
        return self._name

    async def quote(self, parcel: Parcel) -> Sequence[Offer]:
        return [Offer(self.name, "parcel", 100, 1)]

    async def create(self, key: str, parcel: Parcel, service: str) -> ShipmentCreated | ShipmentRefused:
        if self.down:
            raise OutsideUnavailable(f"{self.name} is down")
        before = len(self.shipments)
        try:
            return await self.outside.do(key, lambda: self.create_now(parcel.parcel_id))
        except OutsideUnavailable as error:
            if len(self.shipments) > before:
                # A carrier that took the parcel must not say that it did nothing.
                raise OutcomeUnknown("the answer was lost") from error
            raise

    def create_now(self, parcel_id: str) -> ShipmentCreated | ShipmentRefused:
        number = len(self.shipments) + 1
        id = f"shp-{number}" if self.name == "strict" else f"{self.name}-{number}"
        created = ShipmentCreated(parcel_id, id, "TRK1", self.name)
        self.shipments.append(ShipmentRefused(parcel_id, "not_served") if self.refuses else created)
        if not self.refuses:
            self.live.add(id)
            assert len(self.live) == 1, f"two live shipments: {self.live}"
        return self.shipments[-1]

    async def find_shipment(self, parcel_id: str) -> ShipmentCreated | ShipmentRefused | None:
        return await self.outside.find(self.shipments)

    async def cancel(self, key: str, parcel_id: str, shipment_id: str) -> ShipmentCancelled:
        return await self.outside.do(key, lambda: self._cancel_now(parcel_id, shipment_id))

    def _cancel_now(self, parcel_id: str, shipment_id: str) -> ShipmentCancelled:
        self.live.discard(shipment_id)
        self.cancellations.append(ShipmentCancelled(parcel_id))
        return self.cancellations[-1]

    async def find_cancellation(self, parcel_id: str, shipment_id: str) -> ShipmentCancelled | None:
        return await self.outside.find(self.cancellations)

    async def track(self, parcel_id: str, shipment_id: str) -> Sequence[News]:
        return []

    async def label(self, parcel_id: str, shipment_id: str, format: LabelFormat) -> bytes | None:
        return None


def command(name: str) -> Envelope:
    data = CreateShipment(ORDER, ADDRESS, "standard", 2) if name == "create" else CancelShipment(ORDER)
    type = contract_name(data.__class__)
    return wrap(
        data,
        id=command_id(ORDER, type),
        source="orders",
        subject=ORDER,
        time=START,
        correlation_id=ORDER,
        causation_id=f"{ORDER}:orders:4",
    )


class World:
    def __init__(self, refuses: bool = False, lands_late: bool = False) -> None:
        self.gates = Gates(lambda delivery, n: "go")
        self.clock = FakeLoopClock()
        self.documents = FakeDocuments(self.clock, before=self.gates, after=self.gates)
        self.bus = FakeBus(self.clock, before=self.gates, after=self.gates)
        self.carrier = StrictCarrier(self.gates, refuses, lands_late)

    def carriers(self) -> Carriers:
        return Carriers({"strict": self.carrier}, self.clock, TIMEOUT_S)

    async def handle(self, name: str) -> None:
        await handle_command(self.documents, self.bus, self.carriers(), command(name))

    def replies(self, name: str) -> set[tuple[str, bytes]]:
        """The different answers that were sent to a command."""
        return {
            (body["type"], orjson.dumps(body["data"]))
            for body in (orjson.loads(message.body) for message in self.bus.sent["order-replies"])
            if body["causationid"] == f"{ORDER}:shipping.{name}"
        }

    async def check(self, delivered: Sequence[str]) -> None:
        await self.carrier.outside.landed()
        created = [one for one in self.carrier.shipments if isinstance(one, ShipmentCreated)]
        assert not self.carrier.outside.overlapped, "two calls were in flight at once"
        assert len(self.carrier.shipments) <= 1, "created twice"
        assert len(self.carrier.cancellations) <= len(created), "cancelled twice"
        live = len(created) - len(self.carrier.cancellations)
        for name in delivered:
            assert len(self.replies(name)) == 1, f"{name} was answered {self.replies(name)}"
        state = (await load(self.documents, SHIPMENTS, ORDER)).state
        events = await history(self.documents, SHIPMENTS, ORDER)
        assert fold(SHIPMENTS, SHIPMENTS.initial, [event.data for event in events]) == state
        assert (state.status == "created") == (live == 1)
        assert state.intent is None
        answers = {type for name in delivered for type, _ in self.replies(name)}
        if "cancel" in delivered:
            assert live == 0
        elif "create" in delivered:
            assert ("shipping.created" in answers) == (live == 1)
