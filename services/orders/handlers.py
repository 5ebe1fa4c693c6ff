"""What a customer and an operator may ask of an order."""

import hashlib
from base64 import b32encode
from dataclasses import dataclass

from core.audit import Asked, recording_refusals
from core.clock import Clock
from core.decider import Cause, Loaded, Outcome, execute, load
from core.documents import Documents
from core.envelope import Envelope
from services.orders.commands import (
    ChangeAddress,
    NoteLateReply,
    OrderCommand,
    Place,
    RequestCancel,
    RequestReplacement,
)
from services.orders.decider import ORDERS
from services.orders.events import OrderEvent
from services.orders.state import OrderState

type OrderOutcome = Outcome[OrderState, OrderEvent]


@dataclass(frozen=True, slots=True)
class Orders:
    documents: Documents
    clock: Clock


def order_id(customer_id: str, idempotency_key: str) -> str:
    """The same key of the same customer is the same order, so that a repeated request finds it."""
    digest = hashlib.sha256(f"{customer_id}\n{idempotency_key}".encode()).digest()
    return _id(digest)


def replacement_id(order_id: str, idempotency_key: str) -> str:
    """As `order_id`; no customer's id has a line break, so neither comes out where the other does."""
    digest = hashlib.sha256(f"{order_id}\nreplaced\n{idempotency_key}".encode()).digest()
    return _id(digest)


def _id(digest: bytes) -> str:
    return "ord-" + b32encode(digest).decode("ascii").lower()[:20]


async def place(orders: Orders, command: Place, traceparent: str) -> OrderOutcome:
    """One request for a new order; no events when it was placed before. Raises IdempotencyKeyReused."""
    stream = command.order_id
    cause = _cause(stream, "place", traceparent, actor=f"customer:{command.customer_id}")
    return await _execute(orders, stream, command, cause, Loaded(ORDERS.initial))


async def request_cancel(orders: Orders, stream: str, reason: str, traceparent: str) -> OrderOutcome:
    """Raises OrderNotFound, CannotCancel."""
    return await _by_customer(orders, stream, "cancel", RequestCancel(reason), traceparent)


async def change_address(
    orders: Orders, stream: str, command: ChangeAddress, traceparent: str
) -> OrderOutcome:
    """Raises OrderNotFound, CannotChange, IsReplaced."""
    return await _by_customer(orders, stream, "change_address", command, traceparent)


async def request_replacement(
    orders: Orders, stream: str, command: RequestReplacement, traceparent: str
) -> OrderOutcome:
    """Raises OrderNotFound, CannotChange, IsReplaced, IdempotencyKeyReused."""
    return await _by_customer(orders, stream, "replace", command, traceparent)


async def note_late_reply(orders: Orders, reply: Envelope) -> None:
    """Changes nothing but the record: the outcome stands on the stream of the service that replied.

    Raises OrderNotFound.
    """
    cause = Cause(f"{reply.id}:noted", reply.subject, reply.id, reply.traceparent, reply.source)
    await _execute(orders, reply.subject, NoteLateReply(reply.type, reply.id), cause)


async def load_for_customer(orders: Orders, stream: str) -> tuple[Loaded[OrderState], str]:
    """The order as it is, to decide on without another request, and its customer as the actor."""
    loaded = await load(orders.documents, ORDERS, stream)
    return loaded, f"customer:{loaded.state.customer_id}" if loaded.version else "customer"


async def _by_customer(
    orders: Orders, stream: str, what: str, command: OrderCommand, traceparent: str
) -> OrderOutcome:
    loaded, actor = await load_for_customer(orders, stream)
    return await _execute(orders, stream, command, _cause(stream, what, traceparent, actor), loaded)


def _cause(stream: str, what: str, traceparent: str, actor: str) -> Cause:
    return Cause(f"{stream}:orders.{what}", stream, f"{stream}:orders.{what}", traceparent, actor)


async def _execute(
    orders: Orders,
    stream: str,
    command: OrderCommand,
    cause: Cause,
    loaded: Loaded[OrderState] | None = None,
) -> OrderOutcome:
    now = orders.clock.now()
    async with recording_refusals(orders.documents, asked(stream, command, cause), now):
        return await execute(orders.documents, ORDERS, stream, command, cause, now, loaded=loaded)


def asked(stream: str, command: OrderCommand, cause: Cause) -> Asked:
    """As it is put on record if it is refused."""
    name = f"orders.{type(command).__name__}"
    return Asked(stream, name, cause.actor, cause.correlation_id, cause.traceparent)
