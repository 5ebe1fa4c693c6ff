"""What the carriers would ask for a parcel, before anything is ordered."""

from typing import Annotated, TypedDict

import azure.durable_functions as df
import azure.functions as func
from pydantic import AfterValidator

from services.orders.requests import contents
from services.shipping import messages
from services.shipping.calls import Carriers
from services.shipping.carrier import Parcel
from services.shipping.offers import Offer
from triggers.http.answers import Answer
from triggers.http.bodies import Body, read_body
from triggers.http.order_requests import ADDRESS, Address, Delivery, Lines, currency_code, order_lines
from triggers.http.problem import answering
from triggers.http.routes import Route, of_service


class QuoteParcel(Body):
    """As `PlaceOrder`, of what the carriers need to know."""

    currency: Annotated[str, AfterValidator(currency_code)]
    lines: Lines
    shipping_address: Address
    delivery: Delivery = "standard"

    def parcel(self) -> Parcel:
        lines = order_lines(self.lines)
        return Parcel(
            "",
            messages.Address(**self.shipping_address.model_dump()),
            self.delivery,
            sum(line.quantity for line in lines),
            contents=contents((line, line.quantity) for line in lines),
            currency=self.currency,
        )


class Quotes(TypedDict):
    """`offers`: one a carrier, in the order in which they would be asked for the parcel. `not_served`: the
    code with which the shipment would be refused, when there is none; else empty.
    """

    offers: list[Offer]
    not_served: str


QUOTED = Answer(Quotes)

ROUTES = of_service(
    "shipping",
    Route(
        "POST",
        "shipping/quotes",
        "quote_parcel",
        "what the carriers would ask for a parcel; orders nothing",
        (QUOTED,),
        body=QuoteParcel,
        example={
            "currency": "GBP",
            "lines": [{"sku": "TEAPOT", "quantity": 2, "unit_price": 2495}],
            "shipping_address": ADDRESS,
            "delivery": "express",
        },
    ),
)


def blueprint(carriers: Carriers) -> df.Blueprint:
    bp = df.Blueprint()

    @bp.route(route="shipping/quotes", methods=["POST"])
    async def quote_parcel(req: func.HttpRequest) -> func.HttpResponse:
        return await answering(lambda: _quote(carriers, req))

    return bp


async def _quote(carriers: Carriers, req: func.HttpRequest) -> func.HttpResponse:
    offers, not_served = await carriers.offers(read_body(req, QuoteParcel).parcel())
    return QUOTED({"offers": list(offers), "not_served": "" if offers else not_served})
