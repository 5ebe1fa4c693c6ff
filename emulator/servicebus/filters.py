"""Which messages of a topic a subscription takes: correlation filters, all of whose conditions must hold."""

from collections.abc import Sequence
from dataclasses import dataclass

from emulator.servicebus.messages import Message, PropertyValue

SYSTEM_PROPERTIES = {
    "ContentType": "content_type",
    "CorrelationId": "correlation_id",
    "Label": "subject",
    "MessageId": "message_id",
    "ReplyTo": "reply_to",
    "ReplyToSessionId": "reply_to_session_id",
    "SessionId": "session_id",
    "To": "to",
}
"""Keys of a CorrelationFilter, `Properties` apart, and the fields of `Message` that they name."""


@dataclass(frozen=True, slots=True)
class CorrelationFilter:
    """`system` pairs fields of `Message` with the values they must have, `properties` those of its sender."""

    system: tuple[tuple[str, str], ...] = ()
    properties: tuple[tuple[str, PropertyValue], ...] = ()

    def matches(self, message: Message) -> bool:
        for field, value in self.system:
            if getattr(message, field) != value:
                return False
        for name, wanted in self.properties:
            if name not in message.properties or message.properties[name] != wanted:
                return False
        return True


TRUE_FILTER = CorrelationFilter()
"""What a subscription without rules has: it takes every message."""


def takes(rules: Sequence[CorrelationFilter], message: Message) -> bool:
    """One copy, however many rules match."""
    return any(rule.matches(message) for rule in rules)
