"""From a webhook to the queue: what a gateway tells becomes a command of payments."""

from datetime import datetime

from core.contracts import contract_name
from core.envelope import Envelope, command_id, wrap
from core.telemetry import child_traceparent, root_traceparent
from services.payments.gateway import Notice
from services.payments.messages import CheckCharge


def check_charge(notice: Notice, provider: str, now: datetime) -> Envelope:
    """The same webhook is the same command, however often it is delivered."""
    id = command_id(notice.order_id, contract_name(CheckCharge), notice.event_id)
    return wrap(
        CheckCharge(notice.order_id, notice.payment_id, notice.event_id, notice.news),
        id=id,
        source=f"webhooks.{provider}",
        subject=notice.order_id,
        time=now,
        correlation_id=notice.order_id,
        causation_id=notice.event_id,
        traceparent=child_traceparent(root_traceparent(notice.order_id), id),
    )
