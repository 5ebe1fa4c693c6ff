"""The rules of a shipment: at most one live one an order, and none once its cancellation was answered.

What a carrier books after all that patience is the matter of strays.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from core.decider import Decider
from services.shipping.events import CancelStarted, CancelWanted, CarrierFailed, CreateStarted, ShipmentEvent
from services.shipping.messages import (
    Address,
    CancelShipment,
    ShipmentCancelled,
    ShipmentCreated,
    ShipmentRefused,
)
from services.shipping.offers import Offer
from services.shipping.state import CANCELLATION_CAME_FIRST, Shipment, evolve, next_offer
from services.shipping.strays import (
    RecordLook,
    RecordNoLook,
    RecordStrayCancelled,
    RecordStrayKept,
    StrayCommand,
    decide_stray,
    first_look,
    found_late,
)
from services.shipping.tracking import RecordNews, RecordSilence, record_news, record_silence

NOT_SERVED = "not_served"


@dataclass(frozen=True, slots=True)
class StartCreate:
    """`deadline` is of the call that it may lead to.

    offers: one a carrier, best first; none: no carrier serves the destination, because of `not_served`.
    return_of: the order whose goods the parcel brings back, if it does.
    address, pieces: what the label says.
    """

    parcel_id: str
    deadline: datetime
    offers: tuple[Offer, ...]
    return_of: str = ""
    address: Address | None = None
    pieces: int = 0
    not_served: str = NOT_SERVED


@dataclass(frozen=True, slots=True)
class RecordCreate:
    """The answer of the carrier of this attempt, with the deadline of the call that may follow it."""

    result: ShipmentCreated | ShipmentRefused
    attempt: int
    deadline: datetime


@dataclass(frozen=True, slots=True)
class CarrierIsDown:
    """The carrier of this attempt has done nothing, for certain, and can do nothing for the moment.

    `deadline` is of the call to the next one, if there is one.
    """

    attempt: int
    deadline: datetime


@dataclass(frozen=True, slots=True)
class ShipmentNotFound:
    """After the deadline of this attempt the carrier knows of no shipment."""

    attempt: int
    deadline: datetime


@dataclass(frozen=True, slots=True)
class StartCancel:
    cancel: CancelShipment
    deadline: datetime


@dataclass(frozen=True, slots=True)
class RecordCancel:
    result: ShipmentCancelled


@dataclass(frozen=True, slots=True)
class CancellationNotFound:
    """After the deadline of this attempt the carrier knows of no cancellation."""

    attempt: int
    deadline: datetime


type ShipmentCommand = (
    StartCreate
    | RecordCreate
    | CarrierIsDown
    | ShipmentNotFound
    | StartCancel
    | RecordCancel
    | CancellationNotFound
    | RecordNews
    | RecordSilence
    | StrayCommand
)


def decide(  # noqa: PLR0911  (one for each command)
    state: Shipment, command: ShipmentCommand, now: datetime
) -> Sequence[ShipmentEvent]:
    match command:
        case StartCreate():
            return _start_create(state, command)
        case RecordCreate():
            return _record_create(state, command, now)
        case CarrierIsDown():
            return _carrier_is_down(state, command)
        case ShipmentNotFound():
            return _shipment_not_found(state, command, now)
        case StartCancel():
            return _start_cancel(state, command)
        case RecordCancel():
            return [command.result] if state.status == "cancelling" else []
        case CancellationNotFound():
            return _cancellation_not_found(state, command)
        case RecordNews():
            return record_news(state, command)
        case RecordSilence():
            return record_silence(state, now)
        case RecordLook() | RecordNoLook() | RecordStrayCancelled() | RecordStrayKept():
            return decide_stray(state, command, now)
        case _:
            assert_never(command)


def _start_create(state: Shipment, command: StartCreate) -> Sequence[ShipmentEvent]:
    order_id = command.parcel_id
    if state.status == "none":
        if not command.offers:
            return [ShipmentRefused(order_id, command.not_served)]
        best = command.offers[0]
        return [
            CreateStarted(
                order_id,
                1,
                command.deadline,
                command.return_of,
                best.carrier,
                best.service,
                command.offers,
                command.address,
                command.pieces,
            )
        ]
    if state.status == "creating" and state.intent is None:
        return [_next_attempt(state, command.deadline)]
    if state.status == "cancelled" and not state.create_answer:
        return [ShipmentRefused(order_id, CANCELLATION_CAME_FIRST)]
    return []


def _record_create(state: Shipment, command: RecordCreate, now: datetime) -> Sequence[ShipmentEvent]:
    current = state.status == "creating" and _is_current(state, command.attempt)
    match command.result:
        case ShipmentCreated() as created:
            if not current:
                return found_late(state, created, now)
            if not state.cancel_wanted:
                return [created]
            return [created, CancelStarted(created.order_id, 1, command.deadline)]
        case ShipmentRefused() as refused:
            return _refused(state, refused, command.deadline) if current else []


def _refused(state: Shipment, refused: ShipmentRefused, deadline: datetime) -> Sequence[ShipmentEvent]:
    """Another carrier is asked, if there is one and the parcel is still wanted."""
    failed = CarrierFailed(state.order_id, state.carrier, refused.reason, refused=True)
    after = evolve(state, failed)
    if state.cancel_wanted or not after.offers:
        return _closed(state, refused)
    return [failed, _next_attempt(after, deadline)]


def _carrier_is_down(state: Shipment, command: CarrierIsDown) -> Sequence[ShipmentEvent]:
    """The next one is asked. When all have been, nothing is under way, so that nothing is in doubt: the
    command comes again, or its undo.
    """
    if state.status != "creating" or not _is_current(state, command.attempt):
        return []
    if state.cancel_wanted:
        return _closed(state, ShipmentRefused(state.order_id, CANCELLATION_CAME_FIRST))
    failed = CarrierFailed(state.order_id, state.carrier, "out_of_service", refused=False)
    if next_offer(state) is None:
        return [failed]
    return [failed, _next_attempt(evolve(state, failed), command.deadline)]


def _shipment_not_found(state: Shipment, command: ShipmentNotFound, now: datetime) -> Sequence[ShipmentEvent]:
    if state.status != "creating" or not _is_current(state, command.attempt):
        return []
    look_at = first_look(now)
    failed = CarrierFailed(state.order_id, state.carrier, "no_answer", refused=False, look_at=look_at)
    if state.cancel_wanted:
        return [failed, *_closed(state, ShipmentRefused(state.order_id, CANCELLATION_CAME_FIRST))]
    return [failed, _next_attempt(evolve(state, failed), command.deadline)]


def _next_attempt(state: Shipment, deadline: datetime) -> CreateStarted:
    """With the best carrier that was not asked in this round; when all were, with the best, in a new one."""
    offer = next_offer(state) or state.offers[0]
    return CreateStarted(
        state.order_id, state.attempts + 1, deadline, state.return_of, offer.carrier, offer.service
    )


def _start_cancel(state: Shipment, command: StartCancel) -> Sequence[ShipmentEvent]:
    match state.status:
        case "none" | "refused":
            return [ShipmentCancelled(command.cancel.order_id)]
        case "creating" if state.intent is None:
            return [
                ShipmentRefused(state.order_id, CANCELLATION_CAME_FIRST),
                ShipmentCancelled(state.order_id),
            ]
        case "creating":
            return [] if state.cancel_wanted else [CancelWanted(state.order_id)]
        case "created":
            return [CancelStarted(state.order_id, 1, command.deadline)]
        case "cancelling" | "cancelled":
            return []


def _cancellation_not_found(state: Shipment, command: CancellationNotFound) -> Sequence[ShipmentEvent]:
    if state.status == "cancelling" and _is_current(state, command.attempt):
        return [CancelStarted(state.order_id, command.attempt + 1, command.deadline)]
    return []


def _closed(state: Shipment, refused: ShipmentRefused) -> Sequence[ShipmentEvent]:
    return [refused, ShipmentCancelled(state.order_id)] if state.cancel_wanted else [refused]


def _is_current(state: Shipment, attempt: int) -> bool:
    return state.intent is not None and state.intent.attempt == attempt


SHIPMENTS: Decider[Shipment, ShipmentCommand, ShipmentEvent] = Decider(
    container="shipments", state=Shipment, initial=Shipment(), decide=decide, evolve=evolve, schema=3
)
