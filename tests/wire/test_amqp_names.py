"""How the real SDK names what it wants, and what it is told of names that stand for nothing here."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from azure.servicebus import (
    NEXT_AVAILABLE_SESSION,
    ServiceBusMessage,
    ServiceBusSubQueue,
)
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.exceptions import MessagingEntityNotFoundError, ServiceBusError

from tests.wire.sdk import Keep, take
from tests.wire.wire_endpoints import DEAD, Wire

pytestmark = pytest.mark.asyncio(loop_scope="session")

QUICKLY_S = 10
"""An answer that the SDK does not understand makes it wait for a minute."""


async def test_a_queue_and_its_dead_letters_are_found_in_whatever_case(
    shared: Wire, client: ServiceBusClient, kept: Keep, queue: str
) -> None:
    sender, receiver = (
        kept(client.get_queue_sender(queue.title())),
        kept(client.get_queue_receiver(queue.upper())),
    )
    await sender.send_messages(ServiceBusMessage("here"))
    (message,) = await take(receiver)
    await receiver.dead_letter_message(message, reason="why")
    dead = kept(client.get_queue_receiver(f"{queue.upper()}/$deadletterQUEUE"))
    (peeked,) = await dead.peek_messages()
    (message,) = await take(dead)
    assert str(peeked) == str(message) == "here"
    await dead.complete_message(message)
    assert shared.held(queue + DEAD) == []


async def test_a_subscription_is_found_in_whatever_case(
    shared: Wire, client: ServiceBusClient, kept: Keep
) -> None:
    await shared.bus.receive_and_delete("events/Subscriptions/urgent", 100)
    sender = kept(client.get_topic_sender("EVENTS"))
    await sender.send_messages(ServiceBusMessage("here", application_properties={"urgent": "yes"}))
    receiver = kept(client.get_queue_receiver("Events/SUBSCRIPTIONS/Urgent"))
    assert "here" in [str(each) for each in await receiver.peek_messages(100)]
    (message,) = await take(receiver)
    await receiver.complete_message(message)
    assert "here" not in shared.held("events/Subscriptions/urgent")


type Attempt = Callable[[ServiceBusClient, str], Awaitable[object]]


async def _list_sessions(client: ServiceBusClient, queue: str) -> list[str]:
    return [session async for session in client.list_queue_sessions(queue)]


ABSENT: dict[str, Attempt] = {
    "a sender": lambda client, _: client.get_queue_sender("nowhere").send_messages(ServiceBusMessage("x")),
    "a receiver": lambda client, _: client.get_queue_receiver("nowhere").receive_messages(max_wait_time=5),
    "a subscription": lambda client, _: client.get_subscription_receiver("events", "none").peek_messages(),
    "the dead letters of a topic": lambda client, _: client.get_queue_receiver(
        "events" + DEAD
    ).peek_messages(),
    "a topic to receive from": lambda client, _: client.get_queue_receiver("events").receive_messages(),
    "dead letters to send to": lambda client, queue: client.get_queue_sender(queue + DEAD).send_messages(
        ServiceBusMessage("x")
    ),
}


@pytest.mark.parametrize("attempt", ABSENT.values(), ids=ABSENT)
async def test_what_is_not_there_is_told_as_not_found(
    client: ServiceBusClient, queue: str, attempt: Attempt
) -> None:
    async with asyncio.timeout(QUICKLY_S):
        with pytest.raises(MessagingEntityNotFoundError, match="amqp:not-found"):
            await attempt(client, queue)


NOT_SERVED: dict[str, tuple[Attempt, str]] = {
    "a session": (
        lambda client, queue: client.get_queue_receiver(queue, session_id="one").receive_messages(),
        "does not require sessions.*amqp:not-allowed",
    ),
    "the next session": (
        lambda client, queue: client.get_queue_receiver(
            queue, session_id=NEXT_AVAILABLE_SESSION
        ).receive_messages(),
        "does not require sessions.*amqp:not-allowed",
    ),
    "a subscription's session": (
        lambda client, _: client.get_subscription_receiver(
            "events", "all", session_id="one"
        ).receive_messages(),
        "does not require sessions.*amqp:not-allowed",
    ),
    "the list of sessions": (_list_sessions, "sessions.*amqp:not-allowed"),
    "what could not be forwarded": (
        lambda client, queue: client.get_queue_receiver(
            queue, sub_queue=ServiceBusSubQueue.TRANSFER_DEAD_LETTER
        ).receive_messages(),
        "transfer queues are not served.*amqp:not-implemented",
    ),
}


@pytest.mark.parametrize(("attempt", "told"), NOT_SERVED.values(), ids=NOT_SERVED)
async def test_what_is_not_served_is_refused_by_its_name_at_once(
    client: ServiceBusClient, queue: str, attempt: Attempt, told: str
) -> None:
    async with asyncio.timeout(QUICKLY_S):
        with pytest.raises(ServiceBusError, match=told):
            await attempt(client, queue)


async def test_the_management_of_what_is_not_there_is_refused_too(client: ServiceBusClient) -> None:
    """The one request that the SDK makes without a link to the entity. Its error does not say why."""
    async with asyncio.timeout(QUICKLY_S):
        with pytest.raises(ServiceBusError, match="Failed to open mgmt link"):
            await _list_sessions(client, "nowhere")
