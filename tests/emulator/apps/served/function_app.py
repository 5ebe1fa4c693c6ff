"""What the tests start in real processes: HTTP, a queue, a durable function."""

import asyncio
import json
import os
import time

import azure.durable_functions as df
import azure.functions as func

from emulator import engines
from emulator.servicebus.messages import Message

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route(route="pid")
async def pid(req: func.HttpRequest) -> func.HttpResponse:
    await asyncio.sleep(float(req.params.get("seconds", "0")))
    return func.HttpResponse(str(os.getpid()))


@app.route(route="send/{first}/{number}", methods=["POST"])
async def send(req: func.HttpRequest) -> func.HttpResponse:
    first, number = int(req.route_params["first"]), int(req.route_params["number"])
    messages = [Message(b"", str(n)) for n in range(first, first + number)]
    await engines.current().bus.send("work", messages)
    return func.HttpResponse(status_code=202)


@app.service_bus_queue_trigger(arg_name="message", connection="Bus", queue_name="work")
async def work(message: func.ServiceBusMessage) -> None:
    await asyncio.sleep(0.02)
    item = {"id": str(message.message_id), "pid": os.getpid()}
    await engines.current().documents.upsert("done", item["id"], item)


@app.route(route="done")
async def done(req: func.HttpRequest) -> func.HttpResponse:
    items, _ = await engines.current().documents.query("done", limit=1000)
    return func.HttpResponse(json.dumps({item["id"]: item["pid"] for item in items}))


@app.route(route="add/{id}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def add(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    await client.start_new("add_twice", req.route_params["id"], 1)
    return client.create_check_status_response(req, req.route_params["id"])


@app.orchestration_trigger(context_name="context")
def add_twice(context: df.DurableOrchestrationContext):
    first = yield context.call_activity("add_one", context.get_input())
    second = yield context.call_activity("add_one", first)
    return second


@app.activity_trigger(input_name="number")
def add_one(number: int) -> int:
    time.sleep(0.001)  # synchronous, so it has a thread of its own
    return number + 1
