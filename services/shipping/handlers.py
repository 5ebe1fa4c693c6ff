"""Carries out the commands of shipping: two document requests and one of the carrier for a shipment."""

from collections.abc import Sequence

from core.bus import Bus
from core.clock import Clock
from core.contracts import contract_name
from core.decider import Loaded
from core.documents import Documents
from core.envelope import Envelope, check_command, command_id
from core.outside_call import Intent, OutsideCall, carry_out, deadline
from services.shipping.carrier import Carrier
from services.shipping.decider import (
    SHIPMENTS,
    CancellationNotFound,
    RecordCancel,
    RecordCreate,
    ShipmentCommand,
    ShipmentNotFound,
    StartCancel,
    StartCreate,
)
from services.shipping.events import CancelStarted, CreateStarted
from services.shipping.messages import (
    CancelReturn,
    CancelShipment,
    CheckParcel,
    CreateReturn,
    CreateShipment,
    ReturnCancelled,
    ReturnCreated,
    ReturnRefused,
    ShipmentCancelled,
    ShipmentCreated,
    ShipmentRefused,
    TrackParcel,
)
from services.shipping.state import Shipment
from services.shipping.tracking_handlers import check_parcel, track

CREATE = contract_name(CreateShipment)
CANCEL = contract_name(CancelShipment)
CREATE_RETURN = contract_name(CreateReturn)
CANCEL_RETURN = contract_name(CancelReturn)
COMMANDS = frozenset({CREATE, CANCEL, CREATE_RETURN, CANCEL_RETURN}) | {
    contract_name(told) for told in (TrackParcel, CheckParcel)
}

type Answer = ShipmentCreated | ShipmentRefused | ShipmentCancelled


async def handle_command(
    documents: Documents, bus: Bus, carrier: Carrier, clock: Clock, timeout_s: float, command: Envelope
) -> None:
    """Create or cancel, once, and answer; or record what became of a parcel. `timeout_s` is how long the
    carrier may take.

    A parcel that comes back is a shipment of its own, whose business key is the return.
    Raises InvalidContract, OutcomeUnknown and the transient errors of documents and bus; repeating is safe.
    """
    asked = command.data
    if isinstance(asked, TrackParcel):
        return await track(documents, bus, clock, command, asked)
    if isinstance(asked, CheckParcel):
        return await check_parcel(documents, bus, carrier, clock, timeout_s, command, asked)
    return_id = asked.return_id if isinstance(asked, CreateReturn | CancelReturn) else ""
    check_command(command, asked.order_id, return_id)
    parcel = return_id or asked.order_id
    order = _of_parcel(asked, parcel)
    limit = deadline(clock.now(), timeout_s)
    start: ShipmentCommand = (
        StartCreate(order, limit, asked.order_id if return_id else "")
        if isinstance(order, CreateShipment)
        else StartCancel(order, limit)
    )

    def under_way(state: Shipment) -> OutsideCall[ShipmentCommand] | None:
        if state.intent is None:
            return None
        if state.status == "creating":
            return _create_call(carrier, clock, timeout_s, state, state.intent, order)
        return _cancel_call(carrier, clock, timeout_s, state, state.intent)

    def answers_here(before: Shipment, after: Shipment) -> Sequence[tuple[str, object]]:
        found = answers(before, after)
        return [_of_return(asked.order_id, return_id, answer) for answer in found] if return_id else found

    await carry_out(
        documents,
        bus,
        clock,
        SHIPMENTS,
        command,
        start,
        loaded=Loaded(SHIPMENTS.initial) if isinstance(order, CreateShipment) else None,
        answers=answers_here,
        under_way=under_way,
        stream=parcel,
    )
    return None


def answers(before: Shipment, after: Shipment) -> Sequence[tuple[str, Answer]]:
    """What this change of state answers, with the type of the command that it answers."""
    found: list[tuple[str, Answer]] = []
    if after.create_answer and not before.create_answer:
        if after.create_answer == "created":
            found.append((CREATE, ShipmentCreated(after.order_id, after.shipment_id, after.tracking_number)))
        else:
            found.append((CREATE, ShipmentRefused(after.order_id, after.reason)))
    if after.cancel_answered and not before.cancel_answered:
        found.append((CANCEL, ShipmentCancelled(after.order_id)))
    return found


def _of_parcel(
    asked: CreateShipment | CancelShipment | CreateReturn | CancelReturn, parcel: str
) -> CreateShipment | CancelShipment:
    match asked:
        case CreateReturn():
            return CreateShipment(parcel, asked.address, asked.delivery, asked.pieces)
        case CancelReturn():
            return CancelShipment(parcel)
        case _:
            return asked


def _of_return(order_id: str, return_id: str, answer: tuple[str, Answer]) -> tuple[str, object]:
    """The answer of a shipment as one of a return, with what follows the order in its command's id."""
    match answer[1]:
        case ShipmentCreated() as created:
            return f"{CREATE_RETURN}:{return_id}", ReturnCreated(
                order_id, return_id, created.shipment_id, created.tracking_number
            )
        case ShipmentRefused() as refused:
            return f"{CREATE_RETURN}:{return_id}", ReturnRefused(order_id, return_id, refused.reason)
        case ShipmentCancelled():
            return f"{CANCEL_RETURN}:{return_id}", ReturnCancelled(order_id, return_id)


def _create_call(
    carrier: Carrier,
    clock: Clock,
    timeout_s: float,
    state: Shipment,
    intent: Intent,
    order: CreateShipment | CancelShipment,
) -> OutsideCall[ShipmentCommand]:
    async def call() -> ShipmentCommand:
        assert isinstance(order, CreateShipment)  # noqa: S101  (only its delivery opens this intent)
        result = await carrier.create(
            command_id(order.order_id, CREATE), order.order_id, order.address, order.delivery, order.pieces
        )
        return RecordCreate(result, deadline(clock.now(), timeout_s))

    async def find() -> ShipmentCommand:
        found = await carrier.find_shipment(state.order_id)
        limit = deadline(clock.now(), timeout_s)
        return ShipmentNotFound(intent.attempt, limit) if found is None else RecordCreate(found, limit)

    return OutsideCall(intent, CreateStarted, call, find)


def _cancel_call(
    carrier: Carrier, clock: Clock, timeout_s: float, state: Shipment, intent: Intent
) -> OutsideCall[ShipmentCommand]:
    async def call() -> ShipmentCommand:
        key = command_id(state.order_id, CANCEL)
        return RecordCancel(await carrier.cancel(key, state.order_id, state.shipment_id))

    async def find() -> ShipmentCommand:
        found = await carrier.find_cancellation(state.order_id)
        if found is None:
            return CancellationNotFound(intent.attempt, deadline(clock.now(), timeout_s))
        return RecordCancel(found)

    return OutsideCall(intent, CancelStarted, call, find)
