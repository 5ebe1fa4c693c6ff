"""What can be asked of a return: by the customer (RequestReturn, CancelReturn), by the people who handle it
(Approve, Reject, Receive, Inspect, Settle) and by its saga (all others).
"""

from dataclasses import dataclass

from services.orders.return_events import InspectedLine, ReturnLine


@dataclass(frozen=True, slots=True)
class RequestReturn:
    """`window_s`: for how long after it was completed an order's goods are taken back without a question."""

    lines: tuple[ReturnLine, ...]
    request_key: str
    request_digest: str
    window_s: float


@dataclass(frozen=True, slots=True)
class ApproveReturn:
    return_id: str
    approved_by: str


@dataclass(frozen=True, slots=True)
class RejectReturn:
    return_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class CancelReturn:
    return_id: str


@dataclass(frozen=True, slots=True)
class ReceiveReturn:
    """`by_carrier`: the carrier says so, and not somebody who has the parcel in his hands."""

    return_id: str
    by_carrier: bool = False


@dataclass(frozen=True, slots=True)
class InspectReturn:
    return_id: str
    lines: tuple[InspectedLine, ...]


@dataclass(frozen=True, slots=True)
class SettleReturn:
    return_id: str
    note: str


@dataclass(frozen=True, slots=True)
class RecordLabel:
    return_id: str
    shipment_id: str
    tracking_number: str


@dataclass(frozen=True, slots=True)
class RecordRestock:
    return_id: str


@dataclass(frozen=True, slots=True)
class RecordReturnRefund:
    """The last step succeeded: the return is completed in the same batch."""

    return_id: str
    amount: int
    currency: str


@dataclass(frozen=True, slots=True)
class StartReturnCancellation:
    """Nothing, when the parcel was received meanwhile: the state says which was first."""

    return_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class FinishReturnCancellation:
    """`label_cancelled`: the undo of the label was answered."""

    return_id: str
    label_cancelled: bool


@dataclass(frozen=True, slots=True)
class RecordReturnAttention:
    return_id: str
    step: str
    reason: str
    attempts: int


type ReturnCommand = (
    RequestReturn
    | ApproveReturn
    | RejectReturn
    | CancelReturn
    | ReceiveReturn
    | InspectReturn
    | SettleReturn
    | RecordLabel
    | RecordRestock
    | RecordReturnRefund
    | StartReturnCancellation
    | FinishReturnCancellation
    | RecordReturnAttention
)
