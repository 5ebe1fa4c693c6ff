"""The cards that customers keep on file: the gateway's tokens, and what may be shown of a card.

A customer's methods are one document, so that one of them is the default and no two are. The gateway's
reference is given to the gateway alone. The id that is shown is made of it and the customer, so that the same
card is one method.
"""

import base64
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Literal, TypedDict

from pydantic import TypeAdapter, ValidationError

from core.decider import BrokenStream, Rejection
from core.documents import DocumentConflict, DocumentNotFound, Documents, PreconditionFailed
from core.json import JsonObject, Timestamp
from services.payments.gateway import Card, PaymentGateway
from services.payments.messages import Charge, Declined

CONTAINER = "payment-methods"
MOST = 20
"""Methods of one customer: they are read and written together."""

PREFIX = "card-"
DEFAULT = "default"

type Methods = tuple[Method, ...]


@dataclass(frozen=True, slots=True)
class Method:
    """`expired`: somebody said so, whatever the date on the card."""

    id: str
    reference: str
    brand: str
    last_four: str
    expiry_month: int
    expiry_year: int
    default: bool
    expired: bool
    added_at: datetime

    def is_expired(self, now: datetime) -> bool:
        return self.expired or is_past(self.expiry_month, self.expiry_year, now)


class PaymentMethod(TypedDict):
    """As it is shown: without the reference."""

    id: str
    brand: str
    last_four: str
    expiry_month: int
    expiry_year: int
    default: bool
    status: Literal["active", "expired"]
    added_at: Timestamp


class PaymentMethods(TypedDict):
    payment_methods: list[PaymentMethod]


class MethodNotFound(Rejection):
    def __init__(self) -> None:
        super().__init__("payment_method_not_found", "the customer has no such payment method")


class UnknownToken(Rejection):
    def __init__(self) -> None:
        super().__init__("unknown_token", "token: the payment gateway knows no card by it")


class CardExpired(Rejection):
    def __init__(self) -> None:
        super().__init__("card_expired", "the card has expired")


class TooManyMethods(Rejection):
    def __init__(self) -> None:
        super().__init__("too_many_payment_methods", f"a customer may have {MOST} payment methods at most")


def is_past(month: int, year: int, now: datetime) -> bool:
    """A card is good until its month ends, in UTC."""
    following = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
    return now >= following


async def read_methods(documents: Documents, customer_id: str) -> Methods:
    """In the order in which they were added."""
    return (await _read(documents, customer_id))[0]


async def add(
    documents: Documents, customer_id: str, card: Card | None, default: bool, now: datetime
) -> tuple[Method, bool]:
    """The method and whether it is new; `card` is what the gateway kept. The first is the default.

    Raises UnknownToken, CardExpired, TooManyMethods.
    """
    if card is None:
        raise UnknownToken
    if is_past(card.expiry_month, card.expiry_year, now):
        raise CardExpired
    id = method_id(customer_id, card.reference)
    new = False

    def change(methods: Methods) -> Methods:
        nonlocal new
        known = next((method for method in methods if method.id == id), None)
        new = known is None
        first = not any(method.default for method in methods)
        method = Method(
            id,
            card.reference,
            card.brand,
            card.last_four,
            card.expiry_month,
            card.expiry_year,
            default=known.default if known is not None else first,
            expired=False,
            added_at=known.added_at if known is not None else now,
        )
        if known is None:
            if len(methods) >= MOST:
                raise TooManyMethods
            methods = (*methods, method)
        else:
            methods = tuple(method if each.id == id else each for each in methods)
        return _with_default(methods, id) if default else methods

    return _one(await _change(documents, customer_id, change), id), new


async def set_default(documents: Documents, customer_id: str, id: str, now: datetime) -> Method:
    """Raises MethodNotFound, CardExpired."""

    def change(methods: Methods) -> Methods:
        if _one(methods, id).is_expired(now):
            raise CardExpired
        return _with_default(methods, id)

    return _one(await _change(documents, customer_id, change), id)


async def expire(documents: Documents, customer_id: str, id: str, now: datetime) -> Method:
    """It is no longer charged; another is the default, if there is a good one. Raises MethodNotFound."""

    def change(methods: Methods) -> Methods:
        expired = replace(_one(methods, id), expired=True)
        methods = tuple(expired if method.id == id else method for method in methods)
        return _without_default(methods, id, now) if expired.default else methods

    return _one(await _change(documents, customer_id, change), id)


async def remove(
    documents: Documents, gateway: PaymentGateway, customer_id: str, id: str, now: datetime
) -> None:
    """At the gateway first, so that what could not be removed there is still listed. Again, and it changes
    nothing. Raises OutsideUnavailable.
    """
    for method in await read_methods(documents, customer_id):
        if method.id == id:
            await gateway.forget(method.reference)

    def change(methods: Methods) -> Methods:
        default = any(method.default for method in methods if method.id == id)
        methods = _without_default(methods, id, now) if default else methods
        return tuple(method for method in methods if method.id != id)

    await _change(documents, customer_id, change)


async def token_for(documents: Documents, charge: Charge, now: datetime) -> str | Declined:
    """What to give the gateway: the token that the order names, without a request, or what was kept.

    Declined: `payment_method_not_found`, `payment_method_expired`.
    """
    named = charge.payment_method
    if not is_saved(named):
        return named
    methods = await read_methods(documents, charge.customer_id)
    for method in methods:
        if method.id == named or (named == DEFAULT and method.default):
            if method.is_expired(now):
                return Declined(charge.order_id, "payment_method_expired")
            return method.reference
    return Declined(charge.order_id, "payment_method_not_found")


def is_saved(payment_method: str) -> bool:
    """Whether an order names a method on file, and no gateway's token."""
    return payment_method == DEFAULT or payment_method.startswith(PREFIX)


def method_id(customer_id: str, reference: str) -> str:
    digest = blake2b(f"{customer_id}\n{reference}".encode(), digest_size=15).digest()
    return PREFIX + base64.b32encode(digest).decode().lower()


def shown(method: Method, now: datetime) -> PaymentMethod:
    return {
        "id": method.id,
        "brand": method.brand,
        "last_four": method.last_four,
        "expiry_month": method.expiry_month,
        "expiry_year": method.expiry_year,
        "default": method.default,
        "status": "expired" if method.is_expired(now) else "active",
        "added_at": method.added_at.isoformat(),
    }


def _one(methods: Methods, id: str) -> Method:
    for method in methods:
        if method.id == id:
            return method
    raise MethodNotFound


def _with_default(methods: Methods, id: str) -> Methods:
    return tuple(replace(method, default=method.id == id) for method in methods)


def _without_default(methods: Methods, id: str, now: datetime) -> Methods:
    """The oldest that can be charged takes its place."""
    others = [method.id for method in methods if method.id != id and not method.is_expired(now)]
    return _with_default(methods, others[0] if others else "")


async def _read(documents: Documents, customer_id: str) -> tuple[Methods, str | None]:
    try:
        stored = await documents.read(CONTAINER, customer_id, CONTAINER)
    except DocumentNotFound:
        return (), None
    try:
        return _METHODS.validate_python(stored.item["methods"]), stored.etag
    except ValidationError as error:
        raise BrokenStream(f"payment methods of {customer_id}: {error.error_count()} errors") from error


async def _change(documents: Documents, customer_id: str, change: Callable[[Methods], Methods]) -> Methods:
    """Under the ETag of what was read; again when somebody else was faster."""
    while True:
        before, etag = await _read(documents, customer_id)
        after = change(before)
        if after == before:
            return after
        item: JsonObject = {
            "id": CONTAINER,
            "customer_id": customer_id,
            "methods": [{**asdict(method), "added_at": method.added_at.isoformat()} for method in after],
        }
        try:
            if etag is None:
                await documents.create(CONTAINER, customer_id, item)
            else:
                await documents.replace(CONTAINER, customer_id, item, etag)
        except (DocumentConflict, PreconditionFailed, DocumentNotFound):
            continue
        return after


_METHODS: TypeAdapter[Methods] = TypeAdapter(tuple[Method, ...])
