"""What the carrier's news mean for the order: it was delivered, or comes back."""

from core.decider import Cause, execute
from core.envelope import Envelope
from core.resilience import TransientError
from services.orders.commands import RecordDelivery, RecordReturnToSender
from services.orders.decider import ORDERS
from services.orders.handlers import Orders
from services.orders.state import TERMINAL


class NotCompletedYet(TransientError):
    """The parcel was faster than the saga: the news must come again."""


async def record_news(
    orders: Orders, event: Envelope, command: RecordDelivery | RecordReturnToSender
) -> None:
    """`event` is what told of it. Raises OrderNotFound, NotCompletedYet."""
    cause = Cause(f"{event.id}:recorded", event.subject, event.id, event.traceparent, event.source)
    outcome = await execute(orders.documents, ORDERS, event.subject, command, cause, orders.clock.now())
    if outcome.state.status not in TERMINAL:
        raise NotCompletedYet(f"{event.subject} is {outcome.state.status}: {event.type} must wait")
