"""The templates that come with the app: every kind in English, the customers' kinds in German too.

A test checks that every kind and channel is there and that each keeps the rules of `rendering`.
"""

from collections.abc import Mapping

from services.notifications.channels import ChannelName
from services.notifications.rendering import Template

_HTML_FOOT = '{% if unsubscribe_url %}<p><a href="{{ unsubscribe_url }}">WORDS</a></p>{% endif %}'
_FOOT_EN = "{% if unsubscribe_url %}\n\nNo more mails of this kind: {{ unsubscribe_url }}\n{% endif %}"
_FOOT_DE = "{% if unsubscribe_url %}\n\nKeine weiteren Mails dieser Art: {{ unsubscribe_url }}\n{% endif %}"
_HTML_FOOT_EN = _HTML_FOOT.replace("WORDS", "No more mails of this kind")
_HTML_FOOT_DE = _HTML_FOOT.replace("WORDS", "Keine weiteren Mails dieser Art")

_EN: Mapping[str, tuple[str, str]] = {
    "order_shipped": (
        "Your order {{ order_id }} is on its way",
        "Your order {{ order_id }} was handed to the carrier. Tracking number: {{ tracking_number }}",
    ),
    "order_cancelled": (
        "Your order {{ order_id }} was cancelled",
        "Your order {{ order_id }} was cancelled"
        "{% if reason == 'customer_request' %}, as you asked{% endif %}."
        " What was charged for it is given back.",
    ),
    "order_needs_attention": (
        "Order {{ order_id }} needs attention",
        "The undo of {{ step }} of order {{ order_id }} had no answer after {{ attempts }} attempts. "
        "The saga goes on trying.",
    ),
    "stock_low": (
        "{{ sku }} runs low",
        "Of {{ sku }} {{ available }} can still be sold; {{ threshold }} or fewer count as low.",
    ),
    "stock_recovered": (
        "{{ sku }} no longer runs low",
        "Of {{ sku }} {{ available }} can be sold again.",
    ),
}
"""Title and text by kind: what differs between kinds; the rest is the same for all."""

_DE: Mapping[str, tuple[str, str]] = {
    "order_shipped": (
        "Ihre Bestellung {{ order_id }} ist unterwegs",
        "Ihre Bestellung {{ order_id }} wurde dem Zusteller übergeben. Sendungsnummer: {{ tracking_number }}",
    ),
    "order_cancelled": (
        "Ihre Bestellung {{ order_id }} wurde storniert",
        "Ihre Bestellung {{ order_id }} wurde storniert"
        "{% if reason == 'customer_request' %}, wie gewünscht{% endif %}."
        " Bereits belastete Beträge werden erstattet.",
    ),
}


def _templates(
    locale: str, texts: Mapping[str, tuple[str, str]], foot: str, html_foot: str
) -> dict[tuple[str, ChannelName, str], Template]:
    found: dict[tuple[str, ChannelName, str], Template] = {}
    for kind, (title, text) in texts.items():
        found[kind, "email", locale] = Template(text + foot, title, f"<p>{text}</p>{html_foot}")
        found[kind, "sms", locale] = Template(text)
        found[kind, "push", locale] = Template(text, title)
    return found


BUILT_IN = {
    **_templates("en", _EN, _FOOT_EN, _HTML_FOOT_EN),
    **_templates("de", _DE, _FOOT_DE, _HTML_FOOT_DE),
}
