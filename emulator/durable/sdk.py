"""Shortcuts for the SDK in the emulator's process; each can be left out, and changes nothing but the cost.

All replace names in modules of azure-functions-durable 1.x and azure-functions 2.x, and each returns a
function that puts them back.
"""

import json
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import cache, lru_cache
from importlib import import_module
from types import SimpleNamespace
from typing import Any, Protocol
from urllib.parse import parse_qsl

import orjson
from azure.functions import Document

from emulator.durable.history import loads
from emulator.http import HttpAnswer

type Undo = Callable[[], None]

_MODELS = "azure.durable_functions.models"
_DIGITS_OF_64_BITS = 19


class _Served(Protocol):
    async def handle_http(
        self, method: str, path: str, query: dict[str, str], headers: dict[str, str], body: bytes
    ) -> HttpAnswer: ...


def install_in_process_rpc(engine: _Served, base_url: str) -> Undo:
    """Let clients made from now on call `engine` instead of asking for `base_url` over a socket.

    URLs elsewhere still go over HTTP. `base_url` has no slash at its end.
    """
    module: Any = import_module(f"{_MODELS}.DurableOrchestrationClient")
    post_over_http = module.post_async_request
    get_over_http = module.get_async_request
    delete_over_http = module.delete_async_request
    base = f"{base_url}/"

    async def call(method: str, url: str, body: bytes, headers: dict[str, str]) -> list[Any]:
        path, _, query = url[len(base_url) :].partition("?")
        answer = await engine.handle_http(
            method, path, dict(parse_qsl(query)) if query else {}, headers, body
        )
        return [answer.status, loads(answer.body.decode()) if answer.body else None]

    async def post(
        url: str,
        data: Any = None,  # noqa: ANN401
        trace_parent: str | None = None,
        trace_state: str | None = None,
        function_invocation_id: str | None = None,
    ) -> list[Any]:
        if not url.startswith(base):
            return await _awaited(
                post_over_http(url, data, trace_parent, trace_state, function_invocation_id)
            )
        headers = {"content-type": "application/json"}
        if trace_parent:
            headers["traceparent"] = trace_parent
        return await call("POST", url, orjson.dumps(data), headers)

    async def get(url: str, function_invocation_id: str | None = None) -> list[Any]:
        if not url.startswith(base):
            return await _awaited(get_over_http(url, function_invocation_id))
        status, data = await call("GET", url, b"", {})
        return [status, "" if data is None else data]

    async def delete(url: str, function_invocation_id: str | None = None) -> list[Any]:
        if not url.startswith(base):
            return await _awaited(delete_over_http(url, function_invocation_id))
        return await call("DELETE", url, b"", {})

    module.post_async_request, module.get_async_request, module.delete_async_request = post, get, delete

    def undo() -> None:
        module.post_async_request = post_over_http
        module.get_async_request = get_over_http
        module.delete_async_request = delete_over_http

    return undo


async def _awaited(answer: Awaitable[list[Any]]) -> list[Any]:
    return await answer


def install_fast_timestamps() -> Undo:
    """Let the SDK parse the forms of time that this emulator writes with `datetime.fromisoformat`.

    The SDK parses every event's timestamp again in every episode, with dateutil: four fifths of a replay.
    """
    modules: list[Any] = [
        import_module(f"{_MODELS}.history.HistoryEvent"),
        import_module(f"{_MODELS}.DurableOrchestrationStatus"),
    ]
    originals = [module.dt_parse for module in modules]
    for module in modules:
        module.dt_parse = fast_parser(module.dt_parse)

    def undo() -> None:
        for module, original in zip(modules, originals, strict=True):
            module.dt_parse = original

    return undo


def install_cached_tuple_class() -> Undo:
    """Let the SDK's executor, which defines the same namedtuple in every episode, get the one made first."""
    module: Any = import_module(f"{_MODELS}.TaskOrchestrationExecutor")
    original = module.namedtuple
    module.namedtuple = cache(original)

    def undo() -> None:
        module.namedtuple = original

    return undo


def install_cached_strict_mode() -> Undo:
    """Let the SDK's JSON codec look into the environment once, and not for every value of every episode."""
    module: Any = import_module("azure.functions._durable_functions")
    original = module._is_strict_mode
    module._is_strict_mode = cache(original)

    def undo() -> None:
        module._is_strict_mode = original

    return undo


def install_cached_client_binding() -> Undo:
    """Let the clients of durable functions share the parsed binding, which is the same text for all."""
    module: Any = import_module(f"{_MODELS}.DurableOrchestrationBindings")
    bindings = module.DurableOrchestrationBindings
    original = bindings.__dict__["from_json"]
    bindings.from_json = lru_cache(4)(bindings.from_json)

    def undo() -> None:
        bindings.from_json = original

    return undo


def install_fast_json() -> Undo:
    """Let the SDKs read and write JSON by shorter ways that give the same values and the same texts.

    A context is read with orjson. So is a short value, such as the null that most activities return; in
    a longer one may be an integer beyond 64 bits, which orjson reads as a float. The hook that the codec has
    called for each object is only for texts that name a class.

    A value is written by one encoder in C, where `json.dumps` makes one for each. It does not look for
    circles: what ends too deep is written again by the one that does.
    """
    contexts: Any = import_module(f"{_MODELS}.DurableOrchestrationContext")
    codec: Any = import_module("azure.functions._durable_functions")
    originals = contexts.json, codec.json
    make_encoder: Any = json.encoder.c_make_encoder  # type: ignore[attr-defined]
    encode = make_encoder(
        None,
        codec._serialize_custom_object,
        json.encoder.encode_basestring_ascii,
        None,
        ": ",
        ", ",
        False,
        False,
        True,
    )

    def read(text: str, *, object_hook: Callable[..., Any] | None = None) -> Any:  # noqa: ANN401
        if object_hook is not None and not names_no_class(text):
            return json.loads(text, object_hook=object_hook)
        return loads(text) if len(text) < _DIGITS_OF_64_BITS else json.loads(text)

    def write(value: Any, *, default: Callable[..., Any] | None = None) -> str:  # noqa: ANN401
        if default is not codec._serialize_custom_object:
            return json.dumps(value, default=default)
        try:
            return "".join(encode(value, 0))
        except RecursionError:
            return json.dumps(value, default=default)

    contexts.json = SimpleNamespace(loads=loads, dumps=json.dumps)
    codec.json = SimpleNamespace(loads=read, dumps=write, JSONDecodeError=json.JSONDecodeError)

    def undo() -> None:
        contexts.json, codec.json = originals

    return undo


def names_no_class(text: object) -> bool:
    """Whether no object in the JSON `text` can have the key `__class__`, escapes being another way to
    write it."""
    return isinstance(text, str) and "__class__" not in text and "\\u" not in text


def install_fast_documents() -> Undo:
    """Let the library copy a document of the change feed at once, and not key by key."""
    original = Document.__dict__["from_dict"]

    def from_dict(kind: type[Document], source: dict[str, Any]) -> Document:
        document = kind.__new__(kind)
        document.data = dict(source)
        return document

    Document.from_dict = classmethod(from_dict)  # type: ignore[assignment,method-assign]

    def undo() -> None:
        Document.from_dict = original  # type: ignore[method-assign]

    return undo


def fast_parser(original: Callable[..., datetime]) -> Callable[..., datetime]:
    """Like `original`, for `2027-01-15T08:00:00.123456Z` and `2027-01-15T08:00:00Z` by a shorter way."""

    def parse(text: Any, *arguments: Any, **options: Any) -> datetime:  # noqa: ANN401
        if not arguments and not options and _is_ours(text):
            try:
                return datetime.fromisoformat(text)
            except ValueError:
                return original(text)
        return original(text, *arguments, **options)

    return parse


def _is_ours(text: object) -> bool:
    """Of this form exactly, because fromisoformat reads other forms as well, and not all as dateutil does."""
    return (
        type(text) is str
        and ((len(text) == 27 and text[19] == ".") or len(text) == 20)
        and text[4] == text[7] == "-"
        and text[10] == "T"
        and text[13] == text[16] == ":"
        and text[-1] == "Z"
    )
