"""An HTTP request made into an invocation, and its result into an answer. No sockets here."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

from azure_functions_runtime.bindings.datumdef import Datum

from emulator.host.http_routes import Match
from emulator.host.invocations import Invocations
from emulator.host.worker import InvocationFailed
from emulator.http import HttpAnswer


async def run_http_function(
    invocations: Invocations, match: Match, *, method: str, url: str, headers: Mapping[str, str], body: bytes
) -> HttpAnswer:
    """`url` is absolute. A function that raises is a 500 without a body, as in Azure."""
    query = urlsplit(url).query
    request = {
        "method": Datum(method, "string"),
        "url": Datum(url, "string"),
        "headers": {name: Datum(value, "string") for name, value in headers.items()},
        "params": {name: Datum(value, "string") for name, value in match.parameters.items()},
        "query": {name: Datum(value, "string") for name, value in parse_qsl(query, keep_blank_values=True)}
        if query
        else {},
        "body": Datum(body, "bytes"),
    }
    trigger = match.function.trigger
    try:
        result = await invocations.run(
            match.function, [(trigger.name, Datum(request, "http"))], traceparent=headers.get("traceparent")
        )
    except InvocationFailed:
        return HttpAnswer(500)
    return _answer(result)


def _answer(result: Datum | None) -> HttpAnswer:
    if result is None or result.value is None:
        return HttpAnswer(204)
    if result.type != "http":
        return HttpAnswer(200, {"content-type": "text/plain; charset=utf-8"}, str(result.value).encode())
    value = result.value
    headers = {name.lower(): datum.value for name, datum in value["headers"].items()}
    cookies = [morsel.OutputString() for jar in value["cookies"] or () for morsel in jar.values()]
    if cookies:
        # One header line each: a comma would cut a cookie's date. `http_server` splits them.
        headers["set-cookie"] = "\n".join(cookies)
    return HttpAnswer(int(value["status_code"].value), headers, value["body"].value)
