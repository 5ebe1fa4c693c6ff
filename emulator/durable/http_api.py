"""The HTTP API of the durable extension: what `DurableOrchestrationClient` speaks, and the management API.

Routes, status codes and payloads are those of `HttpApiHandler.cs` in Azure/azure-functions-durable-extension.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlencode

import orjson

from emulator.durable import client
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
    origin = f"http://{headers['host']}" if "host" in headers else ""
    try:
        match method, parts:
            case "POST", ["orchestrators", name]:
                return await _start(engine, name, None, query, headers, body, origin)
            case "POST", ["orchestrators", name, instance_id]:
                return await _start(engine, name, instance_id, query, headers, body, origin)
            case "GET", ["instances"]:
                return _list(engine, query, headers)
            case "DELETE", ["instances"]:
                return await _purge_by(engine, query)
            case "GET", ["instances", instance_id]:
                return _status(engine, instance_id, query, f"{origin}{path}")
            case "DELETE", ["instances", instance_id]:
                return _answer(200, {"instancesDeleted": await client.purge(engine, instance_id)})
            case "POST", ["instances", instance_id, "raiseEvent", event]:
                return await _raise_event(engine, instance_id, event, headers, body)
            case "POST", ["instances", instance_id, operation]:
                return await _operate(engine, instance_id, operation.lower(), query, origin)
            case _, ["entities", *_]:
                return _answer(501, _REFUSED_ENTITIES)
            case _:
                return HttpAnswer(404)
    except client.NotFound:
        return HttpAnswer(404)
    except client.Gone:
        return HttpAnswer(410)
    except client.InvalidRequest as error:
        return _error(400, "One or more of the arguments submitted is incorrect", "ArgumentException", error)
    except (client.AlreadyExists, client.WrongState) as error:
        message = "Something went wrong while processing your request"
        return _error(500, message, "InvalidOperationException", error)


async def _start(
    engine: DurableEngine,
    name: str,
    instance_id: str | None,
    query: Mapping[str, str],
    headers: Mapping[str, str],
    body: bytes,
    origin: str,
) -> HttpAnswer:
    text = _json_text(body) if body else None
    started = await client.start(
        engine,
        name,
        instance_id,
        None if text == "null" else text,
        version=query.get("version"),
        traceparent=headers.get("traceparent", ""),
    )
    return _check_status(engine, started, origin)


async def _raise_event(
    engine: DurableEngine, instance_id: str, event: str, headers: Mapping[str, str], body: bytes
) -> HttpAnswer:
    status = client.look_up(engine, instance_id)
    if status is None:
        return HttpAnswer(404)
    if status.status in FINISHED:
        return HttpAnswer(410)
    if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        return _answer(400, {"Message": "Only application/json request content is supported"})
    await client.raise_event(engine, instance_id, event, _json_text(body))
    return HttpAnswer(202)


async def _operate(
    engine: DurableEngine, instance_id: str, operation: str, query: Mapping[str, str], origin: str
) -> HttpAnswer:
    operations: dict[str, Callable[[DurableEngine, str, str], Awaitable[None]]] = {
        "terminate": client.terminate,
        "suspend": client.suspend,
        "resume": client.resume,
    }
    if operation == "rewind":
        return _answer(501, _REFUSED_REWIND)
    if operation == "restart":
        with_new_id = query.get("restartWithNewInstanceId", "true").lower() != "false"
        return _check_status(
            engine, await client.restart(engine, instance_id, with_new_id=with_new_id), origin
        )
    if operation not in operations:
        return HttpAnswer(404)
    await operations[operation](engine, instance_id, query.get("reason", ""))
    return HttpAnswer(202)


def _status(engine: DurableEngine, instance_id: str, query: Mapping[str, str], url: str) -> HttpAnswer:
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
    location = f"{url}?{urlencode(query)}" if query else url
    return _answer(202, payload, {"Location": location, "Retry-After": "5"})


def _list(engine: DurableEngine, query: Mapping[str, str], headers: Mapping[str, str]) -> HttpAnswer:
    top = query.get("top", "")
    page, token = client.list_instances(
        engine,
        _filter(query),
        int(top) if top.isdecimal() else None,
        headers.get("x-ms-continuation-token"),
    )
    show_input = _flag(query, "showInput", default=True)
    payload = [status_payload(status, show_input=show_input) for status in page]
    return _answer(200, payload, {"x-ms-continuation-token": token} if token else {})


async def _purge_by(engine: DurableEngine, query: Mapping[str, str]) -> HttpAnswer:
    condition = _filter(query)
    if condition.created_from is None:
        return _answer(400, "Please provide value for 'createdTimeFrom' parameter.")
    deleted = await client.purge_by(engine, condition)
    return _answer(200, {"instancesDeleted": deleted}) if deleted else HttpAnswer(404)


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
        json.loads(text)
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
