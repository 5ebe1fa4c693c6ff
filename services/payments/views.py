"""A payment as it is shown."""

from typing import TypedDict

from core.decider import Rejection, load
from core.documents import Documents
from services.payments.decider import PAYMENTS
from services.payments.state import PartStatus, PaymentStatus


class RefundView(TypedDict):
    """Of a part, for a return."""

    return_id: str
    amount: int
    status: PartStatus
    reason: str


class PaymentView(TypedDict):
    """Amounts are in minor units. While the charge waits: for what (`pending_reason`), and where the customer
    must go, if that is it (`action_url`).
    """

    order_id: str
    status: PaymentStatus
    amount: int
    charged: int
    refunded: int
    currency: str
    payment_id: str
    reason: str
    action_url: str
    pending_reason: str
    refunds: list[RefundView]
    version: int


class PaymentNotFound(Rejection):
    def __init__(self) -> None:
        super().__init__("payment_not_found", "there is no payment of this order")


async def read_payment(documents: Documents, order_id: str) -> PaymentView:
    """One point read. Raises PaymentNotFound."""
    loaded = await load(documents, PAYMENTS, order_id)
    if not loaded.version:
        raise PaymentNotFound
    state = loaded.state
    return {
        "order_id": order_id,
        "status": state.status,
        "amount": state.amount,
        "charged": state.charged,
        "refunded": state.refunded,
        "currency": state.currency,
        "payment_id": state.payment_id or state.pending_id,
        "reason": state.reason,
        "action_url": state.action_url,
        "pending_reason": state.pending_reason if state.status == "pending" else "",
        "refunds": [
            {
                "return_id": part.return_id,
                "amount": part.amount,
                "status": part.status,
                "reason": part.reason,
            }
            for part in state.parts
        ],
        "version": loaded.version,
    }
