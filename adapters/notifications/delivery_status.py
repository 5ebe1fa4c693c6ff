"""Delivery status notifications of mail servers (RFC 3464): a mail's way back as another mail.

Which mail it is about says its `Original-Envelope-Id` (RFC 3461), where the servers on the way know that, or
the `Message-ID` of what is returned with it. Both are those that smtp.py gave it.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from email import message_from_bytes
from email.message import Message
from email.parser import BytesHeaderParser

from adapters.notifications.mail_ids import MAIL_ID
from core.clock import Clock
from services.notifications.messages import RecordReport
from services.notifications.notification import Outcome
from services.notifications.reports import Posted

MAX_PARTS = 20
"""Each part in a part makes every line after it cost more. A report of a mail of ours has some four."""

OUTCOMES: Mapping[str, Outcome] = {"failed": "bounced", "delivered": "delivered"}
"""By action, the worst first. `delayed`, `relayed` and `expanded` end nothing."""

_TYPED = re.compile(r"[A-Za-z0-9-]+ *; *")


def read_delivery_status(sender: str, clock: Clock, raw: bytes) -> Posted:
    """What it reports of a mail from `sender`, which is us; nothing when it is another's, or ends nothing.

    Raises ValueError, which names the field, for what is no delivery status notification.
    """
    if raw.lower().count(b"boundary") > MAX_PARTS:
        raise ValueError(f"body: must have at most {MAX_PARTS} parts")
    try:
        parts = list(message_from_bytes(raw).walk())
    except RecursionError as error:
        raise ValueError("body: is nested too deeply") from error
    status = next((part for part in parts if part.get_content_type() == "message/delivery-status"), None)
    fields = status.get_payload() if status is not None else None
    if not isinstance(fields, list) or len(fields) < 2:
        raise ValueError("body: must be a delivery status notification (RFC 3464), as message/rfc822")
    about, *recipients = fields
    reported = [(_text(each, "Action").lower(), each) for each in recipients if isinstance(each, Message)]
    if not any(action for action, _ in reported):
        raise ValueError("Action: must be given for a recipient (RFC 3464, 2.3.3)")
    provider_id = _mail_of_ours(about, parts, sender.rpartition("@")[2])
    if provider_id is None:
        return Posted()
    for action, outcome in OUTCOMES.items():
        for said, recipient in reported:
            if said == action:
                reason = "" if outcome == "delivered" else _reason(recipient)
                digest = hashlib.sha256(raw).hexdigest()[:32]
                return Posted((RecordReport(f"report-{digest}", provider_id, outcome, reason, clock.now()),))
    return Posted()


def _mail_of_ours(about: object, parts: Sequence[Message], domain: str) -> str | None:
    """Its Message-ID."""
    envelope = _text(about, "Original-Envelope-Id") if isinstance(about, Message) else ""
    if re.fullmatch(MAIL_ID, envelope):
        return f"<{envelope}@{domain}>"
    of_ours = re.compile(f"<{MAIL_ID}@{re.escape(domain)}>")
    for part in parts:
        id = _text(_returned(part), "Message-ID")
        if of_ours.fullmatch(id):
            return id
    return None


def _returned(part: Message) -> Message:
    """The headers of what a part gives back; `walk` has gone into a whole message, so that is one itself."""
    if part.get_content_type() == "text/rfc822-headers":
        payload = part.get_payload(decode=True)
        return BytesHeaderParser().parsebytes(payload if isinstance(payload, bytes) else b"")
    return part


def _reason(recipient: Message) -> str:
    """As `5.1.1 550 5.1.1 no such user`: the status code, and the words of the server that refused it."""
    words = _TYPED.sub("", _text(recipient, "Diagnostic-Code"), count=1)
    return f"{_text(recipient, 'Status')} {words}".strip() or "failed"


def _text(part: Message, field: str) -> str:
    """On one line; bytes that are no ASCII come as a header object of their own."""
    return " ".join(str(part.get(field, "")).split())
