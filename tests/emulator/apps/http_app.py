"""HTTP functions that answer with what they were asked."""

import json
from contextvars import ContextVar

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
mark: ContextVar[str] = ContextVar("mark", default="none")


@app.route(route="echo/{id}/{rest?}", methods=["GET", "POST"])
async def echo(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    told = {
        "method": req.method,
        "url": req.url,
        "params": dict(req.params),
        "route": dict(req.route_params),
        "header": req.headers.get("X-Test"),
        "body": req.get_body().decode(),
        "trace": context.trace_context.trace_parent,
        "function": context.function_name,
        "invocation": context.invocation_id,
    }
    return func.HttpResponse(json.dumps(told), mimetype="application/json", headers={"X-Answer": "yes"})


@app.route(route="text")
def text(req: func.HttpRequest) -> str:
    return f"hello {req.params.get('name', '')}"


@app.route(route="fails")
async def fails(req: func.HttpRequest) -> func.HttpResponse:
    raise ValueError("asked to fail")


@app.route(route="no-answer")
async def no_answer(req: func.HttpRequest) -> func.HttpResponse:
    return None  # type: ignore[return-value]


@app.route(route="cookies", auth_level=func.AuthLevel.ANONYMOUS)
async def cookies(req: func.HttpRequest) -> func.HttpResponse:
    answer = func.HttpResponse(status_code=201)
    answer.headers.add("Set-Cookie", "a=1; Path=/")
    answer.headers.add("Set-Cookie", "b=2; Expires=Wed, 21 Oct 2026 07:28:00 GMT")
    return answer


@app.route(route="mark")
async def marks(req: func.HttpRequest) -> func.HttpResponse:
    found = mark.get()
    mark.set("left by a request")
    return func.HttpResponse(found)
