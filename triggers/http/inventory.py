"""Stock as a person sets and sees it."""

from typing import Annotated

import azure.durable_functions as df
import azure.functions as func
from pydantic import AfterValidator, Field

from core.audit import Asked, recording, recording_refusals
from core.clock import Clock
from core.documents import Documents
from core.read_model_places import Places
from services.inventory.history import LedgerEntry, LedgerPage, entry, read_history
from services.inventory.low_stock import set_threshold
from services.inventory.movements import Adjustment, Booking, Count, Receipt, book, set_on_hand
from services.inventory.stock import MAX_ON_HAND, StockLevel, read_stock
from services.inventory.stock_levels import StockLevels, list_levels
from services.inventory.stock_projection import STOCK_LEVELS
from triggers.http.answers import Answer
from triggers.http.bodies import Body, Text, idempotency_key, path_identifier, read_body
from triggers.http.paging import continuation, going_on, page_limit
from triggers.http.problem import BadRequest, FieldError, answering
from triggers.http.routes import CONTINUATION, IDEMPOTENCY_KEY, Route, limit, of_service, query


def _not_zero(value: int) -> int:
    if value == 0:
        raise ValueError("must not be 0")
    return value


class SetOnHand(Body):
    on_hand: Annotated[int, Field(ge=0, le=MAX_ON_HAND)]
    reason: Text | None = None


class Receive(Body):
    quantity: Annotated[int, Field(ge=1, le=MAX_ON_HAND)]
    reference: Text | None = None

    def booking(self) -> Booking:
        return Receipt(self.quantity, self.reference)


class Adjust(Body):
    quantity: Annotated[int, Field(ge=-MAX_ON_HAND, le=MAX_ON_HAND), AfterValidator(_not_zero)]
    reason: Text

    def booking(self) -> Booking:
        return Adjustment(self.quantity, self.reason)


class TakeStock(Body):
    on_hand: Annotated[int, Field(ge=0, le=MAX_ON_HAND)]
    reference: Text

    def booking(self) -> Booking:
        return Count(self.on_hand, self.reference)


class SetThreshold(Body):
    threshold: Annotated[int, Field(ge=0, le=MAX_ON_HAND)]
    margin: Annotated[int, Field(ge=1, le=MAX_ON_HAND)] = 1


class BookedMovement(LedgerEntry):
    sku: str


LEVELS = Answer(StockLevels)
LEVEL = Answer(StockLevel)
BOOKED = Answer(BookedMovement)
LEDGER = Answer(LedgerPage)

ROUTES = of_service(
    "inventory",
    Route(
        "GET",
        "inventory",
        "list_inventory",
        "the stock levels by SKU",
        (LEVELS,),
        parameters=(
            query("low", "those that run low", {"type": "boolean", "default": False}),
            limit(),
            CONTINUATION,
        ),
    ),
    Route(
        "PUT",
        "inventory/{sku}",
        "put_inventory",
        "set what is on hand",
        (LEVEL,),
        (409,),
        body=SetOnHand,
        example={"on_hand": 7, "reason": "one broke"},
    ),
    Route("GET", "inventory/{sku}", "get_inventory", "the stock of a SKU", (LEVEL,), (404,)),
    Route(
        "POST",
        "inventory/{sku}/receipts",
        "receive_inventory",
        "goods came in",
        (BOOKED,),
        (404, 409),
        parameters=(IDEMPOTENCY_KEY,),
        body=Receive,
        example={"quantity": 5, "reference": "delivery note 12"},
    ),
    Route(
        "POST",
        "inventory/{sku}/adjustments",
        "adjust_inventory",
        "so many more or fewer",
        (BOOKED,),
        (404, 409),
        parameters=(IDEMPOTENCY_KEY,),
        body=Adjust,
        example={"quantity": -1, "reason": "one broke"},
    ),
    Route(
        "POST",
        "inventory/{sku}/counts",
        "count_inventory",
        "a stock-take",
        (BOOKED,),
        (404, 409),
        parameters=(IDEMPOTENCY_KEY,),
        body=TakeStock,
        example={"on_hand": 11, "reference": "stock-take of January"},
    ),
    Route(
        "GET",
        "inventory/{sku}/ledger",
        "get_inventory_ledger",
        "what changed the number on hand",
        (LEDGER,),
        (404,),
        parameters=(limit(), CONTINUATION),
    ),
    Route(
        "PUT",
        "inventory/{sku}/threshold",
        "put_inventory_threshold",
        "when it counts as low",
        (LEVEL,),
        (404,),
        body=SetThreshold,
        example={"threshold": 5, "margin": 2},
    ),
    Route(
        "DELETE",
        "inventory/{sku}/threshold",
        "delete_inventory_threshold",
        "it never counts as low",
        (LEVEL,),
        (404,),
    ),
)


def blueprint(documents: Documents, clock: Clock) -> df.Blueprint:
    bp = df.Blueprint()
    places = Places(documents)

    @bp.route(route="inventory", methods=["GET"])
    async def list_inventory(req: func.HttpRequest) -> func.HttpResponse:
        return await answering(lambda: _list(documents, places, req))

    @bp.route(route="inventory/{sku}", methods=["PUT"])
    async def put_inventory(req: func.HttpRequest) -> func.HttpResponse:
        return await answering(lambda: _put(documents, clock, req))

    @bp.route(route="inventory/{sku}", methods=["GET"])
    async def get_inventory(req: func.HttpRequest) -> func.HttpResponse:
        return await answering(lambda: _get(documents, req))

    @bp.route(route="inventory/{sku}/receipts", methods=["POST"])
    async def receive_inventory(req: func.HttpRequest) -> func.HttpResponse:
        return await answering(lambda: _book(documents, clock, req, Receive))

    @bp.route(route="inventory/{sku}/adjustments", methods=["POST"])
    async def adjust_inventory(req: func.HttpRequest) -> func.HttpResponse:
        return await answering(lambda: _book(documents, clock, req, Adjust))

    @bp.route(route="inventory/{sku}/counts", methods=["POST"])
    async def count_inventory(req: func.HttpRequest) -> func.HttpResponse:
        return await answering(lambda: _book(documents, clock, req, TakeStock))

    @bp.route(route="inventory/{sku}/ledger", methods=["GET"])
    async def get_inventory_ledger(req: func.HttpRequest) -> func.HttpResponse:
        return await answering(lambda: _ledger(documents, req))

    @bp.route(route="inventory/{sku}/threshold", methods=["PUT"])
    async def put_inventory_threshold(req: func.HttpRequest) -> func.HttpResponse:
        return await answering(lambda: _set_threshold(documents, clock, req))

    @bp.route(route="inventory/{sku}/threshold", methods=["DELETE"])
    async def delete_inventory_threshold(req: func.HttpRequest) -> func.HttpResponse:
        return await answering(lambda: _delete_threshold(documents, clock, req))

    return bp


async def _put(documents: Documents, clock: Clock, req: func.HttpRequest) -> func.HttpResponse:
    sku = path_identifier(req, "sku")
    body = read_body(req, SetOnHand)
    async with recording_refusals(documents, _asked(sku, SetOnHand), clock.now()):
        return LEVEL(await set_on_hand(documents, sku, body.on_hand, body.reason, clock.now()))


def _asked(sku: str, model: type[Body]) -> Asked:
    """As it is put on record."""
    return Asked(sku, f"inventory.{model.__name__}", "operator", sku)


async def _get(documents: Documents, req: func.HttpRequest) -> func.HttpResponse:
    return LEVEL(await read_stock(documents, path_identifier(req, "sku")))


async def _book(
    documents: Documents, clock: Clock, req: func.HttpRequest, model: type[Receive | Adjust | TakeStock]
) -> func.HttpResponse:
    """Answers the movement as the ledger shows it, the same for the same key."""
    sku = path_identifier(req, "sku")
    key = idempotency_key(req)
    booking = read_body(req, model).booking()
    async with recording_refusals(documents, _asked(sku, model), clock.now()):
        return BOOKED({"sku": sku, **entry(await book(documents, sku, key, booking, clock.now()))})


async def _set_threshold(documents: Documents, clock: Clock, req: func.HttpRequest) -> func.HttpResponse:
    sku = path_identifier(req, "sku")
    body = read_body(req, SetThreshold)
    async with recording(documents, _asked(sku, SetThreshold), clock.now()) as record:
        level = await set_threshold(documents, sku, body.threshold, body.margin)
        record.update(threshold=body.threshold, margin=body.margin)
    return LEVEL(level)


async def _delete_threshold(documents: Documents, clock: Clock, req: func.HttpRequest) -> func.HttpResponse:
    sku = path_identifier(req, "sku")
    async with recording(documents, _asked(sku, SetThreshold), clock.now()) as record:
        level = await set_threshold(documents, sku, None, 1)
        record["threshold"] = None
    return LEVEL(level)


async def _list(documents: Documents, places: Places, req: func.HttpRequest) -> func.HttpResponse:
    limit = page_limit(req)
    low = req.params.get("low", "false")
    if low not in {"true", "false"}:
        raise BadRequest([FieldError("low", "must be true or false")])
    with going_on():
        container = (await places.of(STOCK_LEVELS)).active
        page = await list_levels(documents, low == "true", limit, continuation(req), container)
    return LEVELS(page)


async def _ledger(documents: Documents, req: func.HttpRequest) -> func.HttpResponse:
    sku = path_identifier(req, "sku")
    limit = page_limit(req)
    with going_on():
        page = await read_history(documents, sku, limit, continuation(req))
    return LEDGER(page)
