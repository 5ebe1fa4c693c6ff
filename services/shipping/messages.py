"""What shipping is told and what it answers.

The answers are also the events that say so in the shipment's own stream.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from core.contracts import Id, contract

type TrackingStatus = Literal[
    "in_transit", "out_for_delivery", "delivered", "exception", "returned_to_sender"
]


@dataclass(frozen=True, slots=True)
class Address:
    """`country` is an ISO 3166-1 alpha-2 code."""

    name: str
    street: str
    city: str
    postal_code: str
    country: str


@dataclass(frozen=True, slots=True)
class Content:
    """The pieces of one SKU in a parcel; `value` is that of all of them, in minor units."""

    sku: str
    quantity: Annotated[int, Field(gt=0, lt=2**53)]
    value: Annotated[int, Field(ge=0, lt=2**53)]


@contract("shipping.create")
@dataclass(frozen=True, slots=True)
class CreateShipment:
    """`delivery` is what the customer chose: `standard`, `express`, `economy` or a carrier's own product;
    `pieces` the number of articles in the parcel; `contents`, valued in `currency`, what a customs form says.
    """

    order_id: Id
    address: Address
    delivery: str
    pieces: Annotated[int, Field(gt=0, lt=2**53)]
    contents: tuple[Content, ...] = ()
    currency: str = ""


@contract("shipping.created")
@dataclass(frozen=True, slots=True)
class ShipmentCreated:
    order_id: str
    shipment_id: str
    tracking_number: str
    carrier: str = ""


@contract("shipping.refused")
@dataclass(frozen=True, slots=True)
class ShipmentRefused:
    """`reason` is the code of the last carrier that refused, or of one that makes no offer when nobody does,
    `not_served` without one, or `cancelled` (the undo came first, or before the outcome was known).
    """

    order_id: str
    reason: str


@contract("shipping.cancel")
@dataclass(frozen=True, slots=True)
class CancelShipment:
    """Undoes `shipping.create`."""

    order_id: Id


@contract("shipping.cancelled")
@dataclass(frozen=True, slots=True)
class ShipmentCancelled:
    """Also when there was nothing to cancel."""

    order_id: str


@contract("shipping.create_return")
@dataclass(frozen=True, slots=True)
class CreateReturn:
    """A label with which the customer, at `address`, sends goods back. Else as `shipping.create`."""

    order_id: Id
    return_id: Id
    address: Address
    delivery: str
    pieces: Annotated[int, Field(gt=0, lt=2**53)]
    contents: tuple[Content, ...] = ()
    currency: str = ""


@contract("shipping.return_created")
@dataclass(frozen=True, slots=True)
class ReturnCreated:
    order_id: str
    return_id: str
    shipment_id: str
    tracking_number: str
    carrier: str = ""


@contract("shipping.return_refused")
@dataclass(frozen=True, slots=True)
class ReturnRefused:
    """`reason` as in `shipping.refused`."""

    order_id: str
    return_id: str
    reason: str


@contract("shipping.cancel_return")
@dataclass(frozen=True, slots=True)
class CancelReturn:
    """Undoes `shipping.create_return`."""

    order_id: Id
    return_id: Id


@contract("shipping.return_cancelled")
@dataclass(frozen=True, slots=True)
class ReturnCancelled:
    """Also when there was nothing to cancel."""

    order_id: str
    return_id: str


@contract("shipping.track")
@dataclass(frozen=True, slots=True)
class TrackParcel:
    """The carrier says, by its event `event_id`, what became of a parcel at that time. Nobody waits for an
    answer.

    parcel_id: the order's id or, of a parcel that comes back, the return's.
    """

    parcel_id: Id
    shipment_id: str
    event_id: Id
    status: TrackingStatus
    at: datetime
    detail: str = ""


@contract("shipping.check_bookings")
@dataclass(frozen=True, slots=True)
class CheckBookings:
    """Carriers that were given up, when the stream stood at `version`, are to be looked up, or strays to be
    cancelled, unless something happened since.
    """

    parcel_id: Id
    version: Annotated[int, Field(gt=0, lt=2**53)]


@contract("shipping.check_parcel")
@dataclass(frozen=True, slots=True)
class CheckParcel:
    """Nothing was heard of a parcel since its stream came to `version`: ask the carrier, unless something
    was since.
    """

    parcel_id: Id
    version: Annotated[int, Field(gt=0, lt=2**53)]
