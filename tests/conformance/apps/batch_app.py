"""A Service Bus function that takes many messages a call, and the same without care, for comparison.

Orderflow has none: a bad message stays alone where a call gets one message. This is how one would be written.
"""

from collections.abc import Awaitable, Callable
from typing import List  # noqa: UP035  (the worker refuses list[func.ServiceBusMessage])

import azure.functions as func

from adapters.embedded import EmbeddedBus
from core.envelope import Envelope
from triggers.service_bus.receiving import receive

app = func.FunctionApp()

TYPE = "payments.refund"
handled: list[str] = []
"""Ids of envelopes, once for each time."""
batches: list[list[str]] = []
"""Ids of messages, by call."""
faults: list[Exception] = []
"""What the next calls of `handle` raise, one each."""


def forget() -> None:
    for each in (handled, batches, faults):
        each.clear()


async def handle(envelope: Envelope) -> None:
    if faults:
        raise faults.pop(0)
    handled.append(envelope.id)


async def settle_around(
    messages: List[func.ServiceBusMessage],  # noqa: UP006
    take: Callable[[func.ServiceBusMessage], Awaitable[None]],
) -> None:
    """Every message is taken, whatever becomes of those before it; then the first fault is raised.

    A batch has one outcome: what is raised gives all of it back. So what can never be handled must have been
    parked by `take`, and only what another time may mend is raised; those taken come again, to no effect.
    """
    failed: list[Exception] = []
    for message in messages:
        try:
            await take(message)
        except Exception as error:
            failed.append(error)
    if failed:
        raise failed[0]


@app.service_bus_queue_trigger(
    arg_name="messages", connection="Bus", queue_name="batches", cardinality="many"
)
async def settles_around(messages: List[func.ServiceBusMessage]) -> None:  # noqa: UP006
    batches.append([message.message_id for message in messages])
    bus = EmbeddedBus()

    async def take(message: func.ServiceBusMessage) -> None:
        await receive(message, queue="batches", bus=bus, handle=handle, accepts=frozenset({TYPE}))

    await settle_around(messages, take)


@app.service_bus_queue_trigger(arg_name="messages", connection="Bus", queue_name="work", cardinality="many")
async def takes_no_care(messages: List[func.ServiceBusMessage]) -> None:  # noqa: UP006
    batches.append([message.message_id for message in messages])
    for message in messages:
        if b"payments.refund" not in message.get_body():
            raise ValueError("not for me")
        handled.append(message.message_id)
