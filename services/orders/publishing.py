"""An order's events as others get them on the topic `order-events`."""

from dataclasses import replace

import orjson

from core.bus import OutgoingMessage
from core.decider import RecordedEvent
from core.envelope import to_json, wrap
from services.orders.events import OrderCreated


def integration_message(event: RecordedEvent) -> OutgoingMessage:
    """MessageId = event id, so that the topic drops what the change feed delivers twice.

    The payment token stays at home: whoever has it could charge.
    """
    data = event.data
    if isinstance(data, OrderCreated):
        data = replace(data, payment_method="")
    envelope = wrap(
        data,
        id=event.event_id,
        source="orders",
        subject=event.stream,
        time=event.time,
        correlation_id=event.correlation_id,
        causation_id=event.causation_id,
        traceparent=event.traceparent,
    )
    return OutgoingMessage(
        body=orjson.dumps(to_json(envelope)),
        message_id=envelope.id,
        subject=envelope.type,
        correlation_id=envelope.correlation_id,
        properties={"traceparent": envelope.traceparent} if envelope.traceparent else {},
    )
