"""The adapters that the settings of EasyPost make."""

from adapters.easypost.carrier import API, EasyPostCarrier
from adapters.easypost.settings import EasyPostSettings
from adapters.easypost.webhooks import EasyPostWebhooks
from services.shipping.messages import Address


def connect(
    settings: EasyPostSettings, shop: Address, timeout_s: float, api: str = API
) -> tuple[EasyPostCarrier, EasyPostWebhooks]:
    return EasyPostCarrier(settings, shop, timeout_s, api=api), EasyPostWebhooks(settings.webhook_secret)
