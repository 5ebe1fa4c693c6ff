"""What can be asked of an order: by the customer (from Place to RequestReplacement), by the carrier
(RecordDelivery, RecordReturnToSender), and by the saga (all others). return_commands.py has what can be asked
of its returns.
"""

from dataclasses import dataclass
from datetime import datetime

from services.orders.events import OrderLine, ShippingAddress
from services.orders.return_commands import ReturnCommand


@dataclass(frozen=True, slots=True)
class Place:
    """`request_digest` is of the whole request, so that the same key with another body is told apart."""

    order_id: str
    customer_id: str
    currency: str
    lines: tuple[OrderLine, ...]
    shipping_address: ShippingAddress
    payment_method: str
    delivery: str
    request_digest: str
    replaces: str = ""


@dataclass(frozen=True, slots=True)
class RequestCancel:
    reason: str


@dataclass(frozen=True, slots=True)
class ChangeAddress:
    shipping_address: ShippingAddress


@dataclass(frozen=True, slots=True)
class RequestReplacement:
    """`replacement_id` is made of the order's id and the client's key. No `payment_method`: the order's."""

    replacement_id: str
    lines: tuple[OrderLine, ...]
    request_digest: str
    payment_method: str = ""


@dataclass(frozen=True, slots=True)
class RecordReservation:
    pass


@dataclass(frozen=True, slots=True)
class RecordPendingPayment:
    """The charge has not ended, and the saga waits for it until `until`."""

    reason: str
    until: datetime


@dataclass(frozen=True, slots=True)
class RecordPayment:
    """Shipping is requested in the same batch, unless the customer cancelled before."""

    payment_id: str
    amount: int
    currency: str


@dataclass(frozen=True, slots=True)
class RecordShipment:
    """The last step succeeded: the order is completed in the same batch."""

    shipment_id: str
    tracking_number: str


@dataclass(frozen=True, slots=True)
class Undone:
    """The undo of `step` was answered. `amount` and `currency` belong to the payment's."""

    step: str
    amount: int = 0
    currency: str = ""


@dataclass(frozen=True, slots=True)
class Attention:
    """The undo of `step` was not answered after so many attempts."""

    step: str
    attempts: int


@dataclass(frozen=True, slots=True)
class RecordCancellation:
    """The order is being cancelled; what of it was undone or could not be; with `finish`, that this is all.

    `undo` names the steps to undo, in order; a step that was refused did nothing and is not among them. What
    the stream already says of reason and steps stands. An order that is to be replaced is finished only when
    `replacement_placed`.
    """

    reason: str
    undo: tuple[str, ...]
    undone: Undone | None = None
    attention: Attention | None = None
    finish: bool = False
    replacement_placed: bool = False


@dataclass(frozen=True, slots=True)
class NoteLateReply:
    reply_type: str
    reply_id: str


@dataclass(frozen=True, slots=True)
class RecordDelivery:
    """The carrier's news; `shipment_id` says of which parcel."""

    shipment_id: str
    delivered_at: datetime


@dataclass(frozen=True, slots=True)
class RecordReturnToSender:
    """As RecordDelivery: the parcel comes back instead."""

    shipment_id: str
    returned_at: datetime
    detail: str


type OrderCommand = (
    Place
    | RequestCancel
    | ChangeAddress
    | RequestReplacement
    | RecordReservation
    | RecordPendingPayment
    | RecordPayment
    | RecordShipment
    | RecordCancellation
    | NoteLateReply
    | RecordDelivery
    | RecordReturnToSender
    | ReturnCommand
)
