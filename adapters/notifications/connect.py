"""The channels that the settings name."""

from collections.abc import Mapping
from typing import cast

from adapters.notifications.outbox import Outbox
from adapters.notifications.settings import SERVED_BY, NotificationSettings
from core.clock import Clock
from core.documents import Documents
from core.settings import InvalidSetting
from services.notifications import addresses
from services.notifications.channels import CHANNELS, Channel, ChannelName
from services.notifications.profile import Profile

SECRETS = {
    "azure-email": "ORDERFLOW_COMMUNICATION_CONNECTION",
    "azure-sms": "ORDERFLOW_COMMUNICATION_CONNECTION",
    "web-push": "ORDERFLOW_VAPID_PRIVATE_KEY",
}


def channels_of(
    settings: NotificationSettings, documents: Documents, clock: Clock, timeout_s: float
) -> Mapping[ChannelName, Channel]:
    """Raises InvalidSetting for a key that cannot be read."""
    if settings.to_outbox:
        return {name: Outbox(documents, clock, name) for name in CHANNELS}
    found: dict[ChannelName, Channel] = {}
    for name in settings.channels:
        try:
            found[SERVED_BY[name]] = _channel(name, settings, clock, timeout_s)
        except ValueError as error:  # of what only the channel's library can read
            raise InvalidSetting(f"{SECRETS[name]}: {error}") from None
    return found


def operators_of(settings: NotificationSettings) -> Profile:
    return Profile(customer_id="", email=settings.operators)


def _channel(name: str, settings: NotificationSettings, clock: Clock, timeout_s: float) -> Channel:
    """Imported by choice, so that the libraries of a channel are loaded only where it is configured."""
    match name:
        case "smtp":
            from adapters.notifications.smtp import SmtpEmail, SmtpServer, Tls  # noqa: PLC0415

            server = SmtpServer(
                settings.smtp_host,
                settings.smtp_port,
                cast("Tls", settings.smtp_tls),
                settings.smtp_username,
                settings.smtp_password,
            )
            reports = bool(settings.report_key)
            return SmtpEmail(server, settings.email_sender, clock, timeout_s, reports=reports)
        case "azure-email":
            from adapters.notifications import azure_communication as azure  # noqa: PLC0415

            return azure.AzureEmail(azure.read_connection(settings.azure_connection), settings.email_sender)
        case "azure-sms":
            from adapters.notifications import azure_communication as azure  # noqa: PLC0415

            return azure.AzureSms(azure.read_connection(settings.azure_connection), settings.sms_sender)
        case _:
            from adapters.notifications.web_push import WebPush, read_vapid_key  # noqa: PLC0415

            vapid = read_vapid_key(settings.vapid_private_key)
            return WebPush(vapid, settings.vapid_subject, timeout_s, addresses.push_endpoint)
