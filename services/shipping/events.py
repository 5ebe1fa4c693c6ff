"""What can happen to a shipment, beside the answers in `messages.py`.

    (none) -> create_started -> created | refused
    created -> cancel_started -> cancelled
    (none), refused -> cancelled
    create_started -> cancel_wanted -> refused, cancelled | created, cancel_started -> cancelled
    create_started -> carrier_failed, create_started -> ...
    created -> tracked, looked_for ...
    after carrier_failed (no_answer), once it is decided who has the parcel:
        booking_looked_for -> ... | stray_booking_found -> stray_cancel_failed ... -> stray_booking_cancelled

A `create_started` after another, or a `cancel_started`, is the next attempt of a call whose outcome was
looked up and not found. The types in PUBLISHED also go to the topic `service-events`.
"""

from dataclasses import dataclass
from datetime import datetime

from core.contracts import contract, contract_name
from services.shipping.messages import (
    Address,
    ShipmentCancelled,
    ShipmentCreated,
    ShipmentRefused,
    TrackingStatus,
)
from services.shipping.offers import Offer


@contract("shipping.create_started")
@dataclass(frozen=True, slots=True)
class CreateStarted:
    """The intent to call the carrier. Until `deadline` only who recorded it may act on it.

    return_of: the order whose goods the parcel brings back; empty for the parcel of an order.
    carrier, service: who is asked, for what.
    offers, address, pieces: of the first attempt: all that may be asked, best first; the customer's address;
    how many articles are in the parcel.
    """

    order_id: str
    attempt: int
    deadline: datetime
    return_of: str = ""
    carrier: str = ""
    service: str = ""
    offers: tuple[Offer, ...] = ()
    address: Address | None = None
    pieces: int = 0


@contract("shipping.carrier_failed")
@dataclass(frozen=True, slots=True)
class CarrierFailed:
    """A carrier has no shipment of this parcel, and another is asked. `refused`: for good.

    look_at: of one that did not answer, and had none when it was looked up: when it is looked up again,
    because a request may be slower than anybody's patience.
    """

    order_id: str
    carrier: str
    reason: str
    refused: bool
    look_at: datetime | None = None


@contract("shipping.booking_looked_for")
@dataclass(frozen=True, slots=True)
class BookingLookedFor:
    """A carrier that had been given up was asked whether it has the parcel after all, and has none of its
    own; or could not be asked (`answered`). look_at: when it is asked again; None: no more.
    """

    order_id: str
    carrier: str
    answered: bool
    look_at: datetime | None


@contract("shipping.stray_booking_found")
@dataclass(frozen=True, slots=True)
class StrayBookingFound:
    """A carrier that had been given up has the parcel too. It is to be cancelled there, at `cancel_at`."""

    order_id: str
    carrier: str
    shipment_id: str
    tracking_number: str
    cancel_at: datetime


@contract("shipping.stray_cancel_failed")
@dataclass(frozen=True, slots=True)
class StrayCancelFailed:
    order_id: str
    carrier: str
    shipment_id: str
    cancel_at: datetime


@contract("shipping.stray_booking_cancelled")
@dataclass(frozen=True, slots=True)
class StrayBookingCancelled:
    order_id: str
    carrier: str
    shipment_id: str


@contract("shipping.parcel_needs_attention")
@dataclass(frozen=True, slots=True)
class ParcelNeedsAttention:
    """For people. `reason`: `carrier_not_reached` (whether it has the parcel too cannot be found out),
    `stray_not_cancelled`, `stray_moves`, `cancelled_moves` (the carrier moves what it was to forget),
    `no_news` (it is lost, perhaps), `returned_to_sender`.
    `return_id` is empty for the parcel of an order.
    """

    order_id: str
    return_id: str
    carrier: str
    shipment_id: str
    tracking_number: str
    reason: str


@contract("shipping.cancel_wanted")
@dataclass(frozen=True, slots=True)
class CancelWanted:
    """A cancellation was asked for while it was unknown whether the carrier had created the shipment."""

    order_id: str


@contract("shipping.cancel_started")
@dataclass(frozen=True, slots=True)
class CancelStarted:
    order_id: str
    attempt: int
    deadline: datetime


@contract("shipping.tracked")
@dataclass(frozen=True, slots=True)
class ParcelTracked:
    """What the carrier says; `at` is its time. News that come late are recorded and change nothing else."""

    order_id: str
    event_id: str
    status: TrackingStatus
    at: datetime
    detail: str


@contract("shipping.looked_for")
@dataclass(frozen=True, slots=True)
class ParcelLookedFor:
    """The carrier was asked, because nothing had been heard for so long, and had nothing new."""

    order_id: str


@contract("shipping.out_for_delivery")
@dataclass(frozen=True, slots=True)
class OutForDelivery:
    order_id: str
    shipment_id: str
    tracking_number: str
    at: datetime


@contract("shipping.delivered")
@dataclass(frozen=True, slots=True)
class ParcelDelivered:
    order_id: str
    shipment_id: str
    tracking_number: str
    at: datetime


@contract("shipping.exception")
@dataclass(frozen=True, slots=True)
class DeliveryException:
    """Something keeps the parcel: the carrier's words, `no_news`, or `returned_to_sender` of a parcel that
    was to bring goods back. `return_id` is empty for the parcel of an order.
    """

    order_id: str
    return_id: str
    shipment_id: str
    tracking_number: str
    at: datetime
    detail: str


@contract("shipping.returned_to_sender")
@dataclass(frozen=True, slots=True)
class ReturnedToSender:
    """The order's parcel was not delivered and comes back."""

    order_id: str
    shipment_id: str
    tracking_number: str
    at: datetime
    detail: str


@contract("shipping.return_received")
@dataclass(frozen=True, slots=True)
class ReturnReceived:
    """The parcel of a return was delivered to the shop."""

    order_id: str
    return_id: str
    shipment_id: str
    at: datetime


type Published = (
    OutForDelivery
    | ParcelDelivered
    | DeliveryException
    | ReturnedToSender
    | ReturnReceived
    | ParcelNeedsAttention
)

type ShipmentEvent = (
    CreateStarted
    | CarrierFailed
    | ShipmentCreated
    | ShipmentRefused
    | CancelWanted
    | CancelStarted
    | ShipmentCancelled
    | ParcelTracked
    | ParcelLookedFor
    | BookingLookedFor
    | StrayBookingFound
    | StrayCancelFailed
    | StrayBookingCancelled
    | Published
)

PUBLISHED = frozenset(
    contract_name(cls)
    for cls in (
        OutForDelivery,
        ParcelDelivered,
        DeliveryException,
        ReturnedToSender,
        ReturnReceived,
        ParcelNeedsAttention,
    )
)
