"""What providers report of messages that they have taken: delivered, bounced, failed.

A report may come before the send is recorded, twice, out of order, or for a message that is not ours at all.
"""

import logging
from dataclasses import dataclass, replace
from datetime import timedelta

from core.documents import PreconditionFailed
from core.envelope import to_message, wrap
from core.telemetry import log
from services.notifications import masking, notification
from services.notifications.messages import RecordReport
from services.notifications.sending import follow_up
from services.notifications.telling import QUEUE, Notifier

LOOK_AGAIN = timedelta(seconds=30)
MAX_LOOKS = 4
"""The send is recorded within seconds, or the attempt counts as having no outcome."""

logger = logging.getLogger("orderflow.notifications")


@dataclass(frozen=True, slots=True)
class Posted:
    """What a provider posted: reports, or the code of its question whether this is the right address."""

    reports: tuple[RecordReport, ...] = ()
    validation_code: str = ""


async def queue_report(notifier: Notifier, report: RecordReport) -> None:
    """Have it recorded; again in a moment when it was looked for in vain."""
    now = notifier.clock.now()
    command = wrap(
        replace(report, reason=masking.reason(report.reason)),
        id=f"{report.report_id}:{report.looked}",
        source="notifications",
        subject=report.report_id,
        time=now,
        correlation_id=report.report_id,
        causation_id=report.report_id,
    )
    message = to_message(command)
    if report.looked:
        message = replace(message, scheduled_for=now + LOOK_AGAIN)
    await notifier.bus.send(QUEUE, [message])


async def record_report(notifier: Notifier, report: RecordReport) -> None:
    """Repeating is safe. Raises the transient errors of documents and bus."""
    while True:
        found = await notification.find(notifier.documents, "provider_id", report.provider_id)
        if found is None:
            if report.looked < MAX_LOOKS:
                return await queue_report(notifier, replace(report, looked=report.looked + 1))
            return log(logger, logging.WARNING, "report of an unknown message", report_id=report.report_id)
        it, etag = await notification.read(notifier.documents, found.subject, found.id)
        after = notification.reported(it, report.outcome, report.reason, report.reported_at)
        if after is not None:
            try:
                await notification.move(notifier.documents, after, etag)
            except PreconditionFailed:
                continue
            log(logger, logging.INFO, "notification reported", notification_id=it.id, outcome=report.outcome)
        return await follow_up(notifier, after or it)
