import pytest

from adapters.notifications.azure_communication import AzureEmail, AzureSms
from adapters.notifications.connect import channels_of, operators_of
from adapters.notifications.outbox import Outbox
from adapters.notifications.settings import read_notification_settings
from adapters.notifications.smtp import SmtpEmail
from adapters.notifications.web_push import WebPush
from core.settings import InvalidSetting
from tests.fakes import FakeClock, FakeDocuments
from tests.unit.test_notification_push import RAW_KEY

ALL = {
    "ORDERFLOW_NOTIFICATION_CHANNELS": "smtp, azure-sms, web-push",
    "ORDERFLOW_PUBLIC_URL": "https://shop.example/",
    "ORDERFLOW_UNSUBSCRIBE_KEY": "k" * 32,
    "ORDERFLOW_OPERATORS_EMAIL": "ops@shop.example, stock@shop.example",
    "ORDERFLOW_EMAIL_SENDER": "shop@shop.example",
    "ORDERFLOW_SMTP_HOST": "mail.shop.example",
    "ORDERFLOW_COMMUNICATION_CONNECTION": "endpoint=https://x.example/;accesskey=a2V5",
    "ORDERFLOW_SMS_SENDER": "SHOP",
    "ORDERFLOW_VAPID_PRIVATE_KEY": RAW_KEY,
    "ORDERFLOW_VAPID_SUBJECT": "mailto:ops@shop.example",
}


def channels(environment, adapters="azure"):
    settings = read_notification_settings(environment, adapters)
    return channels_of(settings, FakeDocuments(), FakeClock(), 10.0)


def test_each_channel_is_served_by_what_is_named():
    found = channels(ALL)
    assert {name: type(channel) for name, channel in found.items()} == {
        "email": SmtpEmail,
        "sms": AzureSms,
        "push": WebPush,
    }
    azure = channels(ALL | {"ORDERFLOW_NOTIFICATION_CHANNELS": "azure-email"})
    assert {name: type(channel) for name, channel in azure.items()} == {"email": AzureEmail}
    settings = read_notification_settings(ALL, "azure")
    assert settings.public_url == "https://shop.example"
    assert operators_of(settings).email == ("ops@shop.example", "stock@shop.example")


def test_the_outbox_is_the_default_only_where_everything_is_embedded():
    assert {type(channel) for channel in channels({}, "embedded").values()} == {Outbox}
    assert channels({}, "azure") == {}
    assert not read_notification_settings(ALL, "embedded").to_outbox


@pytest.mark.parametrize("adapters", ["azure", "embedded"])
def test_in_azure_there_is_no_outbox_that_shows_mails_and_whose_links_anybody_can_sign(adapters):
    outbox = {"ORDERFLOW_NOTIFICATION_CHANNELS": "outbox"}
    assert read_notification_settings(outbox, adapters).to_outbox
    with pytest.raises(InvalidSetting, match="outbox is for development"):
        read_notification_settings(outbox | {"WEBSITE_SITE_NAME": "orderflow"}, adapters)
    assert read_notification_settings({"WEBSITE_SITE_NAME": "orderflow"}, "azure").channels == ()


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"ORDERFLOW_NOTIFICATION_CHANNELS": "fax"}, "CHANNELS: must be of outbox, smtp"),
        ({"ORDERFLOW_NOTIFICATION_CHANNELS": "outbox,smtp"}, "CHANNELS: outbox must stand alone"),
        ({"ORDERFLOW_NOTIFICATION_CHANNELS": "smtp,azure-email"}, "CHANNELS: must name one way for e-mail"),
        ({"ORDERFLOW_NOTIFICATION_CHANNELS": "smtp,smtp"}, "CHANNELS: must name one way"),
        ({"ORDERFLOW_PUBLIC_URL": ""}, "PUBLIC_URL: must be given"),
        ({"ORDERFLOW_PUBLIC_URL": "shop.example"}, "PUBLIC_URL: must be the URL"),
        ({"ORDERFLOW_UNSUBSCRIBE_KEY": ""}, "UNSUBSCRIBE_KEY: must be given"),
        ({"ORDERFLOW_UNSUBSCRIBE_KEY": "short"}, "UNSUBSCRIBE_KEY: must have at least 32"),
        ({"ORDERFLOW_DELIVERY_REPORT_KEY": "short"}, "DELIVERY_REPORT_KEY: must have at least 32"),
        ({"ORDERFLOW_OPERATORS_EMAIL": "ops"}, "OPERATORS_EMAIL: must be an e-mail address"),
        ({"ORDERFLOW_EMAIL_SENDER": ""}, "EMAIL_SENDER: must be given"),
        ({"ORDERFLOW_SMTP_HOST": ""}, "SMTP_HOST: must be given"),
        ({"ORDERFLOW_SMTP_PORT": "0"}, "SMTP_PORT: must be a port"),
        ({"ORDERFLOW_SMTP_TLS": "yes"}, "SMTP_TLS: must be one of"),
        ({"ORDERFLOW_SMTP_TLS": "none", "ORDERFLOW_SMTP_USERNAME": "shop"}, "SMTP_TLS: must not be none"),
        (
            {"ORDERFLOW_COMMUNICATION_CONNECTION": "endpoint=http://x.example;accesskey=secret"},
            "COMMUNICATION_CONNECTION: must be endpoint=",
        ),
        ({"ORDERFLOW_COMMUNICATION_CONNECTION": "secret"}, "COMMUNICATION_CONNECTION: must be endpoint="),
        ({"ORDERFLOW_SMS_SENDER": ""}, "SMS_SENDER: must be given"),
        ({"ORDERFLOW_VAPID_PRIVATE_KEY": "secret"}, "VAPID_PRIVATE_KEY: must be the 32 bytes"),
        ({"ORDERFLOW_VAPID_SUBJECT": "ops"}, "VAPID_SUBJECT: must be a mailto"),
    ],
)
def test_a_setting_that_is_wrong_is_named_and_no_secret_shown(change, rule):
    with pytest.raises(InvalidSetting, match=rule) as raised:
        channels(ALL | change)
    assert "secret" not in str(raised.value)
