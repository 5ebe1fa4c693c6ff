"""What the settings of Stripe make."""

from adapters.stripe.gateway import API, StripeGateway
from adapters.stripe.settings import StripeSettings
from adapters.stripe.webhooks import StripeWebhooks


def connect(
    settings: StripeSettings, timeout_s: float, api: str = API
) -> tuple[StripeGateway, StripeWebhooks]:
    gateway = StripeGateway(settings.api_key, timeout_s, return_url=settings.return_url, api=api)
    return gateway, StripeWebhooks(settings.webhook_secret)
