"""The queue `notifications`: what this service tells itself, now or later, and what providers report."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from core.contracts import Id, contract


@contract("notifications.send")
@dataclass(frozen=True, slots=True)
class Send:
    """Make this attempt. `subject` is the partition of the notification: an order id, or a SKU."""

    subject: Id
    notification_id: Id
    attempt: Annotated[int, Field(ge=1)]


@contract("notifications.record_report")
@dataclass(frozen=True, slots=True)
class RecordReport:
    """What a provider reports of a message that it had taken.

    report_id: the provider's id of the report. provider_id: its id of the message.
    looked: how often the message was looked for in vain; a report may overtake the recording of the send.
    """

    report_id: Id
    provider_id: str
    outcome: Literal["delivered", "bounced", "failed"]
    reason: str
    reported_at: datetime
    looked: Annotated[int, Field(ge=0)] = 0
