"""The rules of a shipment: at most one live one an order, and none once its cancellation was answered."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from core.decider import Decider
from services.shipping.events import CancelStarted, CancelWanted, CreateStarted, ShipmentEvent
from services.shipping.messages import (
    CancelShipment,
    CreateShipment,
    ShipmentCancelled,
    ShipmentCreated,
    ShipmentRefused,
)
from services.shipping.state import CANCELLATION_CAME_FIRST, Shipment, evolve
from services.shipping.tracking import RecordNews, RecordSilence, record_news, record_silence


@dataclass(frozen=True, slots=True)
class StartCreate:
    """The command, with the deadline of the call that it may lead to.

    return_of: the order whose goods the parcel brings back, if it does.
    """

    create: CreateShipment
    deadline: datetime
    return_of: str = ""


@dataclass(frozen=True, slots=True)
class RecordCreate:
    """The carrier's answer, with the deadline of the cancellation that it may lead to."""

    result: ShipmentCreated | ShipmentRefused
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
    | ShipmentNotFound
    | StartCancel
    | RecordCancel
    | CancellationNotFound
    | RecordNews
    | RecordSilence
)


def decide(  # noqa: PLR0911  (one for each command)
    state: Shipment, command: ShipmentCommand, now: datetime
) -> Sequence[ShipmentEvent]:
    match command:
        case StartCreate():
            return _start_create(state, command)
        case RecordCreate():
            return _record_create(state, command)
        case ShipmentNotFound():
            return _shipment_not_found(state, command)
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
        case _:
            assert_never(command)


def _start_create(state: Shipment, command: StartCreate) -> Sequence[ShipmentEvent]:
    order_id = command.create.order_id
    if state.status == "none":
        return [CreateStarted(order_id, 1, command.deadline, command.return_of)]
    if state.status == "cancelled" and not state.create_answer:
        return [ShipmentRefused(order_id, CANCELLATION_CAME_FIRST)]
    return []


def _record_create(state: Shipment, command: RecordCreate) -> Sequence[ShipmentEvent]:
    match command.result:
        case ShipmentCreated() as created:
            if state.shipment_id:
                return []
            if state.status == "creating" and not state.cancel_wanted:
                return [created]
            # Also when the order was told that nothing was created, and something was: cancel it.
            return [created, CancelStarted(created.order_id, 1, command.deadline)]
        case ShipmentRefused() as refused:
            return _closed(state, refused) if state.status == "creating" else []


def _shipment_not_found(state: Shipment, command: ShipmentNotFound) -> Sequence[ShipmentEvent]:
    if state.status != "creating" or not _is_current(state, command.attempt):
        return []
    if state.cancel_wanted:
        return _closed(state, ShipmentRefused(state.order_id, CANCELLATION_CAME_FIRST))
    return [CreateStarted(state.order_id, command.attempt + 1, command.deadline, state.return_of)]


def _start_cancel(state: Shipment, command: StartCancel) -> Sequence[ShipmentEvent]:
    match state.status:
        case "none" | "refused":
            return [ShipmentCancelled(command.cancel.order_id)]
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
    container="shipments", state=Shipment, initial=Shipment(), decide=decide, evolve=evolve, schema=2
)
