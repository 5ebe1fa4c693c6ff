"""The order saga as a table: each step's do and undo on adjacent lines."""

from dataclasses import dataclass

from core.contracts import contract_name
from services.inventory.messages import Rejected, Release, Released, Reserve, Reserved
from services.payments.messages import Charge, Charged, Declined, PaymentPending, Refund, Refunded
from services.shipping.messages import (
    CancelShipment,
    CreateShipment,
    ShipmentCancelled,
    ShipmentCreated,
    ShipmentRefused,
)


@dataclass(frozen=True, slots=True)
class Call:
    """An activity, the command that it sends, and what the service may answer; `pending` is what it may say
    before, of an answer that takes long."""

    activity: str
    command: type
    succeeded: type
    refused: type | None = None
    pending: type | None = None

    @property
    def command_type(self) -> str:
        return contract_name(self.command)

    @property
    def success(self) -> str:
        return contract_name(self.succeeded)

    @property
    def refusal(self) -> str | None:
        return None if self.refused is None else contract_name(self.refused)


@dataclass(frozen=True, slots=True)
class Step:
    """cancellable: the customer may cancel while this step is under way. Where not, a cancellation can only
    have come before the step was sent."""

    name: str
    do: Call
    undo: Call
    cancellable: bool = True


ORDER_SAGA = (
    Step(
        "inventory",
        do=Call("request_inventory", Reserve, Reserved, Rejected),
        undo=Call("release_inventory", Release, Released),
    ),
    Step(
        "payment",
        do=Call("request_payment", Charge, Charged, Declined, PaymentPending),
        undo=Call("refund_payment", Refund, Refunded),
    ),
    Step(
        "shipping",
        do=Call("request_shipment", CreateShipment, ShipmentCreated, ShipmentRefused),
        undo=Call("cancel_shipment", CancelShipment, ShipmentCancelled),
        cancellable=False,
    ),
)
AWAIT_PAYMENT = "await_payment"
COMPLETE = "complete_order"
CANCEL = "cancel_order"
REPORT_ATTENTION = "report_attention"

BY_NAME = {step.name: step for step in ORDER_SAGA}
