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

# `replaced_by` has a default, because what is queued by the version before does not have it.

_EN: Mapping[str, tuple[str, str]] = {
    "order_confirmed": (
        "We have your order {{ order_id }}",
        "Thank you for your order {{ order_id }} of {{ total|money(currency) }}"
        "{% if replaces %}, in place of {{ replaces }}{% endif %}.",
    ),
    "order_payment_pending": (
        "Your order {{ order_id }} waits for your payment",
        "Please confirm the payment of your order {{ order_id }} soon, where you ordered. "
        "Without it the order will be cancelled.",
    ),
    "order_shipped": (
        "Your order {{ order_id }} is on its way",
        "Your order {{ order_id }} was handed to the carrier. Tracking number: {{ tracking_number }}",
    ),
    "order_cancelled": (
        "Your order {{ order_id }} was cancelled",
        "Your order {{ order_id }} was cancelled"
        "{% if replaced_by|default('') %}, as you asked: your order {{ replaced_by }} takes its place"
        "{% elif reason == 'customer_request' %}, as you asked"
        "{% elif 'payment' in reason %}: the payment did not succeed"
        "{% elif 'inventory_failed' in reason %}: we do not have all of it in stock"
        "{% elif 'shipping' in reason %}: we found no carrier for it{% endif %}."
        " What was charged for it is given back.",
    ),
    "order_refunded": (
        "{{ amount|money(currency) }} given back for {{ order_id }}",
        "For your order {{ order_id }} we gave back {{ amount|money(currency) }}.",
    ),
    "order_delivered": (
        "Your order {{ order_id }} was delivered",
        "The carrier has delivered your order {{ order_id }} (tracking number {{ tracking_number }}).",
    ),
    "order_out_for_delivery": (
        "Your order {{ order_id }} comes today",
        "The carrier is on the way to you with your order {{ order_id }}. "
        "Tracking number: {{ tracking_number }}",
    ),
    "order_delivery_exception": (
        "Your order {{ order_id }} is delayed",
        "Something keeps the parcel of your order {{ order_id }} (tracking number {{ tracking_number }})"
        "{% if detail and detail != 'no_news' %}: {{ detail }}{% endif %}.",
    ),
    "order_returned_to_sender": (
        "Your order {{ order_id }} comes back to us",
        "The carrier could not deliver your order {{ order_id }} (tracking number {{ tracking_number }}) "
        "and brings it back to us{% if detail %}: {{ detail }}{% endif %}.",
    ),
    "return_approved": (
        "Your return {{ return_id }} is approved",
        "Your return {{ return_id }} of order {{ order_id }} is approved. The label comes next.",
    ),
    "return_rejected": (
        "Your return {{ return_id }} cannot be taken",
        "Your return {{ return_id }} of order {{ order_id }} cannot be taken: {{ reason }}",
    ),
    "return_label_created": (
        "The label of your return {{ return_id }}",
        "The parcel of your return {{ return_id }} of order {{ order_id }} can be sent. "
        "Tracking number: {{ tracking_number }}",
    ),
    "return_refunded": (
        "{{ amount|money(currency) }} given back for {{ return_id }}",
        "For your return {{ return_id }} of order {{ order_id }} we gave back {{ amount|money(currency) }}.",
    ),
    "return_cancelled": (
        "Your return {{ return_id }} was cancelled",
        "Your return {{ return_id }} of order {{ order_id }} was cancelled"
        "{% if reason == 'customer_request' %}, as you asked{% endif %}"
        "{% if reason == 'parcel_not_received' %}: the parcel has not arrived in time{% endif %}.",
    ),
    "return_needs_attention": (
        "Return {{ return_id }} needs attention",
        "{{ step }} of return {{ return_id }} of order {{ order_id }} does not succeed: {{ reason }}, "
        "{{ attempts }} attempts. The saga goes on trying.",
    ),
    "return_parcel_unexpected": (
        "The parcel of {{ return_id }} came unexpected",
        "The carrier has delivered the parcel of return {{ return_id }} of order {{ order_id }}, "
        "which is {{ status }}. Whoever finds it can take it in as received, or send it back.",
    ),
    "parcel_needs_attention": (
        "A parcel of {{ order_id }} needs attention",
        "{% if reason == 'carrier_not_reached' %}Whether {{ carrier }} has a second parcel of it cannot be "
        "found out: it does not answer.{% endif %}"
        "{% if reason == 'stray_not_cancelled' %}{{ carrier }} has a second parcel of it, {{ shipment_id }} "
        "({{ tracking_number }}), and does not cancel it. It is asked again.{% endif %}"
        "{% if reason == 'stray_moves' %}{{ carrier }} moves a second parcel of it, {{ shipment_id }} "
        "({{ tracking_number }}), which nobody was to send.{% endif %}"
        "{% if reason == 'cancelled_moves' %}{{ carrier }} moves {{ shipment_id }} ({{ tracking_number }}), "
        "which is cancelled.{% endif %}"
        "{% if reason == 'no_news' %}{{ carrier }} has not said anything of {{ shipment_id }} "
        "({{ tracking_number }}) for so long that it may be lost.{% endif %}"
        "{% if reason == 'returned_to_sender' %}{{ carrier }} could not deliver {{ shipment_id }} "
        "({{ tracking_number }}) and brings it back to its sender.{% endif %}"
        "{% if return_id %} It belongs to the return {{ return_id }}.{% endif %}",
    ),
    "payment_difference": (
        "Gateway and payment of {{ order_id }} differ",
        "The gateway knows of {{ gateway_amount|money(currency) }} as {{ about }} of order {{ order_id }}"
        "{% if part %}, for the return {{ part }}{% endif %}, the payment of "
        "{{ recorded_amount|money(recorded_currency or currency) }} ({{ payment_id }}). "
        "Nothing mends that by itself.",
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
    "order_confirmed": (
        "Ihre Bestellung {{ order_id }} ist eingegangen",
        "Vielen Dank für Ihre Bestellung {{ order_id }} über {{ total|money(currency) }}"
        "{% if replaces %}, anstelle von {{ replaces }}{% endif %}.",
    ),
    "order_payment_pending": (
        "Ihre Bestellung {{ order_id }} wartet auf die Zahlung",
        "Bitte bestätigen Sie bald die Zahlung Ihrer Bestellung {{ order_id }}, dort, wo Sie bestellt haben. "
        "Sonst wird die Bestellung storniert.",
    ),
    "order_shipped": (
        "Ihre Bestellung {{ order_id }} ist unterwegs",
        "Ihre Bestellung {{ order_id }} wurde dem Zusteller übergeben. Sendungsnummer: {{ tracking_number }}",
    ),
    "order_cancelled": (
        "Ihre Bestellung {{ order_id }} wurde storniert",
        "Ihre Bestellung {{ order_id }} wurde storniert"
        "{% if replaced_by|default('') %}, wie gewünscht: an ihre Stelle tritt Ihre Bestellung "
        "{{ replaced_by }}"
        "{% elif reason == 'customer_request' %}, wie gewünscht"
        "{% elif 'payment' in reason %}: die Zahlung war nicht erfolgreich"
        "{% elif 'inventory_failed' in reason %}: nicht alles davon ist auf Lager"
        "{% elif 'shipping' in reason %}: kein Zusteller übernimmt sie{% endif %}."
        " Bereits belastete Beträge werden erstattet.",
    ),
    "order_refunded": (
        "{{ amount|money(currency) }} für {{ order_id }} erstattet",
        "Für Ihre Bestellung {{ order_id }} wurden {{ amount|money(currency) }} erstattet.",
    ),
    "order_delivered": (
        "Ihre Bestellung {{ order_id }} wurde zugestellt",
        "Ihre Bestellung {{ order_id }} wurde zugestellt (Sendungsnummer {{ tracking_number }}).",
    ),
    "order_out_for_delivery": (
        "Ihre Bestellung {{ order_id }} kommt heute",
        "Der Zusteller ist mit Ihrer Bestellung {{ order_id }} unterwegs zu Ihnen. "
        "Sendungsnummer: {{ tracking_number }}",
    ),
    "order_delivery_exception": (
        "Ihre Bestellung {{ order_id }} verspätet sich",
        "Das Paket Ihrer Bestellung {{ order_id }} ({{ tracking_number }}) wird aufgehalten"
        "{% if detail and detail != 'no_news' %}: {{ detail }}{% endif %}.",
    ),
    "order_returned_to_sender": (
        "Ihre Bestellung {{ order_id }} kommt zu uns zurück",
        "Ihre Bestellung {{ order_id }} ({{ tracking_number }}) konnte nicht zugestellt werden "
        "und kommt zu uns zurück{% if detail %}: {{ detail }}{% endif %}.",
    ),
    "return_approved": (
        "Ihre Rücksendung {{ return_id }} ist genehmigt",
        "Ihre Rücksendung {{ return_id }} zur Bestellung {{ order_id }} ist genehmigt. "
        "Der Versandschein folgt.",
    ),
    "return_rejected": (
        "Ihre Rücksendung {{ return_id }} ist nicht möglich",
        "Ihre Rücksendung {{ return_id }} zur Bestellung {{ order_id }} ist nicht möglich: {{ reason }}",
    ),
    "return_label_created": (
        "Der Versandschein Ihrer Rücksendung {{ return_id }}",
        "Das Paket Ihrer Rücksendung {{ return_id }} zur Bestellung {{ order_id }} kann abgegeben werden. "
        "Sendungsnummer: {{ tracking_number }}",
    ),
    "return_refunded": (
        "{{ amount|money(currency) }} für {{ return_id }} erstattet",
        "Für Ihre Rücksendung {{ return_id }} zur Bestellung {{ order_id }} wurden "
        "{{ amount|money(currency) }} erstattet.",
    ),
    "return_cancelled": (
        "Ihre Rücksendung {{ return_id }} wurde storniert",
        "Ihre Rücksendung {{ return_id }} zur Bestellung {{ order_id }} wurde storniert"
        "{% if reason == 'customer_request' %}, wie gewünscht{% endif %}"
        "{% if reason == 'parcel_not_received' %}: das Paket ist nicht rechtzeitig angekommen{% endif %}.",
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
