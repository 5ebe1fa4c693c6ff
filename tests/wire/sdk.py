"""What tests with the real Python SDK share: taking messages, keeping links open, seeing what it is sent."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusReceiver

type Keep = Callable[[Any], Any]
"""Called with a sender or a receiver: see `kept` in `conftest.py`."""


class HeardFrame(NamedTuple):
    """As the SDK decoded it."""

    channel: int
    code: int
    fields: Sequence[Any]


def heard_of(frames: Sequence[HeardFrame], code: int) -> list[Sequence[Any]]:
    """The fields of the frames of one kind."""
    return [frame.fields for frame in frames if frame.code == code]


async def take(receiver: ServiceBusReceiver, count: int = 1) -> list[ServiceBusReceivedMessage]:
    """Exactly so many: a receive may return with fewer."""
    messages: list[ServiceBusReceivedMessage] = []
    while len(messages) < count:
        more = await receiver.receive_messages(count - len(messages), max_wait_time=5)
        assert more, f"{len(messages)} of {count} came"
        messages += more
    return messages


async def nothing_comes(receiver: ServiceBusReceiver) -> bool:
    return await receiver.receive_messages(1, max_wait_time=0.3) == []
