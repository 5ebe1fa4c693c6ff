"""The bodies of the order API."""

import hashlib
import re
from typing import Annotated, Literal, Self

import orjson
from pydantic import AfterValidator, Field, StringConstraints, model_validator

from services.orders.commands import Place
from services.orders.currencies import CURRENCIES
from services.orders.events import OrderLine, ShippingAddress
from triggers.http.bodies import Body, Identifier, Text

MAX_TOTAL = 2**53 - 1
"""Minor units. JSON numbers are doubles in Cosmos DB and in browsers: above this they are no longer exact."""

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


class Address(Body):
    name: Text
    street: Text
    city: Text
    postal_code: Text
    country: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]


class PlaceOrder(Body):
    customer_id: Identifier
    currency: Annotated[str, AfterValidator(currency_code)]
    lines: Annotated[list[Line], Field(min_length=1, max_length=1000)]
    shipping_address: Address
    payment_method: Annotated[
        str, StringConstraints(pattern=r"^[A-Za-z0-9._:-]{1,128}$"), AfterValidator(gateway_token)
    ]
    delivery: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,64}$")] = "standard"

    @model_validator(mode="after")
    def _total_is_exact(self) -> Self:
        if sum(line.quantity * line.unit_price for line in self.lines) > MAX_TOTAL:
            raise ValueError(f"the total of the lines must be at most {MAX_TOTAL}")
        return self

    def command(self, order_id: str) -> Place:
        digest = hashlib.sha256(orjson.dumps(self.model_dump(), option=orjson.OPT_SORT_KEYS)).hexdigest()
        return Place(
            order_id=order_id,
            customer_id=self.customer_id,
            currency=self.currency,
            lines=tuple(OrderLine(line.sku, line.quantity, line.unit_price) for line in self.lines),
            shipping_address=ShippingAddress(**self.shipping_address.model_dump()),
            payment_method=self.payment_method,
            delivery=self.delivery,
            request_digest=digest,
        )


class CancelOrder(Body):
    reason: Text | Literal[""] = ""
