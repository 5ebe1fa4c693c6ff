"""The HTTP API of the durable extension: what `DurableOrchestrationClient` speaks, and the management API.

Routes, status codes and payloads are those of `HttpApiHandler.cs` in Azure/azure-functions-durable-extension.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlencode

import orjson

from emulator.durable import client, history
from emulator.durable.client import Filter
from emulator.durable.instance import FAILED, FINISHED
from emulator.durable.status import shown_history, status_payload
from emulator.http import HttpAnswer

if TYPE_CHECKING:
    from emulator.durable.engine import DurableEngine

ROOT = "/runtime/webhooks/durabletask/"
_INSTANCE_PLACEHOLDER = "INSTANCEID"
_JSON = {"Content-Type": "application/json; charset=utf-8"}
_REFUSED_ENTITIES = "durable entities are not served by the embedded emulator"
_REFUSED_REWIND = "rewind is not served by the embedded emulator"


@dataclass(frozen=True, slots=True)
class _Request:
    parts: list[str]
    """Of the path below ROOT, decoded."""
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def origin(self) -> str:
        return f"http://{self.headers['host']}" if "host" in self.headers else ""


async def handle_http(
    engine: DurableEngine,
    method: str,
    path: str,
    query: Mapping[str, str],
    headers: Mapping[str, str],
    body: bytes,
) -> HttpAnswer:
    """`path` is not decoded, and begins with ROOT. Header names are in lower case."""
    parts = [unquote(part) for part in path[len(ROOT) :].strip("/").split("/")]
    if parts[0] == "entities":
        return _answer(501, _REFUSED_ENTITIES)
    handler = _HANDLERS.get((method, parts[0], len(parts)))
    if handler is None:
        return HttpAnswer(404)
    try:
        return await handler(engine, _Request(parts, path, query, headers, body))
    except client.Refusal as error:
        return _refusal(error)


def _refusal(error: client.Refusal) -> HttpAnswer:
    if isinstance(error, client.NotFound):
        return HttpAnswer(404)
    if isinstance(error, client.Gone):
        return HttpAnswer(410)
    if isinstance(error, client.InvalidRequest):
        return _error(400, "One or more of the arguments submitted is incorrect", "ArgumentException", error)
    return _error(
        500, "Something went wrong while processing your request", "InvalidOperationException", error
    )


async def _start(engine: DurableEngine, request: _Request) -> HttpAnswer:
    text = _json_text(request.body) if request.body else None
    _, name, *instance_id = request.parts
    started = await client.start(
        engine,
        name,
        instance_id[0] if instance_id else None,
        None if text == "null" else text,
        version=request.query.get("version"),
        traceparent=request.headers.get("traceparent", ""),
    )
    return _check_status(engine, started, request.origin)


async def _raise_event(engine: DurableEngine, request: _Request) -> HttpAnswer:
    _, instance_id, operation, event = request.parts
    if operation.lower() != "raiseevent":
        return HttpAnswer(404)
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        status = client.look_up(engine, instance_id)
        if status is None or status.status in FINISHED:
            return HttpAnswer(404 if status is None else 410)
        return _answer(400, {"Message": "Only application/json request content is supported"})
    await client.raise_event(engine, instance_id, event, _json_text(request.body))
    return HttpAnswer(202)


async def _operate(engine: DurableEngine, request: _Request) -> HttpAnswer:
    _, instance_id, operation = request.parts
    operation = operation.lower()
    if operation == "rewind":
        return _answer(501, _REFUSED_REWIND)
    if operation == "restart":
        with_new_id = _flag(request.query, "restartWithNewInstanceId", default=True)
        started = await client.restart(engine, instance_id, with_new_id=with_new_id)
        return _check_status(engine, started, request.origin)
    if operation not in _OPERATIONS:
        return HttpAnswer(404)
    await _OPERATIONS[operation](engine, instance_id, request.query.get("reason", ""))
    return HttpAnswer(202)


async def _status(engine: DurableEngine, request: _Request) -> HttpAnswer:
    instance_id = request.parts[1]
    query = request.query
    status = client.look_up(engine, instance_id)
    if status is None:
        return HttpAnswer(404)
    show_input = _flag(query, "showInput", default=True)
    events = None
    if _flag(query, "showHistory"):
        show_output = _flag(query, "showHistoryOutput")
        found = client.history_of(engine, instance_id)
        events = shown_history(found, show_output=show_output, show_input=show_input)
    payload = status_payload(status, show_input=show_input, events=events)
    if status.status in FINISHED:
        is_error = status.status == FAILED and _flag(query, "returnInternalServerErrorOnFailure")
        return _answer(500 if is_error else 200, payload)
    location = f"{request.origin}{request.path}{f'?{urlencode(query)}' if query else ''}"
    return _answer(202, payload, {"Location": location, "Retry-After": "5"})


async def _list(engine: DurableEngine, request: _Request) -> HttpAnswer:
    top = request.query.get("top", "")
    page, token = await client.list_instances(
        engine,
        _filter(request.query),
        int(top) if top.isdecimal() else None,
        request.headers.get("x-ms-continuation-token"),
    )
    show_input = _flag(request.query, "showInput", default=True)
    payload = [status_payload(status, show_input=show_input) for status in page]
    return _answer(200, payload, {"x-ms-continuation-token": token} if token else {})


async def _purge(engine: DurableEngine, request: _Request) -> HttpAnswer:
    return _answer(200, {"instancesDeleted": await client.purge(engine, request.parts[1])})


async def _purge_by(engine: DurableEngine, request: _Request) -> HttpAnswer:
    condition = _filter(request.query)
    if condition.created_from is None:
        return _answer(400, "Please provide value for 'createdTimeFrom' parameter.")
    deleted = await client.purge_by(engine, condition)
    return _answer(200, {"instancesDeleted": deleted}) if deleted else HttpAnswer(404)


_HANDLERS: dict[tuple[str, str, int], Callable[[DurableEngine, _Request], Awaitable[HttpAnswer]]] = {
    ("POST", "orchestrators", 2): _start,
    ("POST", "orchestrators", 3): _start,
    ("GET", "instances", 1): _list,
    ("DELETE", "instances", 1): _purge_by,
    ("GET", "instances", 2): _status,
    ("DELETE", "instances", 2): _purge,
    ("POST", "instances", 3): _operate,
    ("POST", "instances", 4): _raise_event,
}
_OPERATIONS: dict[str, Callable[[DurableEngine, str, str], Awaitable[None]]] = {
    "terminate": client.terminate,
    "suspend": client.suspend,
    "resume": client.resume,
}


def _filter(query: Mapping[str, str]) -> Filter:
    statuses = [status for status in query.get("runtimeStatus", "").split(",") if status]
    return Filter(
        created_from=_time(query.get("createdTimeFrom")),
        created_to=_time(query.get("createdTimeTo")),
        statuses=statuses,
        prefix=query.get("instanceIdPrefix"),
    )


def _time(text: str | None) -> float | None:
    """As DateTime.TryParse: what is no time counts as not given."""
    try:
        time = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def _flag(query: Mapping[str, str], name: str, *, default: bool = False) -> bool:
    return {"true": True, "false": False}.get(query.get(name, "").lower(), default)


def _json_text(body: bytes) -> str:
    """The body, which must be JSON. Raises InvalidRequest."""
    try:
        text = body.decode()
        history.loads(text)
    except ValueError as error:
        raise client.InvalidRequest(f"Invalid JSON content: {error}") from error
    return text


def _answer(status: int, payload: object, headers: Mapping[str, str] | None = None) -> HttpAnswer:
    return HttpAnswer(status, {**_JSON, **(headers or {})}, json.dumps(payload).encode())


def _error(status: int, message: str, kind: str, error: Exception) -> HttpAnswer:
    payload = {"Message": message, "ExceptionMessage": str(error), "ExceptionType": f"System.{kind}"}
    return _answer(status, payload)


def _check_status(engine: DurableEngine, instance_id: str, origin: str) -> HttpAnswer:
    links = management_urls(engine.options.task_hub, origin, quote(instance_id, safe=""))
    links["id"] = instance_id
    return HttpAnswer(
        202,
        {**_JSON, "Location": links["statusQueryGetUri"], "Retry-After": "10"},
        orjson.dumps(links),
    )


def management_urls(task_hub: str, base_url: str, instance_id: str) -> dict[str, str]:
    """`instance_id` as it stands in a URL."""
    instance = f"{base_url}{ROOT}instances/{instance_id}"
    query = f"taskHub={task_hub}&connection=Storage"
    return {
        "id": instance_id,
        "statusQueryGetUri": f"{instance}?{query}",
        "sendEventPostUri": f"{instance}/raiseEvent/{{eventName}}?{query}",
        "terminatePostUri": f"{instance}/terminate?reason={{text}}&{query}",
        "rewindPostUri": f"{instance}/rewind?reason={{text}}&{query}",
        "purgeHistoryDeleteUri": f"{instance}?{query}",
        "restartPostUri": f"{instance}/restart?{query}",
        "suspendPostUri": f"{instance}/suspend?reason={{text}}&{query}",
        "resumePostUri": f"{instance}/resume?reason={{text}}&{query}",
    }


def client_binding(task_hub: str, base_url: str) -> str:
    """The datum of a `durableClient` binding; `base_url` without a slash at its end."""
    start = f"{base_url}{ROOT}orchestrators/{{functionName}}[/{{instanceId}}]"
    binding: dict[str, Any] = {
        "taskHubName": task_hub,
        "creationUrls": {
            "createNewInstancePostUri": start,
            "createAndWaitOnNewInstancePostUri": f"{start}?timeout={{timeoutInSeconds}}"
            "&pollingInterval={intervalInSeconds}",
        },
        "managementUrls": management_urls(task_hub, base_url, _INSTANCE_PLACEHOLDER),
        "baseUrl": f"{base_url}{ROOT}".rstrip("/"),
        "requiredQueryStringParameters": "",
        "rpcBaseUrl": f"{base_url}{ROOT}",
    }
    return json.dumps(binding)
