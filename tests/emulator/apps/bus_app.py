"""Service Bus functions that record what they were given; a message's subject says what to do with it."""

import asyncio
from contextvars import ContextVar
from typing import List  # noqa: UP035  (the worker refuses list[func.ServiceBusMessage])

import azure.functions as func

app = func.FunctionApp()

taken: list[func.ServiceBusMessage] = []
"""Messages of `take_one` and `never_settles`, once per delivery."""
traces: list[str] = []
marks: list[str] = []
"""What `mark` was for each message of `take_one`."""
mark: ContextVar[str] = ContextVar("mark", default="none")
batches: list[list[func.ServiceBusMessage]] = []
now_running: set[str] = set()
at_once: list[int] = []
"""How many messages were in hand, at each start."""


def forget() -> None:
    for each in (taken, traces, marks, batches, now_running, at_once):
        each.clear()


async def _do_as_told(messages: list[func.ServiceBusMessage]) -> None:
    """Subjects: `fail`, `sleep SECONDS`."""
    ids = {message.message_id for message in messages}
    now_running.update(ids)
    at_once.append(len(now_running))
    try:
        for message in messages:
            subject = message.subject or ""
            if subject == "fail":
                raise ValueError("asked to fail")
            if subject.startswith("sleep "):
                await asyncio.sleep(float(subject.removeprefix("sleep ")))
    finally:
        now_running.difference_update(ids)


@app.service_bus_queue_trigger(arg_name="message", connection="Bus", queue_name="%WORK_QUEUE%")
async def take_one(message: func.ServiceBusMessage, context: func.Context) -> None:
    taken.append(message)
    traces.append(context.trace_context.trace_parent)
    marks.append(mark.get())
    await _do_as_told([message])


@app.service_bus_queue_trigger(
    arg_name="messages", connection="Bus", queue_name="batches", cardinality="many"
)
async def take_many(messages: List[func.ServiceBusMessage]) -> None:  # noqa: UP006
    batches.append(messages)
    await _do_as_told(messages)


@app.service_bus_topic_trigger(
    arg_name="message",
    connection="Bus",
    topic_name="news",
    subscription_name="all",
    auto_complete_messages=False,
)
async def never_settles(message: func.ServiceBusMessage) -> None:
    taken.append(message)
