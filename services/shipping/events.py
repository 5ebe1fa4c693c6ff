"""What can happen to a shipment, beside the answers in `messages.py`.

    (none) -> create_started -> created | refused
    created -> cancel_started -> cancelled
    (none), refused -> cancelled
    create_started -> cancel_wanted -> refused, cancelled | created, cancel_started -> cancelled

A `create_started` after another, or a `cancel_started`, is the next attempt of a call whose outcome was
looked up and not found.
"""

from dataclasses import dataclass
from datetime import datetime

from core.contracts import contract
from services.shipping.messages import ShipmentCancelled, ShipmentCreated, ShipmentRefused


@contract("shipping.create_started")
@dataclass(frozen=True, slots=True)
class CreateStarted:
    """The intent to call the carrier. Until `deadline` only who recorded it may act on it."""

    order_id: str
    attempt: int
    deadline: datetime


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


type ShipmentEvent = (
    CreateStarted | ShipmentCreated | ShipmentRefused | CancelWanted | CancelStarted | ShipmentCancelled
)
