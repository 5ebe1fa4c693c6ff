"""What the return saga has done for it on the order's stream and on the bus, one function an activity.

As in `saga.py`: each records what happened before, then sends the next command or leaves the saga to wait,
unless the stream shows that there is nothing to wait for: then it returns the `Answer` that the saga would
have waited for. All may be repeated, and begun with at any time.
"""

from dataclasses import dataclass
from typing import Final

from core.contracts import contract_name, decode
from core.decider import Cause, execute, load
from core.envelope import command_id
from services.inventory.messages import Restock, Restocked, RestockLine
from services.orders import return_commands as c
from services.orders.decider import ORDERS
from services.orders.requests import address_of, contents
from services.orders.returns import AWAITED, ENDED, Return, find
from services.orders.saga import Answer, Ports, as_answer, send_command
from services.orders.state import OrderState
from services.payments.messages import PartRefunded, RefundPart
from services.shipping.messages import CancelReturn, CreateReturn, ReturnCancelled, ReturnCreated

APPROVED: Final = "return.approved"
REJECTED: Final = "return.rejected"
RECEIVED: Final = "return.received"
INSPECTED: Final = "return.inspected"
"""What people decide and see, as the saga waits for it. No data."""

RETURN_ENDED: Final = "return.ended"
"""There is nothing to do for a saga. Data: {"status"}."""

RETURN_CANCELLING: Final = "return.cancelling"
"""An earlier run of the saga began to cancel. Data: {"reason"}."""

RETURN_CANCEL_REQUESTED: Final = "return.cancel_requested"
"""The customer asked for it. No data."""


@dataclass(frozen=True, slots=True)
class ReturnWork:
    """What the saga hands to an activity.

    attempt: 1 for the first, more for a resend of the same command.
    cause: the id of the message or event that led here.
    reply: what the step before was answered, to be recorded now.
    reason: of a cancellation, or of the attention that `step` needs.
    """

    order_id: str
    return_id: str
    attempt: int
    cause: str
    traceparent: str = ""
    reply: Answer | None = None
    reason: str = ""
    step: str = ""


async def await_approval(ports: Ports, work: ReturnWork) -> Answer | None:
    _, found = await _look(ports, work)
    if found.status == "rejected":
        return Answer(REJECTED, {})
    return _elsewhere(found) or (None if found.status == "requested" else Answer(APPROVED, {}))


async def request_label(ports: Ports, work: ReturnWork) -> Answer | None:
    order, found = await _look(ports, work)
    if found.status != "approved":
        return _elsewhere(found) or as_answer(
            ReturnCreated(work.order_id, work.return_id, found.shipment_id, found.tracking_number)
        )
    if found.cancel_requested:
        return Answer(RETURN_CANCEL_REQUESTED, {})
    await _send(
        ports,
        work,
        CreateReturn(
            work.order_id,
            work.return_id,
            address_of(order),
            order.delivery,
            sum(line.quantity for line in found.lines),
            contents((order.lines[line.line - 1], line.quantity) for line in found.lines),
            order.currency,
        ),
    )
    return None


async def await_parcel(ports: Ports, work: ReturnWork) -> Answer | None:
    created = _reply(work, ReturnCreated)
    if created is None:
        _, found = await _look(ports, work)
    else:
        label = c.RecordLabel(work.return_id, created.shipment_id, created.tracking_number)
        _, found = await _record(ports, work, label)
    if found.status not in AWAITED:
        return _elsewhere(found) or Answer(RECEIVED, {})
    return Answer(RETURN_CANCEL_REQUESTED, {}) if found.cancel_requested else None


async def await_inspection(ports: Ports, work: ReturnWork) -> Answer | None:
    _, found = await _look(ports, work)
    return _elsewhere(found) or (Answer(INSPECTED, {}) if found.inspected else None)


async def request_restock(ports: Ports, work: ReturnWork) -> Answer | None:
    order, found = await _look(ports, work)
    lines = _restock_lines(order, found)
    if found.status != "inspected" or not lines:
        return _elsewhere(found) or as_answer(Restocked(work.order_id, work.return_id))
    await _send(ports, work, Restock(work.order_id, work.return_id, lines))
    return None


async def request_refund(ports: Ports, work: ReturnWork) -> Answer | None:
    order, found = await _record(ports, work, c.RecordRestock(work.return_id))
    if found.status != "restocked" or not found.refund:
        return _elsewhere(found) or as_answer(
            PartRefunded(work.order_id, work.return_id, found.refund, order.currency)
        )
    await _send(ports, work, RefundPart(work.order_id, work.return_id, found.refund, order.currency))
    return None


async def complete_return(ports: Ports, work: ReturnWork) -> str:
    """The return's status afterwards."""
    refunded = _reply(work, PartRefunded)
    if refunded is None:
        raise ValueError("reply: must be a payments.part_refunded")
    command = c.RecordReturnRefund(work.return_id, refunded.amount, refunded.currency)
    _, found = await _record(ports, work, command)
    return found.status


async def cancel_label(ports: Ports, work: ReturnWork) -> Answer | None:
    """`return.received` when the parcel was faster than the cancellation."""
    _, found = await _record(ports, work, c.StartReturnCancellation(work.return_id, work.reason))
    if found.status == "cancelling":
        await _send(ports, work, CancelReturn(work.order_id, work.return_id))
        return None
    return _elsewhere(found) or Answer(RECEIVED, {})


async def cancel_return(ports: Ports, work: ReturnWork) -> str:
    """The return's status afterwards. Without a reply there was no label to cancel."""
    if work.reply is None:
        await _record(ports, work, c.StartReturnCancellation(work.return_id, work.reason))
    finish = c.FinishReturnCancellation(work.return_id, _reply(work, ReturnCancelled) is not None)
    _, found = await _record(ports, work, finish)
    return found.status


async def report_return_attention(ports: Ports, work: ReturnWork) -> None:
    attention = c.RecordReturnAttention(work.return_id, work.step, work.reason, work.attempt)
    await _record(ports, work, attention)


def _elsewhere(found: Return) -> Answer | None:
    """What the stream answers at whatever step: the return has ended, or is being cancelled."""
    if found.status in ENDED:
        return Answer(RETURN_ENDED, {"status": found.status})
    if found.status == "cancelling":
        return Answer(RETURN_CANCELLING, {"reason": found.reason})
    return None


def _restock_lines(order: OrderState, found: Return) -> tuple[RestockLine, ...]:
    """One a SKU, of which anything came back."""
    pieces: dict[str, tuple[int, int]] = {}
    for line in found.inspected:
        sku = order.lines[line.line - 1].sku
        restocked, written_off = pieces.get(sku, (0, 0))
        pieces[sku] = restocked + line.restocked, written_off + line.written_off
    return tuple(
        RestockLine(sku, restocked, written_off)
        for sku, (restocked, written_off) in sorted(pieces.items())
        if restocked or written_off
    )


async def _look(ports: Ports, work: ReturnWork) -> tuple[OrderState, Return]:
    order = (await load(ports.documents, ORDERS, work.order_id)).state
    return order, find(order.returns, work.return_id)


async def _record(ports: Ports, work: ReturnWork, command: c.ReturnCommand) -> tuple[OrderState, Return]:
    cause = Cause(
        command_id=command_id(work.order_id, f"orders.{type(command).__name__}", work.return_id),
        correlation_id=work.order_id,
        causation_id=work.cause,
        traceparent=work.traceparent,
        actor="saga",
    )
    outcome = await execute(ports.documents, ORDERS, work.order_id, command, cause, ports.clock.now())
    return outcome.state, find(outcome.state.returns, work.return_id)


async def _send(ports: Ports, work: ReturnWork, command: object) -> None:
    await send_command(
        ports,
        command,
        work.order_id,
        work.return_id,
        cause=work.cause,
        traceparent=work.traceparent,
        attempt=work.attempt,
    )


def _reply[R](work: ReturnWork, expected: type[R]) -> R | None:
    """None when the step before had no reply to be recorded, or one that only said what the stream says."""
    if work.reply is None or work.reply.type != contract_name(expected):
        return None
    reply = decode(work.reply.type, work.reply.data)
    return reply if isinstance(reply, expected) else None
