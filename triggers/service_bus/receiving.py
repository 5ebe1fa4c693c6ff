"""What every Service Bus handler does around its service.

| what happens in `handle` | what `receive` does | what the broker does |
| --- | --- | --- |
| returns | returns | completes |
| a transient error (`core.resilience.TRANSIENT`) | repeats it for up to 60 s, then raises | redelivers,
counts |
| InvalidContract, before or in `handle` | parks the message, then returns | completes |
| any other error | raises | redelivers, dead-letters after MaxDeliveryCount |

Parking: a Python function cannot dead-letter a message, so one that can never be understood goes to the queue
`parked`, its body untouched, with the reason. If that fails, `receive` raises.
"""

import logging
from collections.abc import Awaitable, Callable

import azure.functions as func

from core.bus import Bus, OutgoingMessage
from core.contracts import InvalidContract
from core.envelope import Envelope, from_json
from core.resilience import retry_transient
from core.telemetry import bind, log

PARKED = "parked"
REASON_CHARACTERS = 1000

logger = logging.getLogger("orderflow.receiving")


async def receive(
    message: func.ServiceBusMessage,
    *,
    queue: str,
    bus: Bus,
    handle: Callable[[Envelope], Awaitable[None]],
    accepts: frozenset[str],
) -> None:
    """`accepts` are the message types that `handle` takes; `queue` names where the message came from."""
    try:
        envelope = from_json(message.get_body())
        if envelope.type not in accepts:
            raise InvalidContract(f"type: {envelope.type!r} is not taken by {queue!r}")  # noqa: TRY301
        with bind(
            order_id=envelope.subject,
            correlation_id=envelope.correlation_id,
            traceparent=envelope.traceparent,
        ):
            await retry_transient(lambda: handle(envelope))
            log(logger, logging.INFO, "message handled", type=envelope.type, message_id=message.message_id)
    except InvalidContract as error:
        await _park(message, queue, bus, str(error))


async def _park(message: func.ServiceBusMessage, queue: str, bus: Bus, reason: str) -> None:
    id = message.message_id or f"{queue}:{message.sequence_number}"  # a sender may leave it out
    parked = OutgoingMessage(
        body=message.get_body(),
        message_id=id,
        subject=message.label or "",
        correlation_id=message.correlation_id,
        content_type=message.content_type or "application/json",
        properties={
            "reason": reason[:REASON_CHARACTERS],
            "source": queue,
            "original_message_id": id,
        },
    )
    await retry_transient(lambda: bus.send(PARKED, [parked]))
    log(logger, logging.WARNING, "message parked", queue=queue, message_id=id, reason=reason)
