"""Durable functions: what the host does for them, and what a failure looks like to the orchestrator."""

from contextvars import ContextVar

import azure.durable_functions as df
import azure.functions as func

from emulator.metrics import current_trigger

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
triggers: list[str] = []
"""What `current_trigger` said in each function, in order."""
traces: list[str] = []
marks: list[str] = []
"""What `mark` was in each orchestrator and activity."""
mark: ContextVar[str] = ContextVar("mark", default="none")
"""Set by the HTTP function, and left so."""


@app.route(route="begin/{name}/{id}")
@app.durable_client_input(client_name="client")
async def begin(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    triggers.append(current_trigger.get())
    mark.set("left by the request")
    await client.start_new(req.route_params["name"], req.route_params["id"], {"n": 1})
    return client.create_check_status_response(req, req.route_params["id"])


@app.orchestration_trigger(context_name="context", orchestration="renamed")
def works(context: df.DurableOrchestrationContext):
    triggers.append(current_trigger.get())
    marks.append(mark.get())
    found = yield context.call_activity("renamed_activity", context.get_input())
    return found


@app.orchestration_trigger(context_name="context")
def meets_a_failure(context: df.DurableOrchestrationContext):
    try:
        yield context.call_activity("always_fails", None)
    except Exception as error:
        return str(error)


@app.orchestration_trigger(context_name="context")
def fails_itself(context: df.DurableOrchestrationContext):
    yield context.call_activity("renamed_activity", {"n": 1})
    raise ValueError("the orchestrator gave up")


@app.activity_trigger(input_name="payload", activity="renamed_activity")
async def add_one(payload: dict, context: func.Context) -> dict:
    triggers.append(current_trigger.get())
    marks.append(mark.get())
    traces.append(context.trace_context.trace_parent)
    return {"n": payload["n"] + 1}


@app.activity_trigger(input_name="payload")
async def always_fails(payload: str) -> str:
    raise RuntimeError("asked to fail")
