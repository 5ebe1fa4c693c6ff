"""HTTP triggers: which function a request is for, what reaches it, what comes back."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from emulator.host.functions import AppRefused, Binding, Function
from emulator.host.http_routes import Routes
from emulator.host.http_server import HttpServer
from emulator.host.simulated import simulated
from emulator.http import HttpAnswer
from tests.emulator.hosting import app_of, on_simulated_time

SCRIPT = "http_app.py"


def function(name: str, route: str, *methods: str) -> Function:
    properties: dict[str, object] = {"route": route}
    if methods:
        properties["methods"] = list(methods)
    return Function(name, name, Binding("httpTrigger", "req", properties), (), None)


@pytest.mark.parametrize(
    ("method", "path", "name", "parameters"),
    [
        ("GET", "/api/orders", "list", {}),
        ("GET", "/api/ORDERS/", "list", {}),
        ("POST", "/api/orders", "create", {}),
        ("GET", "/api/orders/a%2Fb", "one", {"id": "a/b"}),
        ("GET", "/api/orders/latest", "latest", {}),
        ("GET", "/api/orders/7/lines", "lines", {"id": "7"}),
        ("GET", "/api/orders/7/lines/2", "lines", {"id": "7", "line": "2"}),
        ("GET", "/api/orders/x/lines/2", None, {}),
        ("GET", "/api/files/a/b%20c/d", "files", {"path": "a/b c/d"}),
        ("GET", "/api/files", "files", {}),
        ("DELETE", "/api/orders", None, {}),
        ("GET", "/orders", None, {}),
        ("GET", "/api/orders/7/lines/2/3", None, {}),
        ("GET", "/api", None, {}),
    ],
)
def test_routes(method: str, path: str, name: str | None, parameters: dict[str, str]) -> None:
    routes = Routes(
        [
            function("one", "orders/{id}"),
            function("latest", "orders/latest", "GET"),
            function("list", "orders", "GET"),
            function("create", "orders", "post"),
            function("lines", "orders/{id:int}/lines/{line?}"),
            function("files", "files/{*path}"),
        ],
        "api",
    )
    match = routes.find(method, path)
    assert (match and match.function.name) == name
    assert match is None or match.parameters == parameters


def test_a_route_without_a_prefix() -> None:
    assert Routes([function("f", "x")], "").find("GET", "/x") is not None


@pytest.mark.parametrize("route", ["a-{id}", "{id:regex(x)}", "{id:datetime}"])
def test_a_route_that_is_not_served_is_refused_by_name(route: str) -> None:
    with pytest.raises(AppRefused, match="function f: the route"):
        Routes([function("f", route)], "api")


@pytest.mark.parametrize("route", ["admin/orders", "Administer", "runtime/x"])
def test_a_route_that_the_host_of_azure_keeps_for_itself_is_refused_by_name(route: str) -> None:
    with pytest.raises(AppRefused, match=r"function f: the route .* keeps for itself"):
        Routes([function("f", route)], "api")


def test_two_functions_with_the_same_route_are_refused() -> None:
    with pytest.raises(AppRefused, match="function g: f has the same route"):
        Routes([function("f", "x"), function("g", "x", "GET")], "api")


@on_simulated_time
async def test_all_of_a_request_reaches_the_function_and_all_of_its_answer_comes_back(tmp_path: Path) -> None:
    trace = f"00-{'c' * 32}-{'d' * 16}-01"
    async with simulated(app_of(SCRIPT), tmp_path) as run:
        answer = await run.request(
            "POST", "/api/echo/1?a=b%20c&d=", {"x-test": "t", "traceparent": trace}, b"body"
        )
        assert answer.status == 200
        assert answer.headers == {"x-answer": "yes", "content-type": "application/json"}
        told = json.loads(answer.body)
        assert told.pop("trace")[:36] == trace[:36]
        assert len(told.pop("invocation")) == 36
        assert told == {
            "method": "POST",
            "url": "http://127.0.0.1:7071/api/echo/1?a=b%20c&d=",
            "params": {"a": "b c", "d": ""},
            "route": {"id": "1"},
            "header": "t",
            "body": "body",
            "function": "echo",
        }


@on_simulated_time
async def test_a_request_without_a_trace_begins_one(tmp_path: Path) -> None:
    async with simulated(app_of(SCRIPT), tmp_path) as run:
        first, second = [
            json.loads((await run.request("GET", "/api/echo/1", {"traceparent": bad})).body)["trace"]
            for bad in ("", "not one")
        ]
        assert first != second
        assert all(len(trace) == 55 and trace.startswith("00-") for trace in (first, second))


@on_simulated_time
async def test_answers_of_each_kind(tmp_path: Path) -> None:
    async with simulated(app_of(SCRIPT), tmp_path) as run:
        text = await run.request("GET", "/api/text?name=you")
        assert (text.status, text.body) == (200, b"hello you")
        assert (await run.request("GET", "/api/fails")).status == 500
        assert (await run.request("GET", "/api/no-answer")).status == 500
        assert (await run.request("GET", "/api/nowhere")).status == 404
        assert (await run.request("DELETE", "/api/echo/1")).status == 404
        cookies = await run.request("GET", "/api/cookies")
        assert cookies.status == 201
        assert cookies.headers["set-cookie"].split("\n") == [
            "a=1; Path=/",
            "b=2; expires=Wed, 21 Oct 2026 07:28:00 GMT",
        ]


@on_simulated_time
async def test_a_failure_is_logged_once_a_second_with_its_exception(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with simulated(app_of(SCRIPT), tmp_path) as run:
        for _ in range(50):
            await run.request("GET", "/api/fails")
    failures = [record for record in caplog.records if "fails failed" in record.getMessage()]
    assert 1 <= len(failures) <= 3
    assert failures[0].getMessage() == "function fails failed: ValueError: asked to fail"
    assert failures[0].exc_info is not None
    assert not [record for record in caplog.records if record.name == "azure.functions"]


@on_simulated_time
async def test_what_a_function_leaves_in_its_context_does_not_reach_the_next_request(tmp_path: Path) -> None:
    async with simulated(app_of(SCRIPT), tmp_path) as run:
        host = run.instance.host
        bodies = [(await host.request("GET", "http://h/api/mark")).body for _ in range(2)]
        assert bodies == [b"none", b"none"]


@asynccontextmanager
async def served(in_hand: asyncio.Event | None = None) -> AsyncIterator[str]:
    """A server on a free port that answers with what it got; with `in_hand`, a while after it got it."""

    async def handler(method: str, url: str, headers: object, body: bytes) -> HttpAnswer:
        if in_hand is not None:
            in_hand.set()
            await asyncio.sleep(0.2)
        return HttpAnswer(200, {"x-url": url, "set-cookie": "a=1\nb=2"}, body)

    server = HttpServer(handler, max_body_bytes=1000)
    await server.listen("127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        await server.close()


async def test_a_request_over_a_socket() -> None:
    async with (
        served() as url,
        aiohttp.ClientSession() as client,
        client.post(f"{url}/a%2Fb?c=%20", data=b"x" * 1000) as answer,
    ):
        assert answer.status == 200
        assert await answer.read() == b"x" * 1000
        assert answer.headers["x-url"] == f"{url}/a%2Fb?c=%20"
        assert answer.headers.getall("set-cookie") == ["a=1", "b=2"]


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_that_is_too_large_is_refused(chunked: bool) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 100

    async with (
        served() as url,
        aiohttp.ClientSession() as client,
        client.post(url, data=chunks() if chunked else b"x" * 1001) as answer,
    ):
        assert answer.status == 413
        assert await answer.text() == "the body is larger than 1000 bytes"


async def test_a_closing_server_answers_what_it_has() -> None:
    in_hand = asyncio.Event()
    async with aiohttp.ClientSession() as client:
        async with served(in_hand) as url:
            asked = asyncio.create_task(client.get(url))
            await in_hand.wait()
        async with await asked as answer:
            assert answer.status == 200
        with pytest.raises(aiohttp.ClientConnectionError):
            await client.get(url)


async def test_a_closing_server_does_not_wait_for_idle_connections() -> None:
    async with aiohttp.ClientSession() as client:
        async with served() as url, client.get(url) as answer:
            await answer.read()
            began = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - began < 0.5
