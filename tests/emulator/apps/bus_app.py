"""Service Bus functions that record what they were given; what a message's subject asks for they do."""

import asyncio
from collections.abc import Callable
from typing import List  # noqa: UP035  (the worker refuses list[func.ServiceBusMessage])

import azure.functions as func

app = func.FunctionApp()
received: list[tuple[str, func.ServiceBusMessage]] = []
batches: list[list[str]] = []
on_message: dict[str, Callable[[], None]] = {}


@app.service_bus_queue_trigger(arg_name="message", connection="Bus", queue_name="%WORK_QUEUE%")
async def take_one(message: func.ServiceBusMessage, context: func.Context) -> None:
    received.append((context.trace_context.trace_parent, message))
    if message.subject == "fail":
        raise ValueError("asked to fail")
    if message.subject and message.subject.startswith("sleep "):
        await asyncio.sleep(float(message.subject.split()[1]))


@app.service_bus_queue_trigger(
    arg_name="messages", connection="Bus", queue_name="batches", cardinality="many"
)
async def take_many(messages: List[func.ServiceBusMessage]) -> None:  # noqa: UP006
    batches.append([message.message_id for message in messages])
    if any(message.subject == "fail" for message in messages):
        raise ValueError("asked to fail")


@app.service_bus_topic_trigger(
    arg_name="message",
    connection="Bus",
    topic_name="news",
    subscription_name="all",
    auto_complete_messages=False,
)
async def never_settles(message: func.ServiceBusMessage) -> None:
    received.append(("", message))
