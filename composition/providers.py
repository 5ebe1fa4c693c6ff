"""The payment gateway, the carriers and the senders, each behind a policy of its own (docs/resilience.md)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from adapters.notifications.connect import channels_of
from adapters.notifications.settings import NotificationSettings
from adapters.resilience.carrier import ResilientCarrier
from adapters.resilience.channel import ResilientChannel
from adapters.resilience.gateway import ResilientGateway
from adapters.sandbox.carrier import sandbox_carriers
from adapters.sandbox.gateway import SandboxGateway
from adapters.sandbox.payment_webhooks import SandboxWebhooks
from adapters.sandbox.shipping_webhooks import SandboxShippingWebhooks
from composition.infrastructure import Infrastructure
from core.outside_policy import OutsidePolicy
from core.settings import Settings
from services.notifications.channels import Channel, ChannelName
from services.payments.gateway import PaymentGateway
from services.payments.gateway import Webhooks as PaymentWebhooks
from services.shipping.calls import Carriers
from services.shipping.carrier import Carrier
from services.shipping.carrier import Webhooks as ShippingWebhooks
from services.shipping.messages import Address


@dataclass(frozen=True, slots=True)
class Providers:
    gateway: PaymentGateway
    payment_webhooks: PaymentWebhooks
    carriers: Carriers
    shipping_webhooks: Sequence[ShippingWebhooks]
    channels: Mapping[ChannelName, Channel]
    policies: Sequence[OutsidePolicy]


def connect(
    settings: Settings,
    told: NotificationSettings,
    environment: Mapping[str, str],
    places: Infrastructure,
    shop: Address,
) -> Providers:
    """`shop` is where parcels come from. The SDK of a provider is imported only where it is chosen.

    Raises InvalidSetting.
    """
    gateway, payment_webhooks = _gateway(settings, environment, places)
    gateway_policy = OutsidePolicy(f"gateway:{settings.payment_gateway}", settings.gateway)
    carriers, shipping_webhooks = _carriers(settings, environment, places, shop)
    carrier_policies = {name: OutsidePolicy(f"carrier:{name}", settings.carrier) for name in carriers}
    channels = channels_of(told, places.documents, places.clock, settings.sender.timeout_s)
    sender_policies = {name: OutsidePolicy(f"sender:{name}", settings.sender) for name in channels}
    return Providers(
        ResilientGateway(gateway, gateway_policy),
        payment_webhooks,
        Carriers(
            {name: ResilientCarrier(carriers[name], policy) for name, policy in carrier_policies.items()},
            places.clock,
            settings.carrier.timeout_s,
        ),
        shipping_webhooks,
        {name: ResilientChannel(channels[name], policy) for name, policy in sender_policies.items()},
        (gateway_policy, *carrier_policies.values(), *sender_policies.values()),
    )


def _gateway(
    settings: Settings, environment: Mapping[str, str], places: Infrastructure
) -> tuple[PaymentGateway, PaymentWebhooks]:
    if settings.payment_gateway == "stripe":
        from adapters.stripe.connect import connect  # noqa: PLC0415
        from adapters.stripe.settings import read_stripe_settings  # noqa: PLC0415

        return connect(read_stripe_settings(environment), settings.gateway.attempt_s)
    return SandboxGateway(places.documents, places.bus, places.clock), SandboxWebhooks()


def _carriers(
    settings: Settings, environment: Mapping[str, str], places: Infrastructure, shop: Address
) -> tuple[Mapping[str, Carrier], Sequence[ShippingWebhooks]]:
    carriers: dict[str, Carrier] = {}
    webhooks: list[ShippingWebhooks] = []
    if "sandbox" in settings.carriers:
        carriers.update(sandbox_carriers(places.documents, places.bus, places.clock))
        webhooks.append(SandboxShippingWebhooks())
    if "easypost" in settings.carriers:
        from adapters.easypost.connect import connect  # noqa: PLC0415
        from adapters.easypost.settings import read_easypost_settings  # noqa: PLC0415

        easypost, easypost_webhooks = connect(
            read_easypost_settings(environment), shop, settings.carrier.attempt_s
        )
        carriers[easypost.name] = easypost
        webhooks.append(easypost_webhooks)
    return carriers, webhooks
