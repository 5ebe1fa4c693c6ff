"""What every Service Bus handler does around its service.

| what happens in `handle` | what `receive` does | what the broker does |
| --- | --- | --- |
| returns | returns | completes |
| a transient error (`core.resilience.TRANSIENT`) | repeats it for up to 60 s, then raises | redelivers,
counts |
| InvalidContract or a card number, before or in `handle` | parks the message, then returns | completes |
| any other error | raises | redelivers, dead-letters after MaxDeliveryCount |

Parking: a Python function cannot dead-letter a message, so one that can never be understood goes to the queue
`parked`, with the reason, its body untouched but for card numbers. If that fails, `receive` raises.
"""

import logging
from collections.abc import Awaitable, Callable

import azure.functions as func
import orjson

from core.bus import Bus, OutgoingMessage
from core.card_numbers import RULE, card_number_in, may_hold_card_number, redact, redacted
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
        body = message.get_body()
        refuse_card_numbers(body)
        envelope = from_json(body)
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


def refuse_card_numbers(body: bytes) -> None:
    """Before the message is handled, stored or fails. Raises InvalidContract, which names the field.

    Not `traceparent`, whose digits are drawn.
    """
    if not may_hold_card_number(body):
        return
    try:
        message = orjson.loads(body)
    except orjson.JSONDecodeError:
        return  # no envelope either, and parked redacted
    if isinstance(message, dict):
        message.pop("traceparent", None)
    where = card_number_in(message, gtin=True)
    if where is not None:
        raise InvalidContract(f"{where or 'body'}: {RULE}")


def without_card_numbers(body: bytes) -> bytes:
    """`body` as it is when it holds none."""
    if not may_hold_card_number(body):
        return body
    try:
        message = orjson.loads(body)
    except orjson.JSONDecodeError:
        text = body.decode(errors="replace")
        safe = redact(text, gtin=True)
        return body if safe == text else safe.encode()
    safe_message = redacted(message, gtin=True)
    return body if safe_message == message else orjson.dumps(safe_message)


async def _park(message: func.ServiceBusMessage, queue: str, bus: Bus, reason: str) -> None:
    id = message.message_id or f"{queue}:{message.sequence_number}"  # a sender may leave it out
    id, reason = redact(id, gtin=True), redact(reason, gtin=True)
    correlation_id = message.correlation_id
    parked = OutgoingMessage(
        body=without_card_numbers(message.get_body()),
        message_id=id,
        subject=redact(message.label or "", gtin=True),
        correlation_id=None if correlation_id is None else redact(correlation_id, gtin=True),
        content_type=message.content_type or "application/json",
        properties={
            "reason": reason[:REASON_CHARACTERS],
            "source": queue,
            "original_message_id": id,
        },
    )
    await retry_transient(lambda: bus.send(PARKED, [parked]))
    log(logger, logging.WARNING, "message parked", queue=queue, message_id=id, reason=reason)
