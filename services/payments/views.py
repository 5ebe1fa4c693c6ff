"""A payment as it is shown."""

from core.decider import Rejection, load
from core.documents import Documents
from core.json import JsonObject
from services.payments.decider import PAYMENTS


class PaymentNotFound(Rejection):
    def __init__(self) -> None:
        super().__init__("payment_not_found", "there is no payment of this order")


async def read_payment(documents: Documents, order_id: str) -> JsonObject:
    """One point read. Amounts are in minor units. Raises PaymentNotFound."""
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
