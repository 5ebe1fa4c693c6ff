"""The settings of notifications, checked at the start. Needs no package: `make doctor` reads them too."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from core.settings import InvalidSetting
from services.notifications import addresses
from services.notifications.channels import ChannelName

CHANNELS_SETTING = "ORDERFLOW_NOTIFICATION_CHANNELS"
OUTBOX = "outbox"
SERVED_BY: Mapping[str, ChannelName] = {
    "smtp": "email",
    "azure-email": "email",
    "azure-sms": "sms",
    "web-push": "push",
}
DEVELOPMENT_URL = "http://127.0.0.1:7071"
DEVELOPMENT_KEY = "an outbox reaches nobody, so its links need no secret"
LEAST_KEY_CHARACTERS = 32
IN_AZURE = "WEBSITE_SITE_NAME"
"""What every plan of Azure Functions sets, and a development machine does not."""

TLS = ("starttls", "tls", "none")


@dataclass(frozen=True, slots=True)
class NotificationSettings:
    """`channels` as configured, empty when nobody is to be told anything. `report_key` empty: no provider's
    reports are taken."""

    channels: tuple[str, ...] = ()
    operators: tuple[str, ...] = ()
    public_url: str = DEVELOPMENT_URL
    unsubscribe_key: bytes = b""
    report_key: str = ""
    email_sender: str = ""
    smtp_host: str = ""
    smtp_port: int = 587
    smtp_tls: str = "starttls"
    smtp_username: str = ""
    smtp_password: str = ""
    azure_connection: str = ""
    sms_sender: str = ""
    vapid_private_key: str = ""
    vapid_subject: str = ""

    @property
    def to_outbox(self) -> bool:
        return self.channels == (OUTBOX,)


def read_notification_settings(environment: Mapping[str, str], adapters: str) -> NotificationSettings:
    """Raises InvalidSetting, which names the setting and the rule and never a secret.

    On the embedded adapters, which are for development, the default is the outbox.
    """

    def text(name: str, default: str = "") -> str:
        return environment.get(name, "").strip() or default

    channels = _words(text(CHANNELS_SETTING, OUTBOX if adapters == "embedded" else ""))
    settings = NotificationSettings(
        channels=channels,
        operators=_words(text("ORDERFLOW_OPERATORS_EMAIL")),
        public_url=text("ORDERFLOW_PUBLIC_URL", DEVELOPMENT_URL if channels == (OUTBOX,) else "").rstrip("/"),
        unsubscribe_key=text(
            "ORDERFLOW_UNSUBSCRIBE_KEY", DEVELOPMENT_KEY if channels == (OUTBOX,) else ""
        ).encode(),
        report_key=text("ORDERFLOW_DELIVERY_REPORT_KEY"),
        email_sender=text("ORDERFLOW_EMAIL_SENDER"),
        smtp_host=text("ORDERFLOW_SMTP_HOST"),
        smtp_port=_port(text("ORDERFLOW_SMTP_PORT", "587")),
        smtp_tls=text("ORDERFLOW_SMTP_TLS", "starttls"),
        smtp_username=text("ORDERFLOW_SMTP_USERNAME"),
        smtp_password=text("ORDERFLOW_SMTP_PASSWORD"),
        azure_connection=text("ORDERFLOW_COMMUNICATION_CONNECTION"),
        sms_sender=text("ORDERFLOW_SMS_SENDER"),
        vapid_private_key=text("ORDERFLOW_VAPID_PRIVATE_KEY"),
        vapid_subject=text("ORDERFLOW_VAPID_SUBJECT"),
    )
    _check(settings)
    if settings.to_outbox and environment.get(IN_AZURE):
        raise InvalidSetting(f"{CHANNELS_SETTING}: outbox is for development, and reaches nobody in Azure")
    return settings


def _check(settings: NotificationSettings) -> None:
    channels = settings.channels
    _check_names(channels)
    for address in settings.operators:
        _must("ORDERFLOW_OPERATORS_EMAIL", address, addresses.email)
    if settings.report_key:
        _must("ORDERFLOW_DELIVERY_REPORT_KEY", settings.report_key, _long_enough)
    if channels:
        _must("ORDERFLOW_UNSUBSCRIBE_KEY", settings.unsubscribe_key.decode(), _long_enough)
        _must("ORDERFLOW_PUBLIC_URL", settings.public_url, _web_address)
    if "smtp" in channels or "azure-email" in channels:
        _must("ORDERFLOW_EMAIL_SENDER", settings.email_sender, addresses.email)
    if "smtp" in channels:
        _check_smtp(settings)
    if "azure-email" in channels or "azure-sms" in channels:
        _needed("ORDERFLOW_COMMUNICATION_CONNECTION", settings.azure_connection)
    if "azure-sms" in channels:
        _needed("ORDERFLOW_SMS_SENDER", settings.sms_sender)
    if "web-push" in channels:
        _needed("ORDERFLOW_VAPID_PRIVATE_KEY", settings.vapid_private_key)
        if not settings.vapid_subject.startswith(("mailto:", "https://")):
            raise InvalidSetting("ORDERFLOW_VAPID_SUBJECT: must be a mailto: or https: URL")


def _check_names(channels: tuple[str, ...]) -> None:
    unknown = [channel for channel in channels if channel not in SERVED_BY and channel != OUTBOX]
    if unknown:
        known = ", ".join((OUTBOX, *SERVED_BY))
        raise InvalidSetting(f"{CHANNELS_SETTING}: must be of {known}, not {unknown[0]!r}")
    if OUTBOX in channels and len(channels) > 1:
        raise InvalidSetting(f"{CHANNELS_SETTING}: outbox must stand alone")
    if len({SERVED_BY.get(channel) for channel in channels}) < len(channels):
        raise InvalidSetting(f"{CHANNELS_SETTING}: must name one way for e-mail, and each once")


def _check_smtp(settings: NotificationSettings) -> None:
    _needed("ORDERFLOW_SMTP_HOST", settings.smtp_host)
    if settings.smtp_tls not in TLS:
        raise InvalidSetting(f"ORDERFLOW_SMTP_TLS: must be one of {', '.join(TLS)}")
    if settings.smtp_tls == "none" and settings.smtp_username:
        raise InvalidSetting("ORDERFLOW_SMTP_TLS: must not be none where a password is sent")


def _needed(name: str, value: str) -> None:
    if not value:
        raise InvalidSetting(f"{name}: must be given for the channels of {CHANNELS_SETTING}")


def _must(name: str, value: str, check: Callable[[str], object]) -> None:
    _needed(name, value)
    try:
        check(value)
    except ValueError as error:
        raise InvalidSetting(f"{name}: {error}") from None


def _web_address(value: str) -> None:
    if urlsplit(value).scheme not in {"http", "https"} or not urlsplit(value).hostname:
        raise ValueError("must be the URL under which customers reach the app")


def _long_enough(key: str) -> None:
    if len(key) < LEAST_KEY_CHARACTERS:
        raise ValueError(f"must have at least {LEAST_KEY_CHARACTERS} characters")


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 0 < int(text) < 65536):
        raise InvalidSetting("ORDERFLOW_SMTP_PORT: must be a port")
    return int(text)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())
