"""The settings of notifications, and the channels that they name."""

from collections.abc import Mapping
from dataclasses import dataclass

from adapters.notifications.outbox import Outbox
from core.clock import Clock
from core.documents import Documents
from core.settings import InvalidSetting
from services.notifications.addresses import email
from services.notifications.channels import CHANNELS, Channel, ChannelName
from services.notifications.profile import Profile

OUTBOX = "outbox"
DEVELOPMENT_KEY = "an outbox reaches nobody, so its links need no secret"
LEAST_KEY_CHARACTERS = 32


@dataclass(frozen=True, slots=True)
class NotificationSettings:
    """`channels` as configured, empty when nobody is to be told anything."""

    channels: tuple[str, ...]
    operators: tuple[str, ...]
    public_url: str
    unsubscribe_key: bytes

    @property
    def to_outbox(self) -> bool:
        return self.channels == (OUTBOX,)


def read_notification_settings(environment: Mapping[str, str], adapters: str) -> NotificationSettings:
    """Raises InvalidSetting.

    On the embedded adapters, which are for development, what is not said goes to the outbox.
    """
    default = OUTBOX if adapters == "embedded" else ""
    channels = _words(environment, "ORDERFLOW_NOTIFICATION_CHANNELS", default)
    unknown = [channel for channel in channels if channel != OUTBOX]
    if unknown:
        raise InvalidSetting(f"ORDERFLOW_NOTIFICATION_CHANNELS: must be outbox, not {unknown[0]!r}")
    return NotificationSettings(
        channels=channels,
        operators=_emails(environment, "ORDERFLOW_OPERATORS_EMAIL"),
        public_url=environment.get("ORDERFLOW_PUBLIC_URL", "").strip() or "http://127.0.0.1:7071",
        unsubscribe_key=(
            environment.get("ORDERFLOW_UNSUBSCRIBE_KEY", "").strip() or DEVELOPMENT_KEY
        ).encode(),
    )


def channels_of(
    settings: NotificationSettings, documents: Documents, clock: Clock
) -> Mapping[ChannelName, Channel]:
    if settings.to_outbox:
        return {name: Outbox(documents, clock, name) for name in CHANNELS}
    return {}


def operators_of(settings: NotificationSettings) -> Profile:
    return Profile(customer_id="", email=settings.operators)


def _words(environment: Mapping[str, str], name: str, default: str = "") -> tuple[str, ...]:
    text = environment.get(name, "").strip() or default
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _emails(environment: Mapping[str, str], name: str) -> tuple[str, ...]:
    found = _words(environment, name)
    try:
        return tuple(map(email, found))
    except ValueError as error:
        raise InvalidSetting(f"{name}: must be e-mail addresses, with commas between them") from error
