"""Delivery reports of Azure Communication Services, in Event Grid's own schema (not CloudEvents).

https://learn.microsoft.com/azure/event-grid/communication-services-email-events and ...-telephony-sms-events
"""

from collections.abc import Mapping
from datetime import UTC, datetime

import orjson

from services.notifications.messages import RecordReport
from services.notifications.notification import Outcome
from services.notifications.reports import Posted

VALIDATION = "Microsoft.EventGrid.SubscriptionValidationEvent"
EMAIL = "Microsoft.Communication.EmailDeliveryReportReceived"
SMS = "Microsoft.Communication.SMSDeliveryReportReceived"
STATUS_FIELD = {EMAIL: "status", SMS: "deliveryStatus"}

OUTCOMES: Mapping[str, Outcome] = {
    "delivered": "delivered",
    "bounced": "bounced",
    "suppressed": "bounced",  # it bounced before, so this one was not even tried
    "failed": "failed",
    "filteredspam": "failed",
    "quarantined": "failed",
}
"""Of a status in small letters. Others (Expanded, of a distribution list) say nothing yet."""


def read_events(body: bytes) -> Posted:
    """Raises ValueError, which names the field."""
    try:
        events = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ValueError("body: must be JSON") from error
    if not isinstance(events, list) or not all(isinstance(event, dict) for event in events):
        raise ValueError("body: must be a list of events")
    reports: list[RecordReport] = []
    for index, event in enumerate(events):
        data = event.get("data")
        if not isinstance(data, dict):
            raise ValueError(f"{index}.data: must be an object")  # noqa: TRY004  (of what came, not of ours)
        kind = event.get("eventType")
        if kind == VALIDATION:
            return Posted(validation_code=_text(data, "validationCode", f"{index}.data"))
        if kind in STATUS_FIELD:
            status = _text(data, STATUS_FIELD[kind], f"{index}.data")
            if status.lower() in OUTCOMES:
                reports.append(_report(event, data, status, index))
    return Posted(tuple(reports))


def _report(event: Mapping[str, object], data: Mapping[str, object], status: str, index: int) -> RecordReport:
    details = data.get("deliveryStatusDetails")
    if isinstance(details, dict):
        details = details.get("statusMessage")
    outcome = OUTCOMES[status.lower()]
    words = details if isinstance(details, str) and details else status
    return RecordReport(
        report_id=f"report-{_id(event, index)}",
        provider_id=_text(data, "messageId", f"{index}.data"),
        outcome=outcome,
        reason="" if outcome == "delivered" else words,
        reported_at=_time(_text(event, "eventTime", str(index)), index),
    )


def _id(event: Mapping[str, object], index: int) -> str:
    id = _text(event, "id", str(index))
    if len(id) > 64 or not all(character.isalnum() or character in "-_" for character in id):
        raise ValueError(f"{index}.id: must be a GUID")
    return id


def _text(fields: Mapping[str, object], name: str, where: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{where}.{name}: must be a string that is not empty")
    return value


def _time(text: str, index: int) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{index}.eventTime: must be a time (RFC 3339)") from error
    return time if time.tzinfo else time.replace(tzinfo=UTC)
