"""The bodies of the order API."""

import hashlib
import re
from typing import Annotated, Literal

import orjson
from pydantic import AfterValidator, Field, StringConstraints

from core.json import Json
from services.orders.commands import Place, RequestReplacement
from services.orders.currencies import CURRENCIES
from services.orders.events import OrderLine, ShippingAddress
from triggers.http.bodies import Body, Identifier, Text

MAX_TOTAL = 2**53 - 1
"""Minor units. JSON numbers are doubles in Cosmos DB and in browsers: above this they are no longer exact."""

MAX_LINES = 1000

_CARD_NUMBER = re.compile(r"(?:\d[ -]?){13,19}")


def currency_code(value: str) -> str:
    if value not in CURRENCIES:
        raise ValueError("must be the ISO 4217 code of a currency, in capitals")
    return value


def gateway_token(value: str) -> str:
    """A card number must reach neither a message nor a stream nor a log."""
    if _CARD_NUMBER.search(value):
        raise ValueError("must be a gateway's token, not a card number")
    return value


class Line(Body):
    sku: Identifier
    quantity: Annotated[int, Field(ge=1, le=1_000_000)]
    unit_price: Annotated[int, Field(ge=1, le=100_000_000)]


def total_is_exact(lines: list[Line]) -> list[Line]:
    if sum(line.quantity * line.unit_price for line in lines) > MAX_TOTAL:
        raise ValueError(f"the total of the lines must be at most {MAX_TOTAL}")
    return lines


def order_lines(lines: list[Line]) -> tuple[OrderLine, ...]:
    return tuple(OrderLine(line.sku, line.quantity, line.unit_price) for line in lines)


def digest(body: Body) -> str:
    """Tells a repeat of the request from another with the same key. What is left out counts for nothing, so
    that a field that is new changes nothing for those who do not send it."""
    given = body.model_dump(exclude_none=True)
    return hashlib.sha256(orjson.dumps(given, option=orjson.OPT_SORT_KEYS)).hexdigest()


ADDRESS: Json = {
    "name": "Ada Lovelace",
    "street": "12 St James Square",
    "city": "London",
    "postal_code": "SW1Y 4JH",
    "country": "GB",
}
"""An example."""


class Address(Body):
    name: Text
    street: Text
    city: Text
    postal_code: Text
    country: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]

    def value(self) -> ShippingAddress:
        return ShippingAddress(**self.model_dump())


type Lines = Annotated[list[Line], Field(min_length=1, max_length=MAX_LINES), AfterValidator(total_is_exact)]


type PaysBy = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9._:-]{1,128}$"), AfterValidator(gateway_token)
]
"""A gateway's token, the id of a method on file, or `default`."""


type Delivery = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,64}$")]


class PlaceOrder(Body):
    customer_id: Identifier
    currency: Annotated[str, AfterValidator(currency_code)]
    lines: Lines
    shipping_address: Address
    payment_method: PaysBy
    delivery: Delivery = "standard"

    def command(self, order_id: str) -> Place:
        return Place(
            order_id=order_id,
            customer_id=self.customer_id,
            currency=self.currency,
            lines=order_lines(self.lines),
            shipping_address=self.shipping_address.value(),
            payment_method=self.payment_method,
            delivery=self.delivery,
            request_digest=digest(self),
        )


class ReplaceOrder(Body):
    """Without `payment_method` the other order is paid as this one."""

    lines: Lines
    payment_method: PaysBy | None = None

    def command(self, replacement_id: str) -> RequestReplacement:
        lines, method = order_lines(self.lines), self.payment_method or ""
        return RequestReplacement(replacement_id, lines, digest(self), method)


class CancelOrder(Body):
    reason: Text | Literal[""] = ""
