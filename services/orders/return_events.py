"""What can happen to a return: goods of a completed order on their way back, and the money for them.

requested -> approved (by the rule or an operator) -> label_created -> received -> inspected
    -> restocked -> refunded + completed
requested -> rejected
before the parcel is received: cancellation_started -> label_cancelled + cancelled
a step that does not succeed: needs_attention, and on with the step, or settled by an operator

They stand on the order's stream, so that no more is returned than was bought.
"""

from dataclasses import dataclass

from core.contracts import contract


@dataclass(frozen=True, slots=True)
class ReturnLine:
    """`line` counts the order's lines from 1: a SKU may be on several, at different prices."""

    line: int
    quantity: int
    reason: str


@dataclass(frozen=True, slots=True)
class InspectedLine:
    """What became of the pieces of one line: back on the shelf, written off, and how many are paid back.

    A piece that is neither restocked nor written off goes back to the customer, or never came.
    """

    line: int
    restocked: int
    written_off: int
    refunded: int


@contract("orders.return_requested")
@dataclass(frozen=True, slots=True)
class ReturnRequested:
    """`request_digest` tells a repeat of the request from another; `customer_id` is for those who tell the
    customer.
    """

    order_id: str
    return_id: str
    customer_id: str
    lines: tuple[ReturnLine, ...]
    request_key: str
    request_digest: str


@contract("orders.return_approved")
@dataclass(frozen=True, slots=True)
class ReturnApproved:
    """`approved_by` is `rule` or who did it."""

    order_id: str
    return_id: str
    customer_id: str
    approved_by: str


@contract("orders.return_rejected")
@dataclass(frozen=True, slots=True)
class ReturnRejected:
    order_id: str
    return_id: str
    customer_id: str
    reason: str


@contract("orders.return_label_created")
@dataclass(frozen=True, slots=True)
class ReturnLabelCreated:
    """The customer has what is needed to send the parcel."""

    order_id: str
    return_id: str
    customer_id: str
    shipment_id: str
    tracking_number: str


@contract("orders.return_received")
@dataclass(frozen=True, slots=True)
class ReturnReceived:
    """The parcel is here. From now on nothing is undone: the return is carried through."""

    order_id: str
    return_id: str


@contract("orders.return_parcel_unexpected")
@dataclass(frozen=True, slots=True)
class ReturnParcelUnexpected:
    """The carrier has delivered the parcel of a return that was `status`: cancelling, cancelled or rejected.
    What becomes of the goods is for people.
    """

    order_id: str
    return_id: str
    status: str


@contract("orders.return_inspected")
@dataclass(frozen=True, slots=True)
class ReturnInspected:
    """`refund` is what is given back for the lines, in minor units of the order's currency."""

    order_id: str
    return_id: str
    lines: tuple[InspectedLine, ...]
    refund: int


@contract("orders.return_restocked")
@dataclass(frozen=True, slots=True)
class ReturnRestocked:
    order_id: str
    return_id: str


@contract("orders.return_refunded")
@dataclass(frozen=True, slots=True)
class ReturnRefunded:
    order_id: str
    return_id: str
    customer_id: str
    amount: int
    currency: str


@contract("orders.return_completed")
@dataclass(frozen=True, slots=True)
class ReturnCompleted:
    order_id: str
    return_id: str


@contract("orders.return_cancel_requested")
@dataclass(frozen=True, slots=True)
class ReturnCancelRequested:
    """By the customer, before the parcel was received."""

    order_id: str
    return_id: str


@contract("orders.return_cancellation_started")
@dataclass(frozen=True, slots=True)
class ReturnCancellationStarted:
    """`reason` is `customer_request`, `approval_timed_out`, `label_failed:<code>`, `label_timed_out` or
    `parcel_not_received`.
    """

    order_id: str
    return_id: str
    reason: str


@contract("orders.return_label_cancelled")
@dataclass(frozen=True, slots=True)
class ReturnLabelCancelled:
    order_id: str
    return_id: str


@contract("orders.return_cancelled")
@dataclass(frozen=True, slots=True)
class ReturnCancelled:
    order_id: str
    return_id: str
    customer_id: str
    reason: str


@contract("orders.return_needs_attention")
@dataclass(frozen=True, slots=True)
class ReturnNeedsAttention:
    """`step` was refused, for `reason`, or had no answer (`no_answer`) after `attempts` attempts."""

    order_id: str
    return_id: str
    step: str
    reason: str
    attempts: int


@contract("orders.return_settled")
@dataclass(frozen=True, slots=True)
class ReturnSettled:
    """An operator has done by hand what did not succeed, or given it up; `note` says what."""

    order_id: str
    return_id: str
    note: str


type ReturnEvent = (
    ReturnRequested
    | ReturnApproved
    | ReturnRejected
    | ReturnLabelCreated
    | ReturnReceived
    | ReturnParcelUnexpected
    | ReturnInspected
    | ReturnRestocked
    | ReturnRefunded
    | ReturnCompleted
    | ReturnCancelRequested
    | ReturnCancellationStarted
    | ReturnLabelCancelled
    | ReturnCancelled
    | ReturnNeedsAttention
    | ReturnSettled
)
