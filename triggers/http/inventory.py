"""Stock as a person sets and sees it."""

from dataclasses import asdict
from typing import Annotated

import azure.durable_functions as df
import azure.functions as func
from pydantic import AfterValidator, Field

from core.audit import Asked, recording_refusals
from core.clock import Clock
from core.documents import BadDocumentRequest, Documents
from core.read_model_places import Places
from services.inventory.history import entry, read_history
from services.inventory.low_stock import set_threshold
from services.inventory.movements import Adjustment, Booking, Count, Receipt, book, set_on_hand
from services.inventory.stock import MAX_ON_HAND, read_stock
from services.inventory.stock_levels import list_levels
from services.inventory.stock_projection import STOCK_LEVELS
from triggers.http.bodies import Body, Text, idempotency_key, page_limit, path_identifier, read_body
from triggers.http.problem import BadRequest, FieldError, answer, answering
from triggers.http.routes import CONTINUATION, IDEMPOTENCY_KEY, Route, limit, query


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


ROUTES = (
    Route(
        "GET",
        "inventory",
        "list_inventory",
        "the stock levels by SKU",
        parameters=(
            query("low", "those that run low", {"type": "boolean", "default": False}),
            limit(),
            CONTINUATION,
        ),
    ),
    Route("PUT", "inventory/{sku}", "put_inventory", "set what is on hand", errors=(409,), body=SetOnHand),
    Route("GET", "inventory/{sku}", "get_inventory", "the stock of a SKU", errors=(404,)),
    Route(
        "POST",
        "inventory/{sku}/receipts",
        "receive_inventory",
        "goods came in",
        errors=(404, 409),
        parameters=(IDEMPOTENCY_KEY,),
        body=Receive,
    ),
    Route(
        "POST",
        "inventory/{sku}/adjustments",
        "adjust_inventory",
        "so many more or fewer",
        errors=(404, 409),
        parameters=(IDEMPOTENCY_KEY,),
        body=Adjust,
    ),
    Route(
        "POST",
        "inventory/{sku}/counts",
        "count_inventory",
        "a stock-take",
        errors=(404, 409),
        parameters=(IDEMPOTENCY_KEY,),
        body=TakeStock,
    ),
    Route(
        "GET",
        "inventory/{sku}/ledger",
        "get_inventory_ledger",
        "what changed the number on hand",
        errors=(404,),
        parameters=(limit(), CONTINUATION),
    ),
    Route(
        "PUT",
        "inventory/{sku}/threshold",
        "put_inventory_threshold",
        "when it counts as low",
        errors=(404,),
        body=SetThreshold,
    ),
    Route(
        "DELETE",
        "inventory/{sku}/threshold",
        "delete_inventory_threshold",
        "it never counts as low",
        errors=(404,),
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
        return await answering(lambda: _set_threshold(documents, req))

    @bp.route(route="inventory/{sku}/threshold", methods=["DELETE"])
    async def delete_inventory_threshold(req: func.HttpRequest) -> func.HttpResponse:
        return await answering(lambda: _delete_threshold(documents, req))

    return bp


async def _put(documents: Documents, clock: Clock, req: func.HttpRequest) -> func.HttpResponse:
    sku = path_identifier(req, "sku")
    body = read_body(req, SetOnHand)
    async with recording_refusals(documents, _asked(sku, SetOnHand), clock.now()):
        return answer(asdict(await set_on_hand(documents, sku, body.on_hand, body.reason, clock.now())))


def _asked(sku: str, model: type[Body]) -> Asked:
    """As it is put on record if it is refused."""
    return Asked(sku, f"inventory.{model.__name__}", "operator", sku)


async def _get(documents: Documents, req: func.HttpRequest) -> func.HttpResponse:
    return answer(asdict(await read_stock(documents, path_identifier(req, "sku"))))


async def _book(
    documents: Documents, clock: Clock, req: func.HttpRequest, model: type[Receive | Adjust | TakeStock]
) -> func.HttpResponse:
    """Answers the movement as the ledger shows it, the same for the same key."""
    sku = path_identifier(req, "sku")
    key = idempotency_key(req)
    booking = read_body(req, model).booking()
    async with recording_refusals(documents, _asked(sku, model), clock.now()):
        return answer({"sku": sku, **entry(await book(documents, sku, key, booking, clock.now()))})


async def _set_threshold(documents: Documents, req: func.HttpRequest) -> func.HttpResponse:
    sku = path_identifier(req, "sku")
    body = read_body(req, SetThreshold)
    return answer(asdict(await set_threshold(documents, sku, body.threshold, body.margin)))


async def _delete_threshold(documents: Documents, req: func.HttpRequest) -> func.HttpResponse:
    return answer(asdict(await set_threshold(documents, path_identifier(req, "sku"), None, 1)))


async def _list(documents: Documents, places: Places, req: func.HttpRequest) -> func.HttpResponse:
    limit = page_limit(req)
    low = req.params.get("low", "false")
    if low not in {"true", "false"}:
        raise BadRequest([FieldError("low", "must be true or false")])
    try:
        container = (await places.of(STOCK_LEVELS)).active
        page = await list_levels(documents, low == "true", limit, _continuation(req), container)
    except BadDocumentRequest as error:
        raise _bad_continuation() from error
    return answer(page)


async def _ledger(documents: Documents, req: func.HttpRequest) -> func.HttpResponse:
    sku = path_identifier(req, "sku")
    limit = page_limit(req)
    try:
        page = await read_history(documents, sku, limit, _continuation(req))
    except BadDocumentRequest as error:
        raise _bad_continuation() from error
    return answer(page)


def _continuation(req: func.HttpRequest) -> str | None:
    return req.params.get("continuation") or None


def _bad_continuation() -> BadRequest:
    return BadRequest([FieldError("continuation", "must be what the page before gave for the same query")])
