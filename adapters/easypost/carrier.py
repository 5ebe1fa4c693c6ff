"""The carrier on EasyPost's shipments, with the postage of whatever accounts the key has.

https://docs.easypost.com/docs/shipments: a parcel's shipment is created with the parcel's key as `reference`,
by which it can be retrieved, and bought in a second request; what was bought cannot be bought again. So a
repeat finds the first, and no key of idempotency is needed.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from http import HTTPStatus
from typing import Any, Final

import aiohttp
from easypost import errors

from adapters.easypost.amounts import minor
from adapters.easypost.customs import customs_info
from adapters.easypost.news import news_of
from adapters.easypost.requests import REFUSED, EasyPostRequests, Shipment
from adapters.easypost.settings import EasyPostSettings
from core.outside_call import OutcomeUnknown, OutsideUnavailable
from services.shipping.carrier import Carrier, Parcel
from services.shipping.label import LabelFormat
from services.shipping.messages import Address, ShipmentCancelled, ShipmentCreated, ShipmentRefused
from services.shipping.offers import NotServed, Offer, rank
from services.shipping.tracking import News

API: Final = "https://api.easypost.com/v2"
NAME: Final = "easypost"
_REFUNDED: Final = ("submitted", "refunded")
_BOUGHT_BEFORE: Final = "SHIPMENT.POSTAGE.EXISTS"
MAX_LABEL_BYTES: Final = 5 * 1024 * 1024


class EasyPostCarrier(Carrier):
    """`timeout_s` is how long one request may take.

    Raises easypost.errors.UnauthorizedError and ForbiddenError for a key that EasyPost does not take.
    """

    def __init__(
        self, settings: EasyPostSettings, shop: Address, timeout_s: float, *, api: str = API
    ) -> None:
        self._easypost = EasyPostRequests(settings.api_key, api, timeout_s)
        self._settings = settings
        self._shop = shop
        self._timeout_s = timeout_s

    @property
    def name(self) -> str:
        return NAME

    async def quote(self, parcel: Parcel) -> Sequence[Offer] | NotServed:
        """By a shipment without reference that is never bought, which costs nothing."""
        asks = self._asks(parcel)
        if isinstance(asks, NotServed):
            return asks
        try:
            return _offers(await self._easypost.asked(lambda client: client.shipment.create(**asks)))
        except REFUSED as error:
            return NotServed(_code(error))

    async def create(self, key: str, parcel: Parcel, service: str) -> ShipmentCreated | ShipmentRefused:
        asks = self._asks(parcel)
        if isinstance(asks, NotServed):
            return ShipmentRefused(parcel.parcel_id, asks.reason)
        try:
            shipment = await self._retrieved(parcel.parcel_id)
            if shipment is None:
                asked = {**asks, "reference": parcel.parcel_id}
                shipment = await self._easypost.done(lambda client: client.shipment.create(**asked))
            created = _created(parcel.parcel_id, shipment)
            if created is not None:
                return created
            chosen = service or next(
                (offer.service for offer in rank(_offers(shipment), parcel.delivery, parcel.currency)), ""
            )
            rate = next((rate for rate in shipment.get("rates") or () if _service(rate) == chosen), None)
            if rate is None:
                return ShipmentRefused(parcel.parcel_id, "service_not_offered")
            id, rate_id = shipment["id"], {"id": rate["id"]}
            bought = await self._easypost.done(lambda client: client.shipment.buy(id, rate=rate_id))
        except REFUSED as error:
            if error.code == _BOUGHT_BEFORE:
                raise OutcomeUnknown("easypost: the shipment is bought, and is not shown so yet") from error
            return ShipmentRefused(parcel.parcel_id, _code(error))
        created = _created(parcel.parcel_id, bought)
        if created is None:
            raise OutcomeUnknown("easypost: the shipment was bought and has no tracking code yet")
        return created

    async def find_shipment(self, parcel_id: str) -> ShipmentCreated | ShipmentRefused | None:
        shipment = await self._retrieved(parcel_id)
        return None if shipment is None else _created(parcel_id, shipment)

    async def cancel(self, key: str, parcel_id: str, shipment_id: str) -> ShipmentCancelled:
        try:
            shipment = await self._easypost.done(lambda client: client.shipment.refund(shipment_id))
        except REFUSED as error:
            if await self.find_cancellation(parcel_id, shipment_id) is None:
                # An undo has no failure: it is tried again until somebody has seen to it.
                raise OutsideUnavailable(f"easypost refuses the refund: {_code(error)}") from error
            return ShipmentCancelled(parcel_id)
        if shipment.get("refund_status") not in _REFUNDED:
            raise OutsideUnavailable(f"easypost refuses the refund: {shipment.get('refund_status')}")
        return ShipmentCancelled(parcel_id)

    async def find_cancellation(self, parcel_id: str, shipment_id: str) -> ShipmentCancelled | None:
        shipment = await self._retrieved(shipment_id)
        refunded = shipment is not None and shipment.get("refund_status") in _REFUNDED
        return ShipmentCancelled(parcel_id) if refunded else None

    async def track(self, parcel_id: str, shipment_id: str) -> Sequence[News]:
        shipment = await self._retrieved(shipment_id)
        tracker = (shipment or {}).get("tracker") or {}
        return news_of(tracker.get("tracking_details") or ())

    async def label(self, parcel_id: str, shipment_id: str, format: LabelFormat) -> bytes | None:
        shipment = await self._easypost.asked(
            lambda client: client.shipment.label(shipment_id, file_format=format.upper())
        )
        url = (shipment.get("postage_label") or {}).get(f"label_{format}_url")
        return await self._fetched(url) if url else None

    def _asks(self, parcel: Parcel) -> dict[str, Any] | NotServed:
        sender, recipient = (parcel.address, self._shop) if parcel.return_of else (self._shop, parcel.address)
        ounces = self._settings.ounces_per_piece
        asks: dict[str, Any] = {
            "from_address": _address(sender),
            "to_address": _address(recipient),
            "parcel": {"weight": round(ounces * parcel.pieces, 1)},
        }
        if sender.country == recipient.country:
            return asks
        form = customs_info(self._settings.customs, parcel, self._shop.country, ounces)
        return form if isinstance(form, NotServed) else {**asks, "customs_info": form}

    async def _retrieved(self, id: str) -> Shipment | None:
        """By EasyPost's id, or by reference. None: there is none."""
        try:
            return await self._easypost.asked(lambda client: client.shipment.retrieve(id))
        except errors.NotFoundError:
            return None

    async def _fetched(self, url: str) -> bytes:
        limit = aiohttp.ClientTimeout(total=self._timeout_s)
        try:
            async with aiohttp.ClientSession(timeout=limit) as session, session.get(url) as answer:
                content = await answer.content.read(MAX_LABEL_BYTES + 1)
                if answer.status != HTTPStatus.OK or not content or len(content) > MAX_LABEL_BYTES:
                    raise OutsideUnavailable(f"easypost: label: {answer.status}, {len(content)} bytes")
                return content
        except (aiohttp.ClientError, TimeoutError) as error:
            raise OutsideUnavailable(f"easypost: label: {type(error).__name__}") from error


def _address(address: Address) -> dict[str, str]:
    return {
        "name": address.name,
        "street1": address.street,
        "city": address.city,
        "zip": address.postal_code,
        "country": address.country,
    }


def _offers(shipment: Shipment) -> list[Offer]:
    """Rates are decimals, in the currency of each carrier's account."""
    return [
        Offer(
            NAME,
            _service(rate),
            minor(Decimal(rate["rate"]), rate["currency"]),
            rate.get("delivery_days") or None,
            rate["currency"],
        )
        for rate in shipment.get("rates") or ()
    ]


def _service(rate: Mapping[str, Any]) -> str:
    return f"{rate['carrier']} {rate['service']}"


def _created(parcel_id: str, shipment: Shipment) -> ShipmentCreated | None:
    """A shipment without a tracking code was not bought."""
    number = shipment.get("tracking_code")
    return ShipmentCreated(parcel_id, shipment["id"], number, NAME) if number else None


def _code(error: errors.ApiError) -> str:
    """Never the message, which may repeat what was sent."""
    return str(error.code or "invalid_request")
