"""What shipping is told and what it answers."""

from dataclasses import dataclass

from core.contracts import contract


@dataclass(frozen=True, slots=True)
class Address:
    """`country` is an ISO 3166-1 alpha-2 code."""

    name: str
    street: str
    city: str
    postal_code: str
    country: str


@contract("shipping.create")
@dataclass(frozen=True, slots=True)
class CreateShipment:
    """`delivery` is the carrier's product, `pieces` the number of articles in the parcel."""

    order_id: str
    address: Address
    delivery: str
    pieces: int


@contract("shipping.created")
@dataclass(frozen=True, slots=True)
class ShipmentCreated:
    order_id: str
    shipment_id: str
    tracking_number: str


@contract("shipping.refused")
@dataclass(frozen=True, slots=True)
class ShipmentRefused:
    """`reason` is the carrier's code, or `cancelled` (the undo came first)."""

    order_id: str
    reason: str


@contract("shipping.cancel")
@dataclass(frozen=True, slots=True)
class CancelShipment:
    """Undoes `shipping.create`."""

    order_id: str


@contract("shipping.cancelled")
@dataclass(frozen=True, slots=True)
class ShipmentCancelled:
    order_id: str
