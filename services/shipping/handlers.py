"""Carries out the commands of shipping: two document requests and one of the carrier for a shipment."""

from collections.abc import Sequence

from core.bus import Bus
from core.contracts import contract_name
from core.decider import Loaded
from core.documents import Documents
from core.envelope import Envelope, check_command
from core.outside_call import carry_out
from core.resilience import TransientError
from services.shipping.calls import CANCEL, CREATE, Call, Carriers, cancel_call, create_call
from services.shipping.carrier import Parcel
from services.shipping.decider import SHIPMENTS, ShipmentCommand, StartCancel, StartCreate
from services.shipping.messages import (
    CancelReturn,
    CancelShipment,
    CheckBookings,
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
from services.shipping.tracking_handlers import check_bookings, check_parcel, track

CREATE_RETURN = contract_name(CreateReturn)
CANCEL_RETURN = contract_name(CancelReturn)
COMMANDS = frozenset({CREATE, CANCEL, CREATE_RETURN, CANCEL_RETURN}) | {
    contract_name(told) for told in (TrackParcel, CheckParcel, CheckBookings)
}


class NoCarrierNow(TransientError):
    """All carriers that serve the destination have done nothing, and can do nothing for the moment."""

    retry_after_s = 5.0


type Answer = ShipmentCreated | ShipmentRefused | ShipmentCancelled


async def handle_command(documents: Documents, bus: Bus, carriers: Carriers, command: Envelope) -> None:
    """Create or cancel, once, and answer; or record what became of a parcel.

    A parcel that comes back is a shipment of its own, whose business key is the return.
    Raises InvalidContract, OutcomeUnknown and the transient errors of documents and bus; repeating is safe.
    """
    asked = command.data
    if isinstance(asked, TrackParcel):
        return await track(documents, bus, carriers, command, asked)
    if isinstance(asked, CheckParcel):
        return await check_parcel(documents, bus, carriers, command, asked)
    if isinstance(asked, CheckBookings):
        return await check_bookings(documents, bus, carriers, command, asked)
    return_id = asked.return_id if isinstance(asked, CreateReturn | CancelReturn) else ""
    check_command(command, asked.order_id, return_id)
    stream = return_id or asked.order_id
    parcel, start = await _start(carriers, asked)

    def under_way(state: Shipment) -> Call | None:
        if state.intent is None:
            if state.status == "creating" and parcel is not None:
                raise NoCarrierNow(f"no carrier can take the parcel of {stream} for the moment")
            return None
        if state.status == "creating":
            return create_call(carriers, state, state.intent, parcel)
        return cancel_call(carriers, state, state.intent)

    def answers_here(before: Shipment, after: Shipment) -> Sequence[tuple[str, object]]:
        found = answers(before, after)
        return [_of_return(asked.order_id, return_id, answer) for answer in found] if return_id else found

    await carry_out(
        documents,
        bus,
        carriers.clock,
        SHIPMENTS,
        command,
        start,
        loaded=None if parcel is None else Loaded(SHIPMENTS.initial),
        answers=answers_here,
        under_way=under_way,
        stream=stream,
        guard=carriers.guard,
    )
    return None


async def _start(
    carriers: Carriers, asked: CreateShipment | CancelShipment | CreateReturn | CancelReturn
) -> tuple[Parcel | None, ShipmentCommand]:
    """With the parcel that is to be sent, if one is."""
    match asked:
        case CreateShipment():
            parcel = _parcel(asked, asked.order_id)
        case CreateReturn():
            parcel = _parcel(asked, asked.return_id, return_of=asked.order_id)
        case CancelReturn():
            return None, StartCancel(CancelShipment(asked.return_id), carriers.deadline())
        case CancelShipment():
            return None, StartCancel(asked, carriers.deadline())
    offers, not_served = await carriers.offers(parcel)
    return parcel, StartCreate(
        parcel.parcel_id,
        carriers.deadline(),
        offers,
        parcel.return_of,
        parcel.address,
        parcel.pieces,
        not_served,
    )


def _parcel(asked: CreateShipment | CreateReturn, parcel_id: str, return_of: str = "") -> Parcel:
    return Parcel(
        parcel_id, asked.address, asked.delivery, asked.pieces, return_of, asked.contents, asked.currency
    )


def answers(before: Shipment, after: Shipment) -> Sequence[tuple[str, Answer]]:
    """What this change of state answers, with the type of the command that it answers."""
    found: list[tuple[str, Answer]] = []
    if after.create_answer and not before.create_answer:
        if after.create_answer == "created":
            created = ShipmentCreated(after.order_id, after.shipment_id, after.tracking_number, after.carrier)
            found.append((CREATE, created))
        else:
            found.append((CREATE, ShipmentRefused(after.order_id, after.reason)))
    if after.cancel_answered and not before.cancel_answered:
        found.append((CANCEL, ShipmentCancelled(after.order_id)))
    return found


def _of_return(order_id: str, return_id: str, answer: tuple[str, Answer]) -> tuple[str, object]:
    """The answer of a shipment as one of a return, with what follows the order in its command's id."""
    match answer[1]:
        case ShipmentCreated() as created:
            return f"{CREATE_RETURN}:{return_id}", ReturnCreated(
                order_id, return_id, created.shipment_id, created.tracking_number, created.carrier
            )
        case ShipmentRefused() as refused:
            return f"{CREATE_RETURN}:{return_id}", ReturnRefused(order_id, return_id, refused.reason)
        case ShipmentCancelled():
            return f"{CANCEL_RETURN}:{return_id}", ReturnCancelled(order_id, return_id)
